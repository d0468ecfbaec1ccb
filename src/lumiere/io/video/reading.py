"""The reader of videos: their frames on a uniform time grid, and their properties."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil

from lumiere.errors import InputError
from lumiere.io.limits import LimitError, check_memory
from lumiere.io.pictures import opaque, read_picture, read_rgba
from lumiere.io.source import Kind, Packed, Source, check_path, kind_of_bytes, read_head
from lumiere.io.video import folder, webp
from lumiere.io.video.container import open_movie, refuse_corrupt, refuse_missing_end
from lumiere.io.video.decoded import Display
from lumiere.io.video.note import Note
from lumiere.io.video.timing import Track, uniform

Cut = Callable[[np.ndarray], np.ndarray]

_HINT = "give a video file, or a folder of frames"
# FFmpeg's own VP8 and VP9 drop the alpha channel, libvpx keeps it.
_DECODERS_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


@dataclass(frozen=True)
class ClipInfo:
    """Properties of a file: size in square pixels, frames, frame rate, and generation settings."""

    width: int
    height: int
    frames: int
    fps: Fraction
    metadata: dict[str, Any]

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(self.frames / self.fps)


def read(
    source: Source, cut: Cut | None = None, alpha: bool = False
) -> tuple[np.ndarray, Fraction, dict[str, Any]]:
    """Frames (uint8, T x H x W x 3), frames per second, settings.

    Frames are upright, of square pixels, of standard dynamic range, and on white; with ``alpha`` they keep
    it instead, straight, T x H x W x 4.

    ``cut`` is applied to every picture (H x W x 3) as it is decoded, so that a slice of a long video needs no
    memory for the whole. Raises :class:`InputError` if the file is missing, no video, cut short, damaged,
    larger or longer than the limits (:mod:`lumiere.io.limits`), or too long for the memory that is free.
    """
    track = Track()
    frames = _stack(_pictures(source, track, alpha), track, cut, source)
    fps, shown = uniform(track, source)
    if shown != list(range(len(frames))):
        check_memory(frames.shape[2], frames.shape[1], len(shown), source)
        frames = frames[shown]
    return frames, fps, track.settings


def probe(source: Source | str | os.PathLike[str]) -> ClipInfo:
    """Size, length and settings, decoding no frame but the first.

    Raises :class:`InputError` if the file is missing, no video, cut short, or beyond the limits.
    """
    return _survey(_as_source(source))[0]


def stream(source: Source | str | os.PathLike[str]) -> tuple[ClipInfo, Iterator[np.ndarray]]:
    """Properties of a file, and its frames one by one (uint8, H x W x 3) on the uniform time grid of
    :func:`read`. At most one frame is in memory.

    Raises :class:`InputError` as :func:`probe` does; the iterator raises it for a frame that is damaged.
    """
    source = _as_source(source)
    info, shown = _survey(source)

    def frames() -> Iterator[np.ndarray]:
        ticks = iter(shown)
        tick = next(ticks, None)
        for index, picture in enumerate(_pictures(source, Track())):
            if picture.shape[:2] != (info.height, info.width):
                raise InputError(f"{source} has frames of different sizes; resize them to one size")
            while tick == index:
                yield picture
                tick = next(ticks, None)
        if tick is not None:
            raise InputError(f"{source} is damaged or cut short: frame {tick} of {shown[-1] + 1} is missing")

    return info, frames()


def _as_source(source: Source | str | os.PathLike[str]) -> Source:
    return source if isinstance(source, Packed) else Path(source)


def _survey(source: Source) -> tuple[ClipInfo, list[int]]:
    """Properties of a file, and which picture is on the screen at each tick of its rate."""
    track = Track()
    try:
        height, width = next(_pictures(source, track)).shape[:2]
    except StopIteration:
        raise InputError(f"{source} has no frames; give a video with 1 or more") from None
    if not track.complete:
        track = Track()
        with open_movie(source, track) as (container, packets):
            for packet in container.demux(packets):
                if packet.size and not packet.is_discard:
                    refuse_corrupt(packet, source)
                    track.add(packet.pts, packet.time_base, packet.duration)
            refuse_missing_end(container, track, source)
        if None not in track.times:
            track.times.sort(key=lambda time: time or 0)  # packets come in the order of decoding
    fps, shown = uniform(track, source)
    return ClipInfo(width, height, len(shown), fps, track.settings), shown


def _pictures(source: Source, track: Track, alpha: bool = False) -> Iterator[np.ndarray]:
    """The pictures in the order of their showing; a movie's track is filled as they come, others' at once."""
    if isinstance(source, Path):
        check_path(source, _HINT)
        if not source.exists():
            raise InputError(f"{source} does not exist; {_HINT}")
        if source.is_dir():
            folder.survey(source, track)
            return folder.pictures(source, len(track.times), alpha)
    head = read_head(source)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        webp.survey(source, track)
        return webp.pictures(source, alpha)
    if kind_of_bytes(head) is Kind.PICTURE:
        track.complete = True
        track.times = [Fraction(0)]
        return iter([(read_rgba if alpha else read_picture)(source)])
    return _movie_pictures(source, track, alpha)


def _movie_pictures(source: Source, track: Track, alpha: bool) -> Iterator[np.ndarray]:
    with open_movie(source, track) as (container, stream):
        stream.thread_type = "AUTO"
        decoder: Any = stream
        with_alpha = _DECODERS_WITH_ALPHA.get(stream.codec.name)
        mode = stream.metadata.get("alpha_mode") or stream.metadata.get("ALPHA_MODE")
        if mode == "1" and with_alpha in av.codecs_available:
            decoder = av.CodecContext.create(with_alpha, "r")
        display = Display(stream.sample_aspect_ratio, source, alpha)
        for packet in container.demux(stream):
            refuse_corrupt(packet, source)
            for frame in decoder.decode(packet if packet.size else None):
                track.add(frame.pts, frame.time_base, frame.duration)
                pixels = _cut_to_note(display.picture(frame), track.note)
                yield opaque(pixels) if alpha and pixels.shape[2] == 3 else pixels
        refuse_missing_end(container, track, source)


def _stack(pictures: Iterator[np.ndarray], track: Track, cut: Cut | None, source: Source) -> np.ndarray:
    room = psutil.virtual_memory().available // 3  # stacking needs them twice for a moment
    kept: list[np.ndarray] = []
    for picture in pictures:
        kept.append(picture if cut is None else cut(picture).copy())
        if len(kept) == 1 and cut is None:
            check_memory(picture.shape[1], picture.shape[0], track.expected, source)
        room -= kept[-1].nbytes
        if room < 0:
            size = f"{picture.shape[1]}x{picture.shape[0]}"
            raise LimitError(
                f"{source} is too long for the free memory; give up to {len(kept)} frames of {size}"
            )
    if not kept:
        raise InputError(f"{source} has no frames; give a video with 1 or more")
    if len({picture.shape for picture in kept}) > 1:
        raise InputError(f"{source} has frames of different sizes; resize them to one size")
    return np.stack(kept)


def _cut_to_note(pixels: np.ndarray, note: Note | None) -> np.ndarray:
    """Take off the row and column that made an odd size even, unless the file was resized since."""
    height, width = pixels.shape[:2]
    if note and (width, height) == tuple(side + side % 2 for side in note.size):
        return pixels[: note.size[1], : note.size[0]]
    return pixels
