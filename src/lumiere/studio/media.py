"""Uploaded files made safe, and what the page shows and saves of a file."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lumiere import conditions
from lumiere.errors import InputError
from lumiere.io.files import replacing
from lumiere.io.pictures import read_cutout
from lumiere.io.video import Clip, probe, resize, stream, write_frames
from lumiere.io.video.note import Note
from lumiere.io.video.transparent import write_apng
from lumiere.studio import limits

#: the formats that a clip is saved in, by their endings
FORMATS = {
    "mp4": "video/mp4",
    "webm": "video/webm",
    "gif": "image/gif",
    "webp": "image/webp",
    "apng": "image/apng",
    "zip": "application/zip",
}
VIEW, POSTER = "view.mp4", "poster.webp"
PICTURE_VIEW = "view.webp"
_VIEW_SIDE, _POSTER_SIDE = 640, 256
_KNOWN = "PNG, JPEG, WebP, GIF, MP4, MOV, WebM, MKV or AVI"
_STILLS = ("PNG", "JPEG", "WEBP", "GIF")


def ending_of(path: Path, name: str) -> str:
    """The ending that a file's first bytes call for.

    FFmpeg would take play lists, too, which name other files.

    Raises:
        InputError: it is no picture and no video.
    """
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return ".png"
    if head.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return ".gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return ".avi"
    if head[4:8] == b"ftyp" and head[8:12] not in (b"avif", b"avis", b"heic", b"heix", b"mif1"):
        return ".mp4"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return ".mkv"
    raise InputError(f"{name} is no picture or video that can be read; give {_KNOWN}")


def shown_name(name: str) -> str:
    """What a browser calls a file, as a label: the last part of a path, printable, up to 80 characters."""
    last = "".join(c for c in name.replace("\\", "/").rpartition("/")[2] if c.isprintable())
    return last[-80:] or "file"


def accept(upload: Path, folder: Path, name: str, mask: bool = False) -> tuple[str, dict[str, Any]]:
    """Check an uploaded file, and put it, and what the page shows of it, into a folder.

    Args:
        upload: the received bytes, which are moved.
        folder: is made.
        name: as the user calls the file.
        mask: whether it is to be a picture of a painted region.

    Returns:
        Its kind, and what it is: width, height, frames, fps, settings.

    Raises:
        InputError: it is no picture or video, damaged, or larger than :mod:`lumiere.studio.limits` allows.
    """
    ending = ending_of(upload, name)
    with replacing(folder) as made:
        made.mkdir()
        path = made / f"source{ending}"
        shutil.move(upload, path)
        try:
            if ending in (".mp4", ".mkv", ".avi") or _is_animated(path, name):
                if mask:
                    raise InputError(f"{name} is a video; a mask is a picture")
                return "video", _take_video(path, made, name)
            return ("mask" if mask else "picture"), _take_picture(path, made, name)
        except InputError as error:
            raise InputError(str(error).replace(str(path), name)) from None


def _is_animated(path: Path, name: str) -> bool:
    try:
        with Image.open(path, formats=_STILLS) as picture:
            limits.check_picture(name, *picture.size)
            return getattr(picture, "n_frames", 1) > 1
    except Image.DecompressionBombError:
        most = limits.MOST_PICTURE_PIXELS / 1e6
        raise InputError(f"{name} has over 178 megapixels; give a picture of up to {most:.0f}") from None
    except InputError:
        raise
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{name} is damaged or cut short: {' '.join(str(error).split())}") from None


def _take_picture(path: Path, folder: Path, name: str) -> dict[str, Any]:
    pixels = read_cutout(path)
    height, width = pixels.shape[:2]
    shown = Image.fromarray(pixels)
    shown.thumbnail((_VIEW_SIDE * 2, _VIEW_SIDE * 2))
    shown.save(folder / PICTURE_VIEW, lossless=max(shown.size) <= _POSTER_SIDE, quality=92)
    shown.thumbnail((_POSTER_SIDE, _POSTER_SIDE))
    shown.save(folder / POSTER)
    return {"width": width, "height": height, "cutout": pixels.shape[2] == 4}


def _take_video(path: Path, folder: Path, name: str) -> dict[str, Any]:
    limits.check_video(name, *_size_in_header(path, name))
    about = about_video(path)
    limits.check_video(name, about["width"], about["height"], about["frames"], about["duration"])
    write_view(path, folder)
    return about


def _size_in_header(path: Path, name: str) -> tuple[int, int]:
    """Width and height as the file claims, before anything is decoded."""
    if path.suffix in (".gif", ".webp", ".png"):
        with Image.open(path, formats=_STILLS) as picture:
            return picture.size
    import av

    try:
        with av.open(str(path), metadata_errors="replace") as container:
            streams = container.streams.video
            return (streams[0].width, streams[0].height) if streams else (0, 0)
    except av.error.FFmpegError as error:
        raise InputError(f"{name} is no video, or is damaged or cut short: {error.strerror}") from None


def about_video(path: Path) -> dict[str, Any]:
    """What the page says of a video, or of a clip's folder of frames."""
    info = probe(path)
    return {
        "width": info.width,
        "height": info.height,
        "frames": info.frames,
        "fps": float(info.fps),
        "duration": info.duration,
        "settings": info.metadata,
    }


