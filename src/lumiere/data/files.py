"""Atomic writing of data files and manifests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lumiere.errors import InputError
from lumiere.io.files import replacing

MANIFEST = "manifest.json"


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


def claim(out: Path, request: dict[str, Any]) -> None:
    """Make ``out`` the folder of what ``request`` asks for, by a manifest that says so.

    Raises:
        InputError: it is a file, or holds something else.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; --out names a folder")
    manifest = out / MANIFEST
    try:
        found = json.loads(manifest.read_text("utf-8")) if manifest.exists() else None
    except ValueError:
        found = {}
    if (found is None and out.exists() and any(out.iterdir())) or found not in (None, request):
        was = ", ".join(f"{key} {found[key]}" for key in request if key in found) if found else "other data"
        raise InputError(f"{out} holds {was}; ask for the same, or choose another folder")
    write_whole(manifest, to_json(request, indent=1))


def to_json(value: Any, indent: int | None = None) -> bytes:
    return (json.dumps(value, indent=indent, ensure_ascii=False) + "\n").encode()
