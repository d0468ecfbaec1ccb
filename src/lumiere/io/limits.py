"""Limits on what a file may claim, checked before anything is decoded or allocated.

A header of a few bytes can claim a picture that no memory holds. Each limit is raised by an environment
variable, which the error names.
"""

from __future__ import annotations

import os

import psutil

from lumiere.errors import InputError

PIXELS, FRAMES, SECONDS = "LUMIERE_MAX_PIXELS", "LUMIERE_MAX_FRAMES", "LUMIERE_MAX_SECONDS"
#: pixels of a picture, 8192 x 8192; frames of a video; and its seconds, 12 hours
DEFAULTS = {PIXELS: 8192 * 8192, FRAMES: 1_000_000, SECONDS: 12 * 3600}


class LimitError(InputError):
    """A picture or video is larger or longer than the limit; ``reason`` says in two words which."""

    def __init__(self, message: str, reason: str = "too large"):
        super().__init__(message)
        self.reason = reason


def limit(name: str) -> int:
    """The limit that the environment sets, or the default. Raises :class:`InputError` if it is no number."""
    text = os.environ.get(name, "")
    if not text:
        return DEFAULTS[name]
    if not (text.isascii() and text.isdigit()) or len(text) > 18 or not int(text):
        raise InputError(f"the environment variable {name} is {text!r}; give a whole number over 0")
    return int(text)


def check_size(width: int, height: int, what: object) -> None:
    """Raises :class:`LimitError` if ``what``, of width x height pixels, is larger than the limit."""
    if width * height > (most := limit(PIXELS)):
        raise LimitError(
            f"{what} is {width}x{height}, {width * height / 1e6:.0f} megapixels; the limit is "
            f"{most / 1e6:.0f}, which {PIXELS}={width * height} raises"
        )


def check_length(frames: int, seconds: float, what: object) -> None:
    """Raises :class:`LimitError` if ``what`` has more frames, or lasts longer, than the limits."""
    if frames > (most := limit(FRAMES)):
        raise LimitError(
            f"{what} has {frames} frames; the limit is {most}, which {FRAMES}={frames} raises", "too long"
        )
    if seconds > (most := limit(SECONDS)):
        raise LimitError(
            f"{what} lasts {seconds:.0f} seconds; the limit is {most}, which {SECONDS}={seconds:.0f} raises",
            "too long",
        )


def check_memory(width: int, height: int, frames: int, what: object) -> None:
    """Raises :class:`LimitError` if the frames, 3 bytes a pixel, do not fit a third of the free memory.

    A third, since stacking and converting them needs them twice for a moment.
    """
    size = 3 * width * height
    if size * frames > (room := psutil.virtual_memory().available // 3):
        raise LimitError(
            f"{what}, {frames} frames of {width}x{height}, is too long for the free memory; give up to "
            f"{room // size} frames of that size",
            "too long",
        )
