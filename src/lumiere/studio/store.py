"""What the studio keeps: sessions with their files and jobs, in a folder that survives a kill.

A database says what there is, and each file has a folder of its own below that of its session. A job's clip
carries the job's id. A session is known by a random token, of which only the hash is stored.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lumiere.errors import InputError
from lumiere.io.files import check_parent, remove_unfinished

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"
CANCELLED, INTERRUPTED = "cancelled", "interrupted"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, session TEXT NOT NULL, name TEXT NOT NULL,
    kind TEXT NOT NULL, about TEXT NOT NULL, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, session TEXT NOT NULL, verb TEXT NOT NULL,
    options TEXT NOT NULL, state TEXT NOT NULL, error TEXT, notes TEXT NOT NULL DEFAULT '[]',
    created REAL NOT NULL, started REAL, ended REAL);
CREATE INDEX IF NOT EXISTS files_of ON files (session);
CREATE INDEX IF NOT EXISTS jobs_of ON jobs (session);
"""


@dataclass(frozen=True)
class File:
    """A picture, a video or a mask that was uploaded, or a clip that was made.

    Attributes:
        kind: ``picture``, ``video``, ``mask`` or ``clip``.
        about: width, height, frames, fps and the generation settings, as far as it has them.
    """

    id: str
    session: str
    name: str
    kind: str
    about: dict[str, Any]
    created: float


@dataclass(frozen=True)
class Job:
    """A call of a verb.

    Attributes:
        options: as the page sent them; of files the ids.
        state: ``waiting``, ``running``, ``done``, ``failed``, ``cancelled``, or ``interrupted`` for a job
            that the end of the server ended.
        notes: what the verb said, a line each.
    """

    id: str
    session: str
    verb: str
    options: dict[str, Any]
    state: str = WAITING
    error: str | None = None
    notes: list[str] = field(default_factory=list)
    created: float = 0.0
    started: float | None = None
    ended: float | None = None


def new_id() -> str:
    return secrets.token_hex(8)


def session_of(token: str) -> str:
    """The name of the session of a browser's token."""
    return hashlib.sha256(token.encode()).hexdigest()[:32]


