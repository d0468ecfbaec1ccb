"""The answers of a study, in SQLite: each one is on the disk before it is acknowledged."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from lumiere.errors import InputError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS study (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS raters (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    token TEXT NOT NULL UNIQUE,
    joined TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS answers (
    rater INTEGER NOT NULL REFERENCES raters (number),
    pair TEXT NOT NULL,
    question INTEGER NOT NULL,
    chosen TEXT NOT NULL,
    side TEXT NOT NULL CHECK (side IN ('left', 'right')),
    seconds REAL NOT NULL,
    revision INTEGER NOT NULL,
    answered TEXT NOT NULL,
    PRIMARY KEY (rater, pair, question)
);
"""


@dataclass(frozen=True)
class Answer:
    """What a rater said about a pair.

    Attributes:
        rater: the rater's number, from 1.
        question: its number, from 1.
        chosen: file name of the clip; ``side`` is where it was, left or right.
        seconds: since both clips had been shown once, or since the answer before.
        revision: how often the rater changed this answer.
    """

    rater: int
    pair: str
    question: int
    chosen: str
    side: str
    seconds: float
    revision: int


_FIELDS = "rater, pair, question, chosen, side, seconds, revision"


class Storage:
    """The raters and answers of one study. May be used from several threads, and by several processes."""

    def __init__(self, path: Path, study: str) -> None:
        """Open the file, or make it.

        Raises:
            InputError: it cannot be opened or written, is no such file, or belongs to another study.
        """
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(
                path, timeout=30, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            # In WAL mode a commit is on the disk only at this level: a power cut loses nothing acknowledged.
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT")
            self._connection.execute(
                "INSERT INTO study SELECT ? WHERE NOT EXISTS (SELECT 1 FROM study)", (study,)
            )
            (found,) = self._connection.execute("SELECT id FROM study").fetchone()
        except sqlite3.Error as error:
            raise InputError(f"{path} cannot hold the answers: {error}; move it away, or repair it") from None
        if found != study:
            raise InputError(f"{path} holds the answers to another study; move it away")

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def join(self) -> str:
        """A new rater's token: what the rater is known by, and cannot be guessed."""
        token = secrets.token_urlsafe(16)
        with self._lock:
            self._connection.execute("INSERT INTO raters (token, joined) VALUES (?, ?)", (token, _now()))
        return token

    def rater(self, token: str) -> int | None:
        """The number of the rater with this token; None if there is none."""
        with self._lock:
            row = self._connection.execute("SELECT number FROM raters WHERE token = ?", (token,)).fetchone()
        return row[0] if row else None

    def put(self, answer: Answer) -> Answer:
        """Store an answer in a transaction of its own, and return the stored one.

        The same answer may come any number of times. One of a higher revision replaces what was said.
        """
        with self._lock:
            self._connection.execute(
                f"INSERT INTO answers ({_FIELDS}, answered) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (rater, pair, question) DO UPDATE SET chosen = excluded.chosen,"
                " side = excluded.side, seconds = excluded.seconds, revision = excluded.revision,"
                " answered = excluded.answered WHERE excluded.revision > revision",
                (
                    answer.rater,
                    answer.pair,
                    answer.question,
                    answer.chosen,
                    answer.side,
                    answer.seconds,
                    answer.revision,
                    _now(),
                ),
            )
            row = self._connection.execute(
                f"SELECT {_FIELDS} FROM answers WHERE rater = ? AND pair = ? AND question = ?",
                (answer.rater, answer.pair, answer.question),
            ).fetchone()
        return Answer(*row)

    def answers(self, rater: int | None = None) -> list[Answer]:
        """A rater's answers, or all, in the order of raters."""
        with self._lock:
            rows = self._connection.execute(
                f"SELECT {_FIELDS} FROM answers WHERE ? IS NULL OR rater = ? ORDER BY rater, answered",
                (rater, rater),
            ).fetchall()
        return [Answer(*row) for row in rows]


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
