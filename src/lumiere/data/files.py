"""Bytes to files that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

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
