"""A clip: frames, their rate, and how they were made."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, overload

import av
import numpy as np
from PIL import Image

from lumiere.errors import InputError
from lumiere.io.files import check_output, replacing
from lumiere.io.source import Packed
from lumiere.io.video import reading, writing
from lumiere.io.video.note import FASTEST, Note

ENDINGS = tuple(writing.WRITERS)
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True, eq=False)
class Clip:
    """A video in memory.

    Attributes:
        frames: uint8, T x H x W x 3, red green blue, T >= 1.
        fps: frames per second, over 0 and up to 1000; kept as the nearest fraction with a denominator up to
            1001, so that 23.976 and 29.97 mean 24000/1001 and 30000/1001.
        metadata: the generation settings (prompt, seed, ...); values that JSON can hold.

    Raises :class:`InputError` if one of them is not so.
    """

    frames: np.ndarray
    fps: int | float | Fraction
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.frames.shape
        if self.frames.dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or 0 in shape:
            raise InputError(
                f"a clip's frames are uint8, T x H x W x 3; these are {self.frames.dtype}, {shape}"
            )
        object.__setattr__(self, "fps", exact_rate(self.fps))

    def __len__(self) -> int:
        return len(self.frames)

    @overload
    def __getitem__(self, index: int) -> Image.Image: ...

    @overload
    def __getitem__(self, index: slice) -> Clip: ...

    def __getitem__(self, index: int | slice) -> Image.Image | Clip:
        """A frame as an image, or some of the frames as a clip."""
        if isinstance(index, slice):
            return replace(self, frames=self.frames[index])
        return Image.fromarray(self.frames[index])

    def __iter__(self) -> Iterator[Image.Image]:
        """The frames as images, as diffusers' ``export_to_video`` and ``export_to_gif`` take them."""
        return map(Image.fromarray, self.frames)

    def _repr_html_(self) -> str:
        """The clip as a video in a notebook."""
        with tempfile.TemporaryDirectory() as folder:
            data = self.save(Path(folder) / "clip.mp4").read_bytes()
        source = f"data:video/mp4;base64,{base64.b64encode(data).decode()}"
        size = f'width="{self.width}" height="{self.height}"'
        return f'<video {size} src="{source}" autoplay loop muted controls></video>'

    def __repr__(self) -> str:
        size = f"{len(self)} frames of {self.width}x{self.height}"
        return f"Clip({size} at {float(self.fps):g} fps, {self.metadata})"

    @property
    def height(self) -> int:
        return int(self.frames.shape[1])

    @property
    def width(self) -> int:
        return int(self.frames.shape[2])

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(len(self) / Fraction(self.fps))

    def save(self, path: str | os.PathLike[str], overwrite: bool = False, sound: Path | None = None) -> Path:
        """Write the clip in the format of the path's ending, with its metadata, whole or not at all.

        ``.mp4`` H.264 at the exact rate; of an odd height or width the last row or column is doubled, and cut
        again by :meth:`load`. ``.webm`` VP9. ``.gif`` one palette for all frames, at most 50 fps. ``.webp``
        animated. No ending: a folder of PNGs, the only one without loss.

        Args:
            sound: a file whose sound goes along, into .mp4 and .webm; others hold none.

        Raises :class:`InputError` for another ending, an existing file without ``overwrite``, a folder that
        cannot be written, and what the format cannot hold.
        """
        return write_frames(
            path,
            self.frames,
            len(self),
            (self.height, self.width),
            Fraction(self.fps),
            self.metadata,
            sound=sound,
            overwrite=overwrite,
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str] | Packed) -> Clip:
        """Read a clip written by lumiere, or any video that PyAV reads.

        Frames are what a player shows: turned and mirrored as the file says, with square pixels, tone-mapped
        from HDR (PQ, HLG) to BT.709, alpha on white. A variable frame rate is resampled to the mean of its
        usual intervals, a longer-lasting picture being repeated.

        Raises :class:`InputError` if the file is missing, no video, cut short, damaged, larger or longer than
        the limits, or too long for the memory that is free.
        """
        frames, fps, settings = reading.read(path if isinstance(path, Packed) else Path(path))
        return cls(frames, fps, settings)


def write_frames(
    path: str | os.PathLike[str],
    frames: Iterable[np.ndarray],
    count: int,
    size: tuple[int, int],
    fps: Fraction,
    metadata: dict[str, Any],
    *,
    sound: Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Write ``count`` frames, uint8 H x W x 3 of ``size`` (H, W), as :meth:`Clip.save` does, as they come.

    Videos (.mp4, .webm) and folders hold no more than one of them; a GIF or WebP, all.

    Args:
        sound: a file whose sound goes along, into .mp4 and .webm; others hold none.

    Raises :class:`InputError` as :meth:`Clip.save` does.
    """
    path = Path(path)
    check_output(path, overwrite, ENDINGS)
    height, width = size
    note = Note(fps, (width, height), count, metadata).dumps()
    with replacing(path) as temporary:
        try:
            writing.WRITERS[path.suffix.lower()](
                temporary, writing.VideoInput(frames, count, height, width, fps, note, sound)
            )
        except writing.EncoderError as error:
            raise InputError(
                f"cannot write {path} ({width}x{height} at {float(fps):g} fps): {error}"
            ) from error
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):  # a full disk, say
                raise
            raise InputError(
                f"cannot write {path} ({width}x{height} at {float(fps):g} fps): {error.strerror}"
            ) from error
    return path


def check_rate(path: Path, fps: float | None) -> None:
    """Check before any work that a frame rate can be written to ``path``; None passes.

    Raises :class:`InputError` unless it is over 0 and up to 1000, or 50 for a GIF.
    """
    if fps is not None and exact_rate(fps) > writing.GIF_FASTEST and path.suffix.lower() == ".gif":
        raise InputError(f"cannot write {path} at {fps:g} fps: {writing.GIF_TOO_FAST}")


def exact_rate(fps: int | float | Fraction) -> Fraction:
    """The frame rate as a fraction; raises :class:`InputError` unless it is over 0 and up to 1000."""
    if not 0 < fps <= FASTEST or (rate := Fraction(fps).limit_denominator(1001)) == 0:
        raise InputError(f"{fps} frames per second cannot be; give a number over 0, up to {FASTEST}")
    return rate


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The generation settings of a clip written by lumiere; empty for other files. Decodes no frames.

    Raises :class:`InputError` if the file is missing or no video.
    """
    return reading.probe(path).metadata


def save_picture(pixels: np.ndarray, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Write uint8 H x W x 3 as .png, .jpg or .webp, whole or not at all; raises as :meth:`Clip.save` does."""
    path = Path(path)
    check_output(path, overwrite, PICTURE_ENDINGS)
    with replacing(path) as temporary:
        try:
            Image.fromarray(pixels).save(temporary)
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None):
                raise
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            raise InputError(f"cannot write {path} ({size} pixels): {error}; choose .png") from error
    return path
