"""What several verbs check before they start heavy work."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lumiere.errors import InputError


def check_writable(path: Path, overwrite: bool, endings: Iterable[str] | None = None) -> None:
    """Refuse an output that could not be written at the end: say so before hours are spent on it.

    ``endings`` are the file endings allowed, each with its dot; ``""`` among them allows a folder. None allows
    any. The folder that is to hold the output is made if it is missing.

    Raises :class:`InputError` for an unknown ending, an existing output without ``overwrite``, a folder where a
    file is to go, and a parent that cannot be made or written.
    """
    if endings is not None and path.suffix.lower() not in (endings := list(endings)):
        known = ", ".join(ending or "a folder (no ending)" for ending in endings)
        raise InputError(f"cannot write {path}: the ending {path.suffix!r} is not known; use one of {known}")
    if path.exists() or path.is_symlink():
        if not overwrite:
            raise InputError(f"{path} exists; choose another name, or say --overwrite")
        if path.is_dir() and path.suffix:
            raise InputError(f"{path} is a folder; choose the name of a file")
    parent = path.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {parent}: {error.strerror}") from error
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"the folder {parent} cannot be written; choose another")
