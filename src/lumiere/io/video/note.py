"""The note in a written clip: its generation settings, and what its format cannot store exactly.

JSON in ASCII, so that it survives comment fields of every age. GIF keeps time in hundredths of a second and
WebP in thousandths, hence the exact ``fps``; H.264 wants even sizes, hence the true ``size``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from lumiere.errors import InputError

_SOFTWARE = "lumiere"


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
                }
            )
        except (TypeError, ValueError) as error:
            raise InputError(
                f"a clip's metadata cannot be stored as JSON: {error}; give text, numbers, lists, ..."
            ) from error


def parse_note(text: str | bytes | None) -> Note | None:
    """The note in a comment field, or None where it holds anything else."""
    try:
        fields = json.loads(text or "")
        if fields["software"] != _SOFTWARE:
            return None
        width, height = fields["size"]
        return Note(
            Fraction(fields["fps"]),
            (int(width), int(height)),
            int(fields["frames"]),
            dict(fields["settings"]),
        )
    except (ValueError, KeyError, TypeError, ZeroDivisionError):
        return None
