"""What a browser may send: bytes, pixels, seconds, frames, and how many."""

from __future__ import annotations

from typing import Any

from lumiere.errors import InputError

MB = 1_000_000
MOST_BYTES = 100 * MB
MOST_PICTURE_PIXELS = 25_000_000
MOST_FRAME_PIXELS = 4_200_000
MOST_VIDEO_PIXELS = 1_000_000_000
MOST_SECONDS = 60
MOST_VIDEO_FRAMES = 3600
MOST_BODY = 64_000
#: seconds that a client may send nothing in the middle of a request
MOST_SILENCE = 60
#: free bytes of the disk, below which nothing is taken
LEAST_FREE = 1_000 * MB
MOST_TEXT = 2000
MOST_FILES = 500
MOST_SESSION_BYTES = 4_000 * MB
MOST_WAITING = 25
MOST_REFERENCES = 8
#: of the options that are numbers
MOST: dict[str, int] = {"frames": 1600, "steps": 250, "fit_steps": 2000, "fps": 240}
MOST_SIDE = 2048


def shown(value: Any) -> str:
    """A value of the browser's in a message: one short line."""
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


def check_text(name: str, text: Any) -> None:
    """Raise :class:`InputError` for text that is longer than anything that a prompt could use."""
    if isinstance(text, str) and len(text) > MOST_TEXT:
        raise InputError(f"the {name} has {len(text)} characters; give up to {MOST_TEXT}")


def check_number(name: str, value: Any) -> None:
    """Raise :class:`InputError` for a number beyond what one machine makes for one page."""
    if name in MOST and isinstance(value, int | float) and value > MOST[name]:
        raise InputError(f"{name} is {value}; give up to {MOST[name]}")


def check_picture(name: str, width: int, height: int) -> None:
    """Raise :class:`InputError` for a picture of more than 25 megapixels."""
    if width * height > MOST_PICTURE_PIXELS:
        raise InputError(
            f"{name} is {width}x{height}, {width * height / 1e6:.0f} megapixels; "
            f"give a picture of up to {MOST_PICTURE_PIXELS / 1e6:.0f}"
        )


def check_video(name: str, width: int, height: int, frames: int = 1, seconds: float = 0) -> None:
    """Raise :class:`InputError` for a video that is too large, or too long."""
    if width * height > MOST_FRAME_PIXELS:
        raise InputError(
            f"{name} is {width}x{height}; give a video of up to {MOST_FRAME_PIXELS / 1e6:.1f} megapixels"
        )
    if seconds > MOST_SECONDS or frames > MOST_VIDEO_FRAMES:
        raise InputError(
            f"{name} has {frames} frames, {seconds:.0f} s; give up to {MOST_SECONDS} s "
            f"and {MOST_VIDEO_FRAMES} frames"
        )
    if width * height * frames > MOST_VIDEO_PIXELS:
        most = MOST_VIDEO_PIXELS // (width * height)
        raise InputError(
            f"{name} has {frames} frames of {width}x{height}; give up to {most} frames of this size, "
            "or a smaller size"
        )
