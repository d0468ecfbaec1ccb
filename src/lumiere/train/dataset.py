"""Samples from WebDataset shards, by number.

A shard is a tar of ``{key}.webp`` (or ``.png``, ``.jpg``) or ``{key}.mp4`` beside ``{key}.json``, which has a
``"caption"``. Shards are indexed once and read by offset, since a draw that is a function of the step alone
(:mod:`lumiere.train.draw`) needs any sample at any time; nothing has to be replayed on resuming.
"""

from __future__ import annotations

import glob
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from lumiere.errors import InputError

STILLS = (".webp", ".png", ".jpg", ".jpeg")
CLIPS = (".mp4",)


@dataclass(frozen=True)
class Entry:
    """One sample: its caption, and where its media lies in the shard."""

    key: str
    caption: str
    offset: int
    length: int


@dataclass(frozen=True)
class Shard:
    path: Path
    entries: list[Entry] = field(repr=False)

    @cached_property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        with open(self.path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()


def window(clip: np.ndarray, frames: int, position: float, name: str) -> tuple[np.ndarray, int]:
    """``frames`` consecutive ones, starting at ``position`` (0 to 1) of all possible starts; and the index of
    the first. Raises :class:`InputError`, with the clip's name, if it has fewer."""
    if len(clip) < frames:
        raise InputError(f"{name} has {len(clip)} frames; data.frames asks for {frames}")
    start = int(position * (len(clip) - frames + 1))
    return clip[start : start + frames], start


class Pictures:
    """Captioned stills or clips of one size.

    ``read(i)`` gives uint8 t x h x w x 3, t being 1 for stills. Safe to call from several threads.
    """

    def __init__(self, patterns: Sequence[str], endings: Sequence[str], size: tuple[int, int]):
        """Index all shards that match ``patterns``.

        Raises :class:`InputError` if there are none, one cannot be read, or a sample lacks its caption.
        """
        paths = [Path(path) for pattern in patterns for path in sorted(glob.glob(pattern))]
        if not paths:
            raise InputError(
                f"no shards match {', '.join(patterns)}; `lumiere data emoji --out DIR` writes some, "
                "and data.stills and data.clips name them"
            )
        self.endings, self.size = tuple(endings), size
        self.shards = [Shard(path, _index(path, self.endings)) for path in paths]
        self.where = [(s, i) for s, shard in enumerate(self.shards) for i in range(len(shard.entries))]
        if not self.where:
            raise InputError(
                f"{', '.join(patterns)}: the shards hold no sample ending in {' '.join(endings)}"
            )
        self._files = [os.open(path, os.O_RDONLY) for path in paths]

    def __len__(self) -> int:
        return len(self.where)

    def entry(self, i: int) -> Entry:
        shard, place = self.where[i]
        return self.shards[shard].entries[place]

    def caption(self, i: int) -> str:
        return self.entry(i).caption

    def read(self, i: int, position: float | None = None) -> np.ndarray:
        """All frames, or the one at ``position`` (0 to 1 of the clip's length) alone."""
        shard, entry = self.where[i][0], self.entry(i)
        data = os.pread(self._files[shard], entry.length, entry.offset)
        try:
            frames = _still(data) if self.endings == STILLS else _clip(data, position)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{self.name(i)} cannot be decoded: {error}") from error
        if frames.shape[1:3] != self.size:
            height, width = frames.shape[1:3]
            raise InputError(
                f"{self.name(i)} is {height} x {width} pixels; data.size says {self.size[0]} x {self.size[1]}"
            )
        return frames

    def name(self, i: int) -> str:
        """The sample, for messages."""
        return f"sample {self.entry(i).key!r} of {self.shards[self.where[i][0]].path}"


def _index(path: Path, endings: tuple[str, ...]) -> list[Entry]:
    media: dict[str, tuple[int, int]] = {}
    captions: dict[str, str] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                stem, dot, ending = member.name.rpartition(".")
                if not member.isfile():
                    continue
                if ending == "json":
                    captions[stem] = _caption(tar, member, path)
                elif dot + ending.lower() in endings:
                    media[stem] = (member.offset_data, member.size)
    except (OSError, tarfile.TarError) as error:
        raise InputError(
            f"the shard {path} cannot be read: {error}; it must be an uncompressed tar"
        ) from error
    for key in media:
        if key not in captions:
            raise InputError(f"sample {key!r} of {path} has no {key}.json; each needs one with a caption")
    return [Entry(key, captions[key], *place) for key, place in media.items()]


def _caption(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> str:
    file = tar.extractfile(member)
    assert file is not None
    try:
        caption = json.load(file)["caption"]
        if isinstance(caption, str) and caption:
            return caption
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError(
        f'{member.name} of {path} has no caption; it must be JSON such as {{"caption": "a cat"}}'
    )


def _still(data: bytes) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return np.array(image.convert("RGB"))[None]


def _clip(data: bytes, position: float | None) -> np.ndarray:
    import av

    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        last = None if position is None else int(position * stream.frames)
        frames = []
        for n, frame in enumerate(container.decode(stream)):
            if last is None or n == last:
                frames.append(frame.to_ndarray(format="rgb24"))
            if n == last:
                break
    if not frames:
        raise ValueError("it holds no frames")
    return np.stack(frames)
