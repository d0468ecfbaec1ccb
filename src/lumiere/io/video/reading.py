"""Reading of videos: their frames on a uniform time grid, and their properties."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any

import av
import numpy as np
import psutil
from av.container import InputContainer
from av.video.reformatter import Colorspace
from PIL import Image

from lumiere.errors import InputError
from lumiere.io.video.note import Note, parse_note
from lumiere.io.video.writing import EXIF_IMAGE_DESCRIPTION, SCALING

Cut = Callable[[np.ndarray], np.ndarray]

_UNSPECIFIED_COLOURS = 2
_STILL_RATE = Fraction(25)
_FASTEST_RATE = 1000
_WORTH_THREADS = 512 * 512
# FFmpeg's own VP8 and VP9 drop the alpha channel, libvpx keeps it.
_DECODERS_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


@dataclass(frozen=True)
class ClipInfo:
    """Properties of a file: size in pixels, frames, frame rate, and generation settings."""

    width: int
    height: int
    frames: int
    fps: Fraction
    metadata: dict[str, Any]

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(self.frames / self.fps)


@dataclass
class _Track:
    """Timing of a file besides its pixels; filled while it is read.

    Times are in seconds: when each picture appears (None if the file does not say), how long the last one
    stays, and the file's resolution of time.
    """

    note: Note | None = None
    declared_fps: Fraction | None = None
    unit: Fraction = Fraction(1, 1000)
    times: list[Fraction | None] = field(default_factory=list)
    last: Fraction = Fraction(0)

    @property
    def settings(self) -> dict[str, Any]:
        return self.note.settings if self.note else {}

    def add(self, pts: int | None, unit: Fraction | None, duration: int | None) -> None:
        unit = unit or self.unit
        self.times.append(None if pts is None else pts * unit)
        self.last = (duration or 0) * unit


def read(path: Path, cut: Cut | None = None) -> tuple[np.ndarray, Fraction, dict[str, Any]]:
    """Frames (uint8, T x H x W x 3), frames per second, settings.

    ``cut`` is applied to every picture (H x W x 3) as it is decoded, so that a slice of a long video needs no
    memory for the whole. Raises :class:`InputError` if the file is missing, no video, cut short, damaged or
    too long for the memory that is free.
    """
    track = _Track()
    frames = _stack(_pictures(path, track), cut, path)
    fps, shown = _uniform(track)
    if shown != list(range(len(frames))):
        frames = frames[shown]
    return frames, fps, track.settings


def probe(path: str | os.PathLike[str]) -> ClipInfo:
    """Size, length and settings, without decoding the frames (but a WebP's).

    Raises :class:`InputError` if the file is missing, no video or cut short.
    """
    return _survey(Path(path))[0]


def stream(path: str | os.PathLike[str]) -> tuple[ClipInfo, Iterator[np.ndarray]]:
    """Properties of a file, and its frames one by one (uint8, H x W x 3) on the uniform time grid of
    :func:`read`. At most one frame is in memory.

    Raises :class:`InputError` as :func:`probe` does; the iterator raises it for a frame that is damaged.
    """
    path = Path(path)
    info, shown = _survey(path)

    def frames() -> Iterator[np.ndarray]:
        ticks = iter(shown)
        tick = next(ticks, None)
        for index, picture in enumerate(_pictures(path, _Track())):
            if picture.shape[:2] != (info.height, info.width):
                raise InputError(f"{path} has frames of different sizes; resize them to one size")
            while tick == index:
                yield picture
                tick = next(ticks, None)
        if tick is not None:
            raise InputError(f"{path} is damaged or cut short: frame {tick} of {shown[-1] + 1} is missing")

    return info, frames()


def _survey(path: Path) -> tuple[ClipInfo, list[int]]:
    """Properties of a file, and which picture is on the screen at each tick of its rate."""
    track = _Track()
    try:
        height, width = next(_pictures(path, track)).shape[:2]
    except StopIteration:
        raise InputError(f"{path} has no frames; give a video with 1 or more") from None
    if path.is_dir():
        assert track.note is not None
        count = track.note.frames
        return ClipInfo(width, height, count, track.note.fps, track.settings), list(range(count))
    track = _Track()
    if _is_webp(path):
        for _ in _webp_pictures(path, track):
            pass
    else:
        with _opened(path, track) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size and not packet.is_discard:
                    _refuse_corrupt(packet, path)
                    track.add(packet.pts, packet.time_base, packet.duration)
            _refuse_missing_end(container, track, path)
        if None not in track.times:
            track.times.sort(key=lambda time: time or 0)  # packets come in the order of decoding
    fps, shown = _uniform(track)
    return ClipInfo(width, height, len(shown), fps, track.settings), shown


def _pictures(path: Path, track: _Track) -> Iterator[np.ndarray]:
    if not path.exists():
        raise InputError(f"{path} does not exist; give a video file, or a folder of frames")
    if path.is_dir():
        return _folder_pictures(path, track)
    if _is_webp(path):
        return _webp_pictures(path, track)
    return _movie_pictures(path, track)


def _stack(pictures: Iterator[np.ndarray], cut: Cut | None, path: Path) -> np.ndarray:
    room = psutil.virtual_memory().available // 3  # stacking needs them twice for a moment
    kept: list[np.ndarray] = []
    for picture in pictures:
        kept.append(picture if cut is None else cut(picture).copy())
        room -= kept[-1].nbytes
        if room < 0:
            size = f"{picture.shape[1]}x{picture.shape[0]}"
            raise InputError(
                f"{path} is too long for the free memory; give up to {len(kept)} frames of {size}"
            )
    if not kept:
        raise InputError(f"{path} has no frames; give a video with 1 or more")
    if len({picture.shape for picture in kept}) > 1:
        raise InputError(f"{path} has frames of different sizes; resize them to one size")
    return np.stack(kept)


# ---------------------------------------------------------------- time


def _uniform(track: _Track) -> tuple[Fraction, list[int]]:
    """A uniform frame rate, and which picture is on the screen at each of its ticks.

    The rate is that of the note or the container, if every picture starts at one of its ticks;
    else the mean of the usual intervals, those within half of their median. Times that are missing or do not
    grow (AVI with B-frames) mean nothing: the pictures come in the right order, at the declared rate.
    """
    known = [time for time in track.times if time is not None]
    if len(known) < len(track.times) or any(end <= start for start, end in pairwise(known)):
        return track.declared_fps or _STILL_RATE, list(range(len(track.times)))
    times = [time - known[0] for time in known]
    for rate in (track.note.fps if track.note else None, track.declared_fps):
        if rate and rate <= _FASTEST_RATE and (ticks := _ticks(times, rate, track.unit)):
            break
    else:
        rate = _usual_rate(times, track)
        ticks = [round(time * rate) for time in times]
    ends = [*ticks[1:], ticks[-1] + max(1, round(track.last * rate))]
    shown = [
        index for index, (start, end) in enumerate(zip(ticks, ends, strict=True)) for _ in range(start, end)
    ]
    return rate, shown


def _ticks(times: Sequence[Fraction], rate: Fraction, unit: Fraction) -> list[int] | None:
    """At which tick of the rate each picture starts; None if one starts between ticks, or two at the same."""
    ticks = [round(time * rate) for time in times]
    slack = min(unit * rate, Fraction(1, 2))
    fit = all(abs(time * rate - tick) <= slack for time, tick in zip(times, ticks, strict=True))
    return ticks if fit and len(set(ticks)) == len(ticks) else None


def _usual_rate(times: Sequence[Fraction], track: _Track) -> Fraction:
    intervals = [float(end - start) for start, end in pairwise(times)]
    intervals += [float(track.last)] if track.last else []
    if not intervals:
        return track.declared_fps or _STILL_RATE
    middle = median(intervals)
    usual = fmean(interval for interval in intervals if middle / 2 <= interval <= middle * 3 / 2)
    return min(Fraction(1 / usual).limit_denominator(1001), Fraction(_FASTEST_RATE))


# ---------------------------------------------------------------- movies


@contextmanager
def _opened(path: Path, track: _Track) -> Iterator[InputContainer]:
    """An open container with a video stream; errors of FFmpeg become an :class:`InputError`."""
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.video:
                raise InputError(f"{path} has no video stream; give a video")
            stream = container.streams.video[0]
            track.declared_fps = stream.average_rate
            track.unit = stream.time_base or track.unit
            comments = (text for key, text in container.metadata.items() if key.lower() == "comment")
            track.note = parse_note(next(comments, None))
            yield container
    except av.error.FFmpegError as error:
        raise InputError(f"{path} is no video, or is damaged or cut short: {error.strerror}") from error


def _movie_pictures(path: Path, track: _Track) -> Iterator[np.ndarray]:
    with _opened(path, track) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        decoder: Any = stream
        with_alpha = _DECODERS_WITH_ALPHA.get(stream.codec.name)
        if stream.metadata.get("alpha_mode") == "1" and with_alpha in av.codecs_available:
            decoder = av.CodecContext.create(with_alpha, "r")
        size: tuple[int, int] | None = None
        for packet in container.demux(stream):
            _refuse_corrupt(packet, path)
            for frame in decoder.decode(packet if packet.size else None):
                size = size or (frame.width, frame.height)
                track.add(frame.pts, frame.time_base, frame.duration)
                yield _cut_to_note(_pixels(frame, *size), track.note)
        _refuse_missing_end(container, track, path)


def _refuse_corrupt(packet: av.Packet[Any], path: Path) -> None:
    if packet.is_corrupt:
        raise InputError(f"{path} is damaged or cut short; download or generate it again")


def _refuse_missing_end(container: InputContainer, track: _Track, path: Path) -> None:
    """Detect truncated Matroska files and GIFs, which PyAV reads without an error."""
    if container.format.name == "gif":
        with path.open("rb") as file:
            file.seek(-min(64, path.stat().st_size), os.SEEK_END)
            if not file.read().rstrip(b"\0\r\n").endswith(b";"):
                raise InputError(f"{path} is cut short: it lacks the final ';' of a GIF; download it again")
    only_video = len(container.streams) == 1 and "matroska" in container.format.name
    if only_video and container.duration:
        whole = Fraction(container.duration, av.time_base)
        end = max((time for time in track.times if time is not None), default=Fraction(0)) + track.last
        if whole - end > (track.last * 3 / 2 or Fraction(1, 4)):
            raise InputError(
                f"{path} is cut short: it has {float(end):.2f} of {float(whole):.2f} seconds; fetch it again"
            )


def _pixels(frame: av.VideoFrame, width: int, height: int) -> np.ndarray:
    """uint8, H x W x 3, upright, on white."""
    # Untagged colours are BT.709 by custom from 720 rows on, which swscale does not know.
    untagged_hd = frame.colorspace == _UNSPECIFIED_COLOURS and frame.height >= 720
    has_alpha = frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components)
    pixels = frame.to_ndarray(
        format="rgba" if has_alpha else "rgb24",
        width=width,
        height=height,
        interpolation=SCALING,
        src_colorspace=Colorspace.ITU709 if untagged_hd else None,
        threads=1 if width * height < _WORTH_THREADS else 0,
    )
    return np.rot90(_on_white(pixels) if has_alpha else pixels, round(frame.rotation / 90))


def _on_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _cut_to_note(pixels: np.ndarray, note: Note | None) -> np.ndarray:
    """Take off the row and column that made an odd size even, unless the file was resized since."""
    height, width = pixels.shape[:2]
    if note and (width, height) == tuple(side + side % 2 for side in note.size):
        return pixels[: note.size[1], : note.size[0]]
    return pixels


# ---------------------------------------------------------------- WebP, of which FFmpeg reads only stills


def _is_webp(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(12)
    return head[:4] == b"RIFF" and head[8:] == b"WEBP"


def _webp_pictures(path: Path, track: _Track) -> Iterator[np.ndarray]:
    try:
        with Image.open(path) as image:
            track.note = parse_note(image.getexif().get(EXIF_IMAGE_DESCRIPTION))
            start = Fraction(0)
            for index in range(getattr(image, "n_frames", 1)):
                image.seek(index)
                pixels = _on_white(np.asarray(image.convert("RGBA")))
                track.times.append(start)
                track.last = Fraction(image.info.get("duration", 0), 1000)
                start += track.last
                yield pixels
            # Of frames that are all alike libwebp makes one still picture, which has no duration.
            if len(track.times) == 1 and track.note:
                track.last = track.note.frames / track.note.fps
    except (OSError, EOFError) as error:
        raise InputError(f"{path} is damaged or cut short; download or generate it again") from error


# ---------------------------------------------------------------- folders of PNGs


def _folder_pictures(path: Path, track: _Track) -> Iterator[np.ndarray]:
    file = path / "clip.json"
    if not file.is_file():
        raise InputError(f"{path} is a folder without the clip.json that a clip's folder of frames has")
    note = parse_note(file.read_bytes())
    if note is None:
        raise InputError(f"{file} is damaged; write the clip again")
    track.note, track.declared_fps = note, note.fps
    for index in range(note.frames):
        file = path / f"frame-{index:05d}.png"
        try:
            with Image.open(file) as image:
                pixels = np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError) as error:
            raise InputError(
                f"{file} is missing or damaged; its clip.json counts {note.frames} frames"
            ) from error
        track.times.append(None)
        yield pixels
