"""Folders of PNGs with a ``clip.json``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lumiere.errors import InputError
from lumiere.io.limits import check_length
from lumiere.io.pictures import read_picture, read_rgba
from lumiere.io.source import open_source
from lumiere.io.video.note import LONGEST, parse_note
from lumiere.io.video.timing import Track


def survey(path: Path, track: Track) -> None:
    """Fill the track from ``clip.json``. Raises :class:`InputError` if it is missing, or damaged."""
    file = path / "clip.json"
    if not file.exists():
        raise InputError(f"{path} is a folder without the clip.json that a clip's folder of frames has")
    with open_source(file) as opened:
        note = parse_note(opened.read(LONGEST), file)
    if note is None:
        raise InputError(f"{file} is damaged; write the clip again")
    check_length(note.frames, float(note.frames / note.fps), path)
    track.note, track.declared_fps = note, note.fps
    track.times = [None] * note.frames
    track.complete, track.expected = True, note.frames


def pictures(path: Path, count: int, alpha: bool = False) -> Iterator[np.ndarray]:
    """The frames one by one, uint8, h x w x 3, or x 4 with alpha.

    Raises :class:`InputError` for a missing or damaged one.
    """
    for index in range(count):
        file = path / f"frame-{index:05d}.png"
        if not file.is_file():
            raise InputError(f"{file} is missing; its clip.json counts {count} frames")
        yield (read_rgba if alpha else read_picture)(file)
