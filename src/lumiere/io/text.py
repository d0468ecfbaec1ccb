"""Text from files, on its way to a terminal or to a parser."""

from __future__ import annotations

import json
import logging
import re
from functools import cache
from pathlib import Path
from typing import Any

#: what moves a terminal's cursor, changes its colours, or hides text: controls, directions, lone surrogates
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_DEEPEST = 64
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def printable(text: object) -> str:
    """Text on one line, with escapes such as ``\\x1b`` in place of what a terminal would obey."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], " ".join(str(text).split()))


def plain(text: object) -> str:
    """Lines of text as :func:`printable` has them, but with their spaces and line breaks."""
    return "\n".join(
        _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], line) for line in str(text).split("\n")
    )


@cache
def warn_once(message: str) -> None:
    """Log a warning, once in a process however often its cause is met."""
    logging.getLogger("lumiere").warning("%s", printable(message))


def read_text(path: Path) -> str:
    """A file of UTF-8, without a byte order mark.

    Raises:
        OSError, UnicodeDecodeError: it cannot be read.
    """
    return path.read_text("utf-8-sig")


def parse_json(text: str | bytes) -> Any:
    """What JSON holds, if it is nested no deeper than any of ours.

    Raises:
        ValueError: it is no such JSON.
    """
    text = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
    if _depth(text) > _DEEPEST:
        raise ValueError(f"it is nested deeper than {_DEEPEST} levels")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {_DEEPEST} levels") from None


def _depth(text: str) -> int:
    """How deep brackets outside of strings are nested."""
    deepest = depth = 0
    for found in _STRING_OR_BRACKET.findall(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found, 0)
        deepest = max(deepest, depth)
    return deepest
