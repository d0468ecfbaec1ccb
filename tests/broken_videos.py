"""A folder of tiny videos, some of them broken in every way that a large folder holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from movies import smooth_frames, write_movie

GOOD = 8


def good_videos(folder: Path, frames: int = 25, side: int = 32) -> list[bytes]:
    """A few that differ, a second long each."""
    drift = smooth_frames(frames + GOOD, side, side)
    return [_movie(folder, drift[n : n + frames]) for n in range(GOOD)]


def broken(good: bytes, scratch: Path) -> Iterator[tuple[str, str, Callable[[Path], object]]]:
    """What is wrong, the reason that has to be given for it, and what makes such a file at a path."""

    def bytes_of(data: bytes) -> Callable[[Path], object]:
        return lambda path: path.write_bytes(data)

    middle = good.index(b"mdat") + len(good) // 3
    corrupt = good[:middle] + np.random.default_rng(0).bytes(300) + good[middle + 300 :]
    yield "zero bytes", "empty file", bytes_of(b"")
    yield "its end is lost", "damaged", bytes_of(good[: len(good) // 2])
    yield "corrupt packets in the middle", "damaged", bytes_of(corrupt)
    yield "text", "not a video", bytes_of(b"<html>404 Not Found</html>\n" * 9)
    yield "noise", "not a video", bytes_of(np.random.default_rng(1).bytes(3000))
    yield "sound alone", "no video stream", bytes_of(_sound(scratch))
    yield "no frames", "no video stream", bytes_of(_no_frames(scratch))
    yield "one frame", "too short", bytes_of(_movie(scratch, smooth_frames(1, 32, 32)))
    yield "a picture under another name", "too short", bytes_of(_picture(scratch))
    yield "two pixels a side", "too small", bytes_of(_movie(scratch, smooth_frames(25, 2, 2)))
    yield "a line of pixels", "too narrow", bytes_of(_movie(scratch, smooth_frames(25, 16, 512)))
    jump = [40 * i + (i > 12) * 24 * 3_600_000 for i in range(25)]
    long = _movie(scratch, smooth_frames(25, 32, 32), milliseconds=jump)
    yield "a day between two frames", "too long", bytes_of(long)
    yield "a folder", "not a file", Path.mkdir
    yield "a pipe", "not a file", os.mkfifo
    yield "a link to nothing", "missing", lambda path: path.symlink_to("nothing")


def _movie(scratch: Path, frames: np.ndarray, **options: list[int]) -> bytes:
    path = write_movie(scratch / "scratch.mp4", frames, **options)
    return _take(path)


def _take(path: Path) -> bytes:
    data = path.read_bytes()
    path.unlink()
    return data


def _sound(scratch: Path) -> bytes:
    path = scratch / "scratch.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return _take(path)


def _no_frames(scratch: Path) -> bytes:
    path = scratch / "scratch.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height = stream.width = 32
        stream.pix_fmt = "yuv420p"
        container.start_encoding()
    return _take(path)


def _picture(scratch: Path) -> bytes:
    path = scratch / "scratch.png"
    Image.fromarray(smooth_frames(1, 32, 32)[0]).save(path)
    return _take(path)
