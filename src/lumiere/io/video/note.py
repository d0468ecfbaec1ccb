"""The note in a written clip: its generation settings, and what its format cannot store exactly.

JSON in ASCII, so that it survives comment fields of every age. GIF keeps time in hundredths of a second and
WebP in thousandths, hence the exact ``fps``; H.264 wants even sizes, hence the true ``size``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from lumiere.errors import InputError
from lumiere.io.text import parse_json, printable, warn_once

#: frames per second
FASTEST = 1000
#: characters of a comment, beyond which it is not read
LONGEST = 1 << 20
_SOFTWARE = "lumiere"
_RATE = re.compile(r"\d{1,9}(/[1-9]\d{0,8})?")
_LARGEST, _MOST_FRAMES = 65535, 10**9


@dataclass(frozen=True)
class Note:
    """``size`` is (width, height) in pixels; ``frames`` their number; ``settings`` what JSON can hold."""

    fps: Fraction
    size: tuple[int, int]
    frames: int
    settings: dict[str, Any] = field(default_factory=dict)

    def dumps(self) -> str:
        """Raises :class:`InputError` if a setting is not JSON."""
        try:
            return json.dumps(
                {
                    "software": _SOFTWARE,
                    "fps": str(self.fps),
                    "size": self.size,
                    "frames": self.frames,
                    "settings": self.settings,
                },
                allow_nan=False,
            )
        except (TypeError, ValueError) as error:
            raise InputError(
                f"a clip's metadata cannot be stored as JSON: {error}; give text, numbers, lists, ..."
            ) from error


def parse_note(text: str | bytes | None, source: object) -> Note | None:
    """The note in the comment field of ``source``, or None where it holds anything else.

    A note is believed only if it is one that :meth:`Note.dumps` writes; of another that claims to be ours, a
    line says that it is ignored.
    """
    if not text:
        return None
    try:
        fields = parse_json(text[:LONGEST])
    except ValueError as error:
        if text[:1] in ("{", "[", b"{", b"["):
            warn_once(f"{source}: its comment is no JSON that can be read, and is ignored: {error}")
        return None
    if not isinstance(fields, dict) or fields.get("software") != _SOFTWARE:
        return None
    try:
        return _checked(fields)
    except (KeyError, TypeError, ValueError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        warn_once(f"{source}: its generation settings are damaged, and are ignored: {said}")
        return None


def _checked(fields: dict[str, Any]) -> Note:
    """Raises KeyError, TypeError or ValueError unless every field is what is written."""
    fps, (width, height), frames, settings = (fields[key] for key in ("fps", "size", "frames", "settings"))
    if not isinstance(fps, str) or not _RATE.fullmatch(fps) or not 0 < Fraction(fps) <= FASTEST:
        raise ValueError(f"fps is {_short(fps)}")
    for name, number, most in (
        ("width", width, _LARGEST),
        ("height", height, _LARGEST),
        ("frames", frames, _MOST_FRAMES),
    ):
        if type(number) is not int or not 0 < number <= most:
            raise ValueError(f"{name} is {_short(number)}")
    if not isinstance(settings, dict):
        raise ValueError(f"settings is {_short(settings)}")
    # Neither infinity nor half a surrogate pair is JSON that other programs read.
    json.dumps(settings, ensure_ascii=False, allow_nan=False).encode("utf-8")
    return Note(Fraction(fps), (width, height), frames, settings)


def _short(value: object) -> str:
    text = printable(repr(value))
    return text if len(text) <= 40 else f"{text[:40]}..."
