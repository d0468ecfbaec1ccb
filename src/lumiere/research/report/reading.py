"""Read files and folders of figures, recognised by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lumiere.errors import InputError
from lumiere.io.source import Kind, kind_of
from lumiere.io.text import parse_json
from lumiere.research.report import ablations, evaluations, metrics, slices, studies
from lumiere.research.report.fields import distinct, flat
from lumiere.research.report.section import Section, Source, merged
from lumiere.research.study.plan import FILE as STUDY

FIGURES = "figures.json"
_KINDS = (evaluations, ablations, metrics, studies, slices)
# Parts of a file of figures that are shown, and so are not repeated among its settings.
_SHOWN = {
    "figures", "titles", "questions", "tables", "pictures", "clips", "values", "pairs", "preferences",
    "checks",
}  # fmt: skip


def read(paths: Sequence[Path]) -> list[Section]:
    """The sections of files and folders, in their order; the same figures of several methods are one.

    A folder is searched for what ``lumiere evaluate``, ``ablate`` and ``study`` write.

    Raises:
        InputError: a path holds nothing that is known, or something that is damaged.
    """
    files = list(dict.fromkeys(file for path in paths for file in _files(path)))
    folders = distinct(file.parent for file in files)
    return merged(_read(file, folder) for file, folder in zip(files, folders, strict=True))


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(file for name in (FIGURES, STUDY) for file in path.rglob(name))
        if not found:
            raise InputError(
                f"{path} holds no figures; give a folder of `lumiere evaluate`, `lumiere ablate` or "
                "`lumiere study`"
            )
        return found
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a folder or a file of figures")
    return [path]


def _read(file: Path, folder: str) -> Section:
    if kind_of(file) is Kind.PICTURE:
        return slices.picture(file)
    try:
        data = file.read_bytes()
        content = parse_json(data)
    except ValueError as error:
        raise InputError(f"{file} cannot be read as JSON or as a picture: {error}") from None
    try:
        section = next(filter(None, (kind.read(content, file) for kind in _KINDS)), None)
        facts = _facts(content, file, data)
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, StopIteration) as error:
        raise InputError(f"{file} is damaged ({error!r}); measure again") from None
    if section is None:
        raise InputError(f"{file} holds no figures that lumiere writes; `lumiere report --help` lists them")
    name = folder if file.name in (FIGURES, STUDY) else f"{folder}/{file.name}"
    return replace(section, sources=(Source(name, facts),))


def _facts(content: Any, file: Path, data: bytes) -> dict[str, Any]:
    """What the file says of how it was measured, and when it was written."""
    written = datetime.fromtimestamp(int(file.stat().st_mtime), timezone.utc)
    said: dict[str, Any] = {}
    if isinstance(content, dict):
        said = {key: value for key, value in content.items() if key not in _SHOWN}
        for value in content.get("values", []):
            said[value["title"].strip()] = {
                key: value for key, value in value["about"].items() if key != "metric"
            }
    return {
        "file": file.name,
        "written": f"{written:%Y-%m-%d %H:%M} UTC",
        "SHA-256": hashlib.sha256(data).hexdigest(),
        **flat(said),
    }
