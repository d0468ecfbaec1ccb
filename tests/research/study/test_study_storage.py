"""Answers are kept once, whoever sends them how often."""

from __future__ import annotations

import dataclasses
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lumiere import InputError
from lumiere.research.study.storage import Answer, Storage

ANSWER = Answer(1, "pair", 1, "a.mp4", "left", 2.5, 0)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = Storage(tmp_path / "answers.sqlite", "study")
    assert storage.rater(storage.join()) == 1
    return storage


def test_an_answer_is_kept_once_and_a_later_revision_replaces_it(storage: Storage) -> None:
    other = dataclasses.replace(ANSWER, chosen="b.mp4", side="right")
    assert storage.put(ANSWER) == storage.put(ANSWER) == ANSWER
    assert storage.put(other) == ANSWER
    later = dataclasses.replace(other, revision=1)
    assert storage.put(later) == later
    assert storage.put(ANSWER) == later
    assert storage.answers() == storage.answers(1) == [later]


def test_raters_have_numbers_and_tokens_of_their_own(storage: Storage) -> None:
    tokens = [storage.join() for _ in range(5)]
    assert [storage.rater(token) for token in tokens] == [2, 3, 4, 5, 6]
    assert storage.rater("nobody") is None and storage.answers(2) == []


def test_every_commit_reaches_the_disk(storage: Storage) -> None:
    connection = storage._connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_many_at_once_lose_and_double_nothing(storage: Storage, tmp_path: Path) -> None:
    second = Storage(tmp_path / "answers.sqlite", "study")  # as a second server would
    answers = [dataclasses.replace(ANSWER, pair=f"pair {number}") for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(storage.put, answers))
        list(pool.map(second.put, answers))
        numbers = [storage.rater(token) for token in pool.map(lambda _: second.join(), range(20))]
    assert sorted(answer.pair for answer in second.answers()) == sorted(answer.pair for answer in answers)
    assert sorted(numbers) == list(range(2, 22))


def test_a_file_that_is_none_or_anothers_is_refused(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds the answers to another study"):
        Storage(tmp_path / "answers.sqlite", "other")
    (tmp_path / "letter").write_text("Dear all, " * 100)
    with pytest.raises(InputError, match="letter cannot hold the answers: file is not a database"):
        Storage(tmp_path / "letter", "study")
    with pytest.raises(InputError, match="unable to open"):
        Storage(tmp_path / "none" / "answers.sqlite", "study")


def test_the_table_itself_refuses_a_second_row(storage: Storage) -> None:
    storage.put(ANSWER)
    with pytest.raises(sqlite3.IntegrityError):
        storage._connection.execute("INSERT INTO answers SELECT * FROM answers")
