"""The work of a batch: jobs become clips, and a manifest says what became of each."""

from __future__ import annotations

import errno
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import click
from filelock import FileLock, Timeout

from lumiere.batch.plan import Job, digest_of, is_made
from lumiere.errors import InputError
from lumiere.io.files import remove_unfinished, replacing

MANIFEST = "manifest.jsonl"
LOCK = ".batch.lock"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@dataclass(frozen=True)
class Result:
    """What became of a job.

    Attributes:
        status: ``made``, ``kept`` (it was there already) or ``failed``.
        sha256: of the clip; of a folder of PNGs, of the list that ``sha256sum`` would print.
        error: why it failed, in one line.
        hopeless: the other jobs would fail as well, as on a full disk.
    """

    job: Job
    status: str
    sha256: str | None = None
    error: str | None = None
    hopeless: bool = False


def failed(job: Job, error: object, hopeless: bool = False) -> Result:
    return Result(job, "failed", error=" ".join(str(error).split()), hopeless=hopeless)


def found(job: Job) -> Result:
    """Of a job whose clip was there."""
    return Result(job, "kept", digest_of(job.path))


class Worker:
    """Makes one clip after another, with models that are loaded once."""

    def __init__(self, device: str, overwrite: bool) -> None:
        self._options = [f"--device={device}", *["--overwrite"] * overwrite]
        self._overwrite = overwrite
        self._context = click.Context(click.Command("batch"))

    def enter(self, working: Path, folder: Path, threads: int | None) -> None:
        """Begin to work on another machine.

        Args:
            working: where relative paths start from.
            folder: of the clips, that a batch is open in.
            threads: that the CPU computes with. Default: as many as torch takes.

        Raises:
            InputError: this machine has not these folders.
        """
        import torch

        if not working.is_dir() or not (folder / LOCK).is_file():
            missing = folder if working.is_dir() else working
            raise InputError(
                f"{missing} is not there on {platform.node()}; all machines have to share it, by one name"
            )
        os.chdir(working)
        if threads is not None:
            torch.set_num_threads(threads)

    def make(self, job: Job) -> Result:
        """Make the clip of a job, unless it is there."""
        try:
            if is_made(job.path, job.settings, self._overwrite):
                return found(job)
            job.call.make(f"--out={job.path}", *self._options, settings=job.settings, parent=self._context)
            return Result(job, "made", digest_of(job.path))
        except click.ClickException as error:
            return failed(job, error.format_message())
        except InputError as error:
            return failed(job, error)
        except OSError as error:
            where = error.filename or job.path
            return failed(job, f"{error.strerror or error}: {where}", error.errno in _FULL)
        except Exception as error:  # a batch goes on, whatever befalls one clip
            return failed(job, f"{type(error).__name__}: {error}")


class Manifest:
    """``manifest.jsonl``: what became of each line. Written as clips are finished, and sorted at the end."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path = path
        self._file = file
        self._entries: dict[int, str] = {}

    def add(self, result: Result) -> None:
        entry: dict[str, Any] = {"line": result.job.line, "status": result.status, **result.job.about}
        entry |= {name: value for name in ("sha256", "error") if (value := getattr(result, name)) is not None}
        self._entries[result.job.line] = json.dumps(entry, ensure_ascii=False) + "\n"
        self._file.write(self._entries[result.job.line])
        self._file.flush()

    def sort(self) -> None:
        with replacing(self.path) as temporary:
            temporary.write_text("".join(self._entries[line] for line in sorted(self._entries)), "utf-8")


@contextmanager
def open_batch(folder: Path) -> Iterator[Manifest]:
    """The rewritten manifest of a folder, which is locked. Remains of a killed batch are removed.

    Raises:
        InputError: another batch works there.
    """
    path = folder / MANIFEST
    with alone_in(folder):
        with path.open("w", encoding="utf-8") as file:
            manifest = Manifest(path, file)
            yield manifest
        manifest.sort()
        remove_unfinished(folder)  # a worker may have died


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """A folder, made where it is missing, that no other batch works in. What a killed one left is removed.

    Raises:
        InputError: another batch works there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK, timeout=0):
            remove_unfinished(folder)
            yield
    except Timeout:
        raise InputError(f"another batch works in {folder}; wait for it, or give another --out") from None