class Store:
    """The folder of a studio, locked as long as it is open. Safe to use from several threads.

    Attributes:
        scratch: folder for what is being received or written; emptied when the store is opened.

    Raises:
        InputError: another studio uses the folder, or it cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.scratch = self.root / ".scratch"
        check_parent(self.root / "studio.db")
        self.root.mkdir(parents=True, exist_ok=True)
        self._file_lock = FileLock(self.root / ".studio.lock")
        try:
            self._file_lock.acquire(timeout=0)
        except Timeout:
            raise InputError(f"another studio uses {root}; end it, or give another --out") from None
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(self.root / "studio.db", check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            self._file_lock.release()
            raise InputError(f"{root}/studio.db is no database of a studio: {error}") from None
        self._recover()

    def close(self) -> None:
        with self._lock:
            self._db.close()
        self._file_lock.release()

    def folder(self, session: str, id_: str) -> Path:
        """Where a file of a session lies."""
        return self.root / session / id_

    # ------------------------------------------------------------ files

    def add_file(
        self, session: str, name: str, kind: str, about: dict[str, Any], id_: str | None = None
    ) -> File:
        file = File(id_ or new_id(), session, name, kind, about, time.time())
        self._do(
            "INSERT INTO files (id, session, name, kind, about, created) VALUES (?, ?, ?, ?, ?, ?)",
            (file.id, session, name, kind, json.dumps(about), file.created),
        )
        return file

    def file(self, session: str, id_: str) -> File | None:
        """A file of this session, None if the session has no such file."""
        rows = self._do(f"SELECT {_FILE} FROM files WHERE session = ? AND id = ?", (session, id_))
        return _file(rows[0]) if rows else None

    def files(self, session: str) -> list[File]:
        """The files of a session but its masks, newest first."""
        query = f"SELECT {_FILE} FROM files WHERE session = ? AND kind != 'mask' ORDER BY number DESC"
        return [_file(row) for row in self._do(query, (session,))]

    def count_files(self, session: str) -> int:
        count: int = self._do("SELECT COUNT(*) FROM files WHERE session = ?", (session,))[0][0]
        return count

    def size(self, session: str) -> int:
        """Bytes that a session has on the disk."""
        folder = self.root / session
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    def delete_file(self, session: str, id_: str) -> None:
        """Delete a file, and the job that made it."""
        self._do("DELETE FROM files WHERE session = ? AND id = ?", (session, id_))
        self._do("DELETE FROM jobs WHERE session = ? AND id = ?", (session, id_))
        shutil.rmtree(self.folder(session, id_), ignore_errors=True)

    # ------------------------------------------------------------ jobs

    def add_job(self, session: str, verb: str, options: dict[str, Any]) -> Job:
        job = Job(new_id(), session, verb, options, created=time.time())
        self._do(
            "INSERT INTO jobs (id, session, verb, options, state, created) VALUES (?, ?, ?, ?, ?, ?)",
            (job.id, session, verb, json.dumps(options), WAITING, job.created),
        )
        return job

    def job(self, session: str, id_: str) -> Job | None:
        """A job of this session, None if the session has no such job."""
        rows = self._do(f"SELECT {_JOB} FROM jobs WHERE session = ? AND id = ?", (session, id_))
        return _job(rows[0]) if rows else None

    def jobs(self, session: str) -> list[Job]:
        """The jobs of a session, newest first."""
        rows = self._do(f"SELECT {_JOB} FROM jobs WHERE session = ? ORDER BY number DESC", (session,))
        return [_job(row) for row in rows]

    def waiting(self) -> list[Job]:
        """The waiting jobs of all sessions, in their order."""
        return [
            _job(row)
            for row in self._do(f"SELECT {_JOB} FROM jobs WHERE state = ? ORDER BY number", (WAITING,))
        ]

    def start(self, job: Job) -> bool:
        """Mark a waiting job as running; False if it waits no longer."""
        query = "UPDATE jobs SET state = ?, started = ? WHERE id = ? AND state = ? RETURNING id"
        return bool(self._do(query, (RUNNING, time.time(), job.id, WAITING)))

    def end(self, job: Job, state: str, error: str | None = None, notes: list[str] | None = None) -> None:
        query = "UPDATE jobs SET state = ?, error = ?, notes = ?, ended = ? WHERE id = ?"
        self._do(query, (state, error, json.dumps(notes or []), time.time(), job.id))

    def cancel_waiting(self, job: Job) -> bool:
        """Cancel a job that waits; False if it waits no longer."""
        query = "UPDATE jobs SET state = ?, ended = ? WHERE id = ? AND state = ? RETURNING id"
        return bool(self._do(query, (CANCELLED, time.time(), job.id, WAITING)))

    def _recover(self) -> None:
        """After a kill: jobs whose clip is listed are done, all other unfinished ones were interrupted."""
        self._do(
            "UPDATE jobs SET state = ? WHERE state = ? AND id IN (SELECT id FROM files)", (DONE, RUNNING)
        )
        query = "UPDATE jobs SET state = ?, ended = ? WHERE state IN (?, ?)"
        self._do(query, (INTERRUPTED, time.time(), RUNNING, WAITING))
        known = {row[0] for row in self._do("SELECT id FROM files")}
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        for session in filter(Path.is_dir, self.root.iterdir()):
            for folder in session.iterdir():
                if folder.name in known:
                    remove_unfinished(folder)
                else:
                    shutil.rmtree(folder, ignore_errors=True)

    def _do(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._lock:
            return self._db.execute(query, values).fetchall()


_FILE = "id, session, name, kind, about, created"
_JOB = "id, session, verb, options, state, error, notes, created, started, ended"


def _file(row: tuple[Any, ...]) -> File:
    about: Any = json.loads(row[4])
    return File(*(*row[:4], about, row[5]))


def _job(row: tuple[Any, ...]) -> Job:
    options, notes = json.loads(row[3]), json.loads(row[6])
    return Job(*(*row[:3], options, *row[4:6], notes, *row[7:]))
