"""Split one video into clips, or report why it cannot be used."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from lumiere.data import h264
from lumiere.data.videos.buckets import Size, fill, fit, nearest
from lumiere.data.videos.scenes import Frame, mark_cuts, resample, thaw
from lumiere.errors import InputError
from lumiere.io.limits import LimitError
from lumiere.io.source import HEAD, Kind, kind_of_bytes
from lumiere.io.video import stream
from lumiere.io.video.container import open_container

CRF = 18
#: a picture that has to be enlarged more than this shows nothing at its new size
LARGEST_SCALE = 2.0
#: the share of a picture that must be left once its edges are cut off
LEAST_KEPT = 0.5


@dataclass(frozen=True)
class Settings:
    """Settings of the clips.

    Attributes:
        fps: frames per second.
        buckets: the sizes that they may have.
        min_frames, max_frames: shorter shots are left out, longer ones split.
        scenes: whether cuts are looked for.
        caption: of videos that have none; without one they are skipped.
    """

    fps: Fraction
    buckets: tuple[Size, ...]
    min_frames: int
    max_frames: int
    scenes: bool
    caption: str | None


@dataclass(frozen=True)
class Video:
    """A video of the user's, by itself or, with an ``offset``, in a tar.

    ``identity`` changes with the file and with the caption; ``problem`` is why it need not be opened.
    """

    name: str
    path: Path
    caption: str | None
    identity: str
    offset: int | None = None
    length: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Clip:
    """The bytes of an MP4, and what is said of it."""

    size: Size
    mp4: bytes = field(repr=False)
    about: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """The clips of a video, or the reason why there are none; and how many shots were too short."""

    clips: list[Clip] = field(default_factory=list)
    short: int = 0
    reason: str = ""
    detail: str = ""


class Unusable(Exception):
    """A video that gives no clips: a reason that is the same for all of its kind, and the detail."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason)
        self.reason, self.detail = reason, detail


def crashed(video: Video) -> Outcome:
    """Of a video whose process died."""
    return Outcome(
        reason="decoder crashed", detail=f"the process that read {video.path} died, or lacked memory"
    )


def prepare(video: Video, settings: Settings) -> Outcome:
    """The clips of ``video``. Whatever is wrong with it is an outcome, not an error.

    Raises :class:`OSError` if there is no space for temporary files.
    """
    try:
        if video.problem:
            raise Unusable(video.problem)
        if not (video.caption or settings.caption):
            raise Unusable("no caption")
        with _file(video) as path:
            _check_header(path)
            return _clips(path, video, settings)
    except Unusable as problem:
        return Outcome(reason=problem.reason, detail=problem.detail)
    except LimitError as error:
        return Outcome(reason=error.reason, detail=str(error))
    except InputError as error:
        return Outcome(reason="damaged", detail=str(error))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        return Outcome(reason="cannot be read", detail=str(error))
    except Exception as error:  # of ten thousand files one will do what nobody thought of
        return Outcome(reason="failed", detail=f"{type(error).__name__}: {error}")


@contextmanager
def _file(video: Video) -> Iterator[Path]:
    if not video.path.exists():
        raise Unusable("missing", f"{video.path} does not exist")
    if not video.path.is_file():
        raise Unusable("not a file", f"{video.path} is a folder or a device")
    if video.offset is None:
        yield video.path
        return
    with video.path.open("rb") as archive:
        archive.seek(video.offset)
        data = archive.read(video.length)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(video.name).name
        path.write_bytes(data)
        yield path


def _check_header(path: Path) -> None:
    """Raise :class:`Unusable` for what is no video."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        raise Unusable("empty file", "0 bytes")
    kind = kind_of_bytes(head)
    if kind is Kind.PICTURE or head[8:12] == b"WEBP":
        return
    try:
        with open_container(path) as container:
            if not container.streams.video:
                raise Unusable(
                    "no video stream",
                    f"it holds: {', '.join(each.type for each in container.streams) or 'nothing'}",
                )
    except LimitError:
        raise
    except InputError as error:
        raise Unusable("damaged" if kind is Kind.VIDEO else "not a video", str(error)) from error


def _clips(path: Path, video: Video, settings: Settings) -> Outcome:
    info, pictures = stream(path)
    size = Size(info.width, info.height)
    bucket = nearest(size, settings.buckets)
    scale, kept = fit(size, bucket)
    if kept < LEAST_KEPT:
        raise Unusable("too narrow", f"{size} pixels; {bucket} would keep {kept:.0%} of the picture")
    if scale > LARGEST_SCALE:
        raise Unusable("too small", f"{size} pixels; {bucket} would enlarge them {scale:.1f} times")
    shown = thaw(_filled(pictures, bucket), info.fps)
    if settings.scenes:
        shown = mark_cuts(shown, info.fps)
    clips, short, longest = [], 0, 0
    for shot in _split(resample(shown, info.fps, settings.fps), settings.max_frames):
        longest = max(longest, len(shot))
        if len(shot) < settings.min_frames:
            short += 1
            continue
        about = {
            "caption": video.caption or settings.caption,
            "file": video.name,
            "start": round(float(shot[0].number / settings.fps), 3),
            "fps": float(settings.fps),
            "frames": len(shot),
            "width": bucket.width,
            "height": bucket.height,
        }
        clips.append(
            Clip(bucket, h264.encode(np.stack([frame.pixels for frame in shot]), settings.fps, CRF), about)
        )
    if not clips:
        raise Unusable("too short", f"the longest shot has {longest} frames at {float(settings.fps):g} fps")
    return Outcome(clips, short)


def _filled(pictures: Iterator[np.ndarray], bucket: Size) -> Iterator[np.ndarray]:
    """Pictures at the bucket's size; those that were one and the same still are."""
    before, filled = None, None
    for picture in pictures:
        if picture is not before:
            before, filled = picture, fill(picture, bucket)
        assert filled is not None
        yield filled


def _split(frames: Iterator[Frame], longest: int) -> Iterator[list[Frame]]:
    """Shots, those that are longer than ``longest`` frames in parts."""
    shot: list[Frame] = []
    for frame in frames:
        if shot and (frame.begins or len(shot) == longest):
            yield shot
            shot = []
        shot.append(frame)
    if shot:
        yield shot
