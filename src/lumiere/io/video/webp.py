"""Animated WebP, of which FFmpeg reads only stills: Pillow decodes it, its timing is read from its chunks."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from PIL import ExifTags

from lumiere.errors import InputError
from lumiere.io.limits import check_length, check_size
from lumiere.io.pictures import on_white, opened
from lumiere.io.source import Source, open_source
from lumiere.io.video.note import parse_note
from lumiere.io.video.timing import Track

#: milliseconds that a frame without a duration stays, as players show it
_UNSAID = 100


def survey(source: Source, track: Track) -> tuple[int, int]:
    """Fill the track, decoding nothing; width and height in pixels.

    Raises :class:`InputError` if the file is cut short, or larger or longer than the limits.
    """
    size, durations = _chunks(source)
    track.complete, track.expected = True, len(durations)
    check_size(*size, source)
    check_length(len(durations), sum(durations) / 1000, source)
    with opened(source) as image:
        text = image.getexif().get(ExifTags.Base.ImageDescription)
        track.note = parse_note(text if isinstance(text, str) else None, source)
    # Of frames that are all alike libwebp makes one still picture, which has no duration.
    if len(durations) == 1 and track.note:
        track.times, track.last = [Fraction(0)], track.note.frames / track.note.fps
        return size
    start = 0
    for duration in durations:
        track.times.append(Fraction(start, 1000))
        start += duration
    track.last = Fraction(durations[-1], 1000)
    return size


def pictures(source: Source, alpha: bool = False) -> Iterator[np.ndarray]:
    """The frames one by one, uint8, h x w x 3, or x 4 with alpha.

    Raises :class:`InputError` for a damaged one.
    """
    with opened(source) as image:
        for index in range(getattr(image, "n_frames", 1)):
            try:
                image.seek(index)
                rgba = np.asarray(image.convert("RGBA"))
            except (OSError, EOFError) as error:
                raise InputError(f"{source} is damaged or cut short; fetch it again") from error
            yield rgba if alpha else on_white(rgba)


def _chunks(source: Source) -> tuple[tuple[int, int], list[int]]:
    """Size of the canvas, (width, height), and milliseconds of each frame: the RIFF container of
    developers.google.com/speed/webp/docs/riff_container."""
    size, durations = None, []
    with open_source(source) as file:
        riff = file.read(12)
        left = _number(riff[4:8]) - 4
        while left >= 8:
            head = file.read(8)
            length = _number(head[4:8])
            padded = length + length % 2
            body = file.read(min(padded, 30))
            kind = head[:4]
            if len(body) < min(padded, 30):
                raise InputError(f"{source} is damaged or cut short; fetch it again")
            if kind == b"VP8X" and len(body) >= 10:
                size = _number(body[4:7]) + 1, _number(body[7:10]) + 1
            elif kind == b"ANMF" and len(body) >= 16:
                durations.append(_number(body[12:15]) or _UNSAID)
            elif kind == b"VP8 " and len(body) >= 10:
                size = size or (_number(body[6:8]) & 0x3FFF, _number(body[8:10]) & 0x3FFF)
            elif kind == b"VP8L" and len(body) >= 5:
                bits = _number(body[1:5])
                size = size or ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
            left -= 8 + padded
            file.seek(padded - len(body), 1)
        file.seek(0, 2)
        if left > 0 or file.tell() < _number(riff[4:8]) + 8 or size is None:
            raise InputError(f"{source} is damaged or cut short; fetch it again")
    return size, durations or [0]


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