def source_of(folder: Path) -> Path:
    """The picture, video or folder of frames in a file's folder; FileNotFoundError if it was deleted."""
    found = (path for path in folder.iterdir() if path.stem in ("source", "clip"))
    if (path := next(found, None)) is None:
        raise FileNotFoundError(f"{folder} holds no source and no clip")
    return path


def write_view(path: Path, folder: Path) -> None:
    """Write what the page plays of a video, H.264 of up to 640 pixels a side, and a poster."""
    info, frames = stream(path)
    scale = min(1.0, _VIEW_SIDE / max(info.width, info.height))
    height, width = (max(1, round(side * scale)) for side in (info.height, info.width))

    def shown() -> Iterator[np.ndarray]:
        for number, frame in enumerate(frames):
            if number == 0:
                poster = Image.fromarray(frame)
                poster.thumbnail((_POSTER_SIDE, _POSTER_SIDE))
                poster.save(folder / POSTER, quality=90)
            yield resize(frame[None], height, width)[0]

    write_frames(folder / VIEW, shown(), info.frames, (height, width), Fraction(info.fps), {})


def frame_of(path: Path, number: int) -> np.ndarray:
    """One frame of a video, uint8 h w 3. Raises :class:`InputError` if it has no such frame."""
    info, frames = stream(path)
    if not 0 <= number < info.frames:
        raise InputError(f"frame {number} is outside the clip; its frames are 0 to {info.frames - 1}")
    return next(frame for index, frame in enumerate(frames) if index == number)


def saved(folder: Path, format_: str, scratch: Path, sound: Path | None = None) -> Path:
    """The file's video in one of ``FORMATS``, written on the first call.

    Args:
        scratch: where frames may lie meanwhile.
        sound: a video whose sound goes along.
    """
    path = folder / f"saved.{format_}"
    if path.is_file():
        return path
    source = source_of(folder)
    if format_ == "apng":
        clip = Clip.load(source)
        note = Note(Fraction(clip.fps), (clip.width, clip.height), len(clip), clip.metadata)
        with replacing(path) as temporary:
            write_apng(temporary, clip.frames, Fraction(clip.fps), note.dumps())
        return path
    if format_ != "zip":
        return Clip.load(source).save(path, sound=sound)
    with tempfile.TemporaryDirectory(dir=scratch) as made, replacing(path) as temporary:
        frames = source if source.is_dir() else Clip.load(source).save(Path(made) / "frames")
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for each in sorted(frames.iterdir()):
                archive.write(each, each.name)
    return path


def masks_over_time(masks: Mapping[int, Path], video: Path, out: Path) -> Path:
    """Masks painted on some frames of a video: each holds until the next, the first from the beginning.

    Args:
        masks: by the numbers of their frames, at least two.
        out: folder of frames to write.

    Raises:
        InputError: a mask has other proportions than the video, or its frame is outside the video.
    """
    info = probe(video)
    if (last := max(masks)) >= info.frames or min(masks) < 0:
        raise InputError(f"a mask is of frame {last}; the video's frames are 0 to {info.frames - 1}")
    painted = {
        number: conditions.fit_mask(conditions.read_mask(path), info.height, info.width)
        for number, path in sorted(masks.items())
    }
    levels = {number: (mask * 255).round().astype(np.uint8) for number, mask in painted.items()}
    current = levels[min(levels)]
    frames = []
    for number in range(info.frames):
        current = levels.get(number, current)
        frames.append(current)
    grey = np.repeat(np.stack(frames)[..., None], 3, axis=-1)
    return Clip(grey, info.fps).save(out, overwrite=True)
