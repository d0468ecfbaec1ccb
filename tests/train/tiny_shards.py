"""Shards written by hand: coloured blocks, at rest or moving."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import av
import numpy as np
from PIL import Image

SIDE = 32
FRAMES = 12
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 60), "blue": (40, 60, 220)}


def picture(colour: tuple[int, int, int], x: int) -> np.ndarray:
    frame = np.full((SIDE, SIDE, 3), 235, np.uint8)
    frame[8:24, x : x + 10] = colour
    return frame


def webp(frame: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "WEBP", lossless=True)
    return file.getvalue()


def mp4(frames: list[np.ndarray]) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=16)
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def write_shard(path: Path, samples: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in samples.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def about(caption: str) -> bytes:
    return json.dumps({"caption": caption}).encode()
