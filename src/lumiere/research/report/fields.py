"""Fields of JSON that others wrote, checked; ``reading`` says of which file it was."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lumiere.errors import InputError
from lumiere.io.text import parse_json, read_text
from lumiere.research.report.section import Cell


def number(value: Any) -> float:
    """Raises :class:`ValueError` unless it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def optional(value: Any) -> float | None:
    """A number or None. Raises :class:`ValueError` for anything else."""
    return None if value is None else number(value)


def count(value: Any) -> int | None:
    """A whole number or None. Raises :class:`ValueError` for anything else."""
    found = optional(value)
    if found is not None and not (found >= 0 and found.is_integer()):
        raise ValueError(f"{value!r} is no count")
    return None if found is None else int(found)


def text(value: Any) -> str:
    """Raises :class:`ValueError` unless it is a string."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def objects(value: Any) -> list[dict[str, Any]]:
    """Raises :class:`ValueError` unless it is a list of objects."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError(f"{str(value)[:60]!r} is no list of objects")
    return value


def cell(fields: dict[str, Any], mean: str = "mean", of: Any = None) -> Cell | None:
    """``mean``, ``low`` and ``high``; None without a mean. Raises :class:`ValueError` for what is none."""
    middle, low, high = (optional(fields.get(name)) for name in (mean, "low", "high"))
    if middle is None:
        return None
    if (low is None) != (high is None) or (low is not None and high is not None and low > high):
        raise ValueError(f"[{low}, {high}] is no interval")
    return Cell(middle, low, high, count(of))


def flat(facts: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as one, under names such as ``settings.steps``."""
    found: dict[str, Any] = {}
    for name, value in facts.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def lines(file: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON Lines; none if it is not there. Raises :class:`InputError` for others."""
    if not file.is_file():
        return []
    try:
        return objects([parse_json(line) for line in read_text(file).splitlines()])
    except ValueError as error:
        raise InputError(f"{file} is damaged ({error}); measure again") from None


def distinct(paths: Iterable[Path]) -> list[str]:
    """The paths without the folders that all of them are in."""
    absolute = [path.absolute() for path in paths]
    shared = [set(parts) for parts in zip(*(path.parent.parts for path in absolute), strict=False)]
    depth = next((index for index, parts in enumerate(shared) if len(parts) > 1), len(shared))
    return ["/".join(path.parts[depth:]) for path in absolute]
