"""The lines of a batch: JSON Lines, CSV, or one prompt a line."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lumiere.errors import InputError
from lumiere.io.text import parse_json, read_text


@dataclass(frozen=True)
class Line:
    """``options`` by their names, as the file says them; ``number`` is the line's in the file, from 1."""

    number: int
    options: dict[str, Any]


def read_lines(path: Path) -> list[Line]:
    """The lines of a .jsonl, .csv or .txt, those that are empty left out.

    Raises:
        InputError: the file cannot be read, a line of it is malformed, or it holds none.
    """
    if path.suffix.lower() not in _READERS:
        raise InputError(f"{path} cannot be read: the ending is to be one of {', '.join(_READERS)}")
    try:
        text = read_text(path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: byte {error.start} is none") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    try:
        lines = [Line(number, options) for number, options in _READERS[path.suffix.lower()](text)]
    except _Malformed as error:
        raise InputError(f"{path}:{error}") from None
    if not lines:
        raise InputError(f"{path} holds no clip to make; give a prompt a line, or lines of JSON")
    return lines


class _Malformed(Exception):
    """``NUMBER: what is wrong with that line``."""


def _prompts(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, {"prompt": line.strip()}


def _json_lines(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    # Not splitlines(): JSON strings may hold U+2028 and its like.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            options = parse_json(line)
        except ValueError as error:
            raise _Malformed(f"{number}: not JSON: {error}") from None
        if not isinstance(options, dict):
            raise _Malformed(f'{number}: {line.strip()[:40]} is no object; write {{"prompt": "..."}}')
        yield number, options


def _table(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    end = 0
    names: list[str] = []
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise _Malformed(f"{end + 1}: not CSV: {error}") from None
        if row is None:
            return
        number, end = end + 1, rows.line_num
        if not any(row):
            continue
        if not names:
            names = [name.strip() for name in row]
            if twice := {name for name in names if names.count(name) > 1}:
                raise _Malformed(f"{number}: two columns are named {min(twice)!r}")
            continue
        if len(row) > len(names):
            raise _Malformed(f"{number}: {len(row)} cells, but {len(names)} columns; quote what has commas")
        yield number, {name: cell for name, cell in zip(names, row, strict=False) if cell}


_READERS: dict[str, Callable[[str], Iterator[tuple[int, dict[str, Any]]]]] = {
    ".jsonl": _json_lines,
    ".csv": _table,
    ".txt": _prompts,
}
