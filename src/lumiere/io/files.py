"""Names of files, and writing a file or a folder whole, or not at all."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from lumiere.errors import InputError

_UNFINISHED = re.compile(r"\.[0-9a-f]{12}\.part(\.\w+)?")
_SLUG_LENGTH = 60
_FRAME_FOLDER_NAMES = re.compile(r"clip\.json|frame-\d{5,}\.png")


def check_output(path: Path, overwrite: bool = False, endings: Collection[str] | None = None) -> None:
    """Check before any work that an output can be written at the end.

    ``endings`` are the allowed ones, in lower case with their dot; ``""`` among them allows a folder of
    frames, and None allows any. Nothing is created.

    Raises :class:`InputError` for an unknown ending, an output that exists without ``overwrite``, a folder
    that is no folder of frames (it is never replaced), and a parent that cannot be written.
    """
    ending = path.suffix.lower()
    if endings is not None and ending not in endings:
        known = ", ".join(known or "no ending (a folder of PNGs)" for known in endings)
        raise InputError(f"cannot write {path}: the ending {ending!r} is not known; known are {known}")
    if path.exists() or path.is_symlink():
        if not overwrite:
            raise InputError(f"{path} exists; choose another name, or overwrite it (--overwrite)")
        if endings is not None and not ending and path.is_file():
            raise InputError(f"{path} is a file; add an ending such as .mp4, or choose another folder")
        if path.is_dir() and (ending or not _is_frame_folder(path)):
            raise InputError(f"{path} is a folder that holds more than a clip's frames; choose another name")
    check_parent(path)


def check_parent(path: Path) -> None:
    """Raises :class:`InputError` unless ``path`` can be written. Missing folders are not made yet."""
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    try:
        # Asking the file system is surer than reading permissions: root, read-only mounts, full disks.
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror} ({parent}); choose another folder"
        ) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``, renamed to ``path`` on success and removed on failure.

    The parent folder is made where it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(6)}.part{path.suffix}")
    try:
        yield temporary
        if path.is_dir() and not path.is_symlink():
            _swap_folder(temporary, path)
        else:
            os.replace(temporary, path)
    finally:
        _remove(temporary)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")


def slug(text: str) -> str:
    """A file name of lower-case words with dashes between them, at most 60 characters: "A red fox!" gives
    ``a-red-fox``. ``clip`` if no letter or digit is left."""
    return re.sub(r"[\W_]+", "-", text.lower()).strip("-")[:_SLUG_LENGTH].rstrip("-") or "clip"


def remove_unfinished(folder: Path) -> None:
    """Remove what :func:`replacing` left in a folder when it was killed. Nobody else may be writing there."""
    for path in folder.iterdir():
        if _UNFINISHED.fullmatch(path.name):
            _remove(path)


def _swap_folder(new: Path, path: Path) -> None:
    """No call replaces a folder that is not empty: move the old one aside, and back if the new one fails."""
    aside = new.with_suffix(".old")
    os.rename(path, aside)
    try:
        os.rename(new, path)
    except BaseException:
        os.rename(aside, path)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_frame_folder(path: Path) -> bool:
    return all(_FRAME_FOLDER_NAMES.fullmatch(entry.name) for entry in path.iterdir())
