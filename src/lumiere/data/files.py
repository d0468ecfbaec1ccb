"""Bytes to files that are there whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lumiere.errors import InputError
from lumiere.files import replacing


def write_whole(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, or nothing at all. Raises :class:`InputError` if it cannot be written."""
    try:
        with replacing(path) as part:
            part.write_bytes(data)
    except OSError as error:
        remedy = "free space or choose another folder"
        raise InputError(f"cannot write {path}: {error.strerror}; {remedy}") from error


def read_manifest(path: Path, form: str) -> dict[str, Any] | None:
    """What a preparation wrote of itself there, whose ``format`` is ``form``; None if it is not that."""
    try:
        manifest: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return manifest if manifest["format"] == form else None
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None
