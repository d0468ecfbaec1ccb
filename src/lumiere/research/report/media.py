"""Clips and pictures as parts of a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lumiere.errors import InputError
from lumiere.io.video import stream
from lumiere.research.report.section import ShownClip

_VIDEOS = {".mp4": "video/mp4", ".webm": "video/webm"}
_PICTURES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
# A sheet of clips as PNG is some megabytes, and a tenth of that as WebP.
_LARGE_PICTURE = 256 * 1024
_WEBP_QUALITY, _WEBP_SIDE = 80, 16383


@dataclass(frozen=True)
class Medium:
    """A file as a data URI, its size in pixels, and of a clip the first frame."""

    uri: str
    width: int
    height: int
    poster: str = ""


def video(file: Path) -> Medium:
    """A clip as it is in its file. Raises :class:`InputError` unless it is an MP4 or WebM."""
    if file.suffix.lower() not in _VIDEOS:
        raise InputError(f"{file} cannot be played on a page; give .mp4 or .webm")
    info, frames = stream(file)
    poster = _webp(Image.fromarray(next(frames)))
    return Medium(_uri(_VIDEOS[file.suffix.lower()], file.read_bytes()), info.width, info.height, poster)


def picture(file: Path) -> Medium:
    """A picture as it is in its file; a large one as WebP. Raises :class:`InputError` if it is none."""
    try:
        data = file.read_bytes()
        with Image.open(io.BytesIO(data), formats=list(_PICTURES)) as image:
            image.load()
            made = Medium(_uri(_PICTURES[str(image.format)], data), *image.size)
            if len(data) > _LARGE_PICTURE and max(image.size) <= _WEBP_SIDE:
                made = Medium(_webp(image), *image.size)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{file} cannot be read as a picture, PNG, JPEG or WebP: {error}") from None
    return made


def _webp(image: Image.Image) -> str:
    written = io.BytesIO()
    image.convert("RGB").save(written, "WEBP", quality=_WEBP_QUALITY)
    return _uri("image/webp", written.getvalue())


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def comparisons(clips: Sequence[ShownClip], count: int) -> dict[str, list[ShownClip]]:
    """The clips of ``count`` prompts by their prompt, evenly spaced among those that most methods have."""
    by_prompt: dict[str, list[ShownClip]] = {}
    for clip in clips:
        by_prompt.setdefault(clip.prompt, []).append(clip)
    most = max(map(len, by_prompt.values()), default=0)
    prompts = [prompt for prompt, shown in by_prompt.items() if len(shown) == most]
    count = min(count, len(prompts))
    chosen = [prompts[(2 * place + 1) * len(prompts) // (2 * count)] for place in range(count)]
    return {prompt: by_prompt[prompt] for prompt in chosen}
