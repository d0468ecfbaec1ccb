"""What raters see: reproducible, balanced, every check in it."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lumiere.research.study.plan import Pair, Study


def make_study(pairs: int, checks: int, per_rater: int, seed: int = 0) -> Study:
    def pair(number: int, rival: str | None) -> Pair:
        return Pair(f"{rival}-{number}", "a cat", rival, f"a{number}", f"b{number}", 8, 8, ("a", "b"))

    return Study(
        "study",
        seed,
        "ours",
        ("pika",),
        ("Which?",),
        per_rater,
        tuple(pair(number, "pika") for number in range(pairs)),
        tuple(pair(number, None) for number in range(checks)),
    )


@given(
    pairs=st.integers(1, 40),
    checks=st.integers(0, 6),
    per_rater=st.integers(1, 50),
    rater=st.integers(1, 10_000),
    seed=st.integers(0, 2**53),
)
def test_a_rater_sees_a_share_of_the_pairs_and_all_checks_once(
    pairs: int, checks: int, per_rater: int, rater: int, seed: int
) -> None:
    study = make_study(pairs, checks, per_rater, seed)
    trials = study.trials(rater)
    assert trials == study.trials(rater)
    shown = Counter(trial.pair.id for trial in trials)
    assert set(shown.values()) == {1}
    assert sum(trial.pair.rival is None for trial in trials) == checks
    assert len(trials) == min(pairs, per_rater) + checks
    assert all(set(trial.clips) == {trial.pair.clip, trial.pair.rival_clip} for trial in trials)


@given(pairs=st.integers(1, 30), per_rater=st.integers(1, 30), raters=st.integers(1, 12))
def test_all_pairs_are_seen_equally_often(pairs: int, per_rater: int, raters: int) -> None:
    study = make_study(pairs, 2, per_rater)
    seen = Counter(
        trial.pair.id
        for rater in range(1, raters + 1)
        for trial in study.trials(rater)
        if trial.pair.rival is not None
    )
    counts = [seen[pair.id] for pair in study.pairs]
    assert max(counts) - min(counts) <= 1


def test_sides_orders_and_places_of_checks_are_random() -> None:
    study = make_study(20, 3, 20)
    sessions = [study.trials(rater) for rater in range(1, 201)]
    left = [trial.clips[0] == trial.pair.clip for trials in sessions for trial in trials]
    assert 0.46 < sum(left) / len(left) < 0.54
    first = Counter(next(t.pair.id for t in trials if t.pair.rival) for trials in sessions)
    assert len(first) == 20 and max(first.values()) < 30
    for number, (low, high) in enumerate([(0, 6), (7, 14), (15, 22)]):
        places = {
            [place for place, trial in enumerate(trials) if trial.pair.rival is None][number]
            for trials in sessions
        }
        assert places == set(range(low, max(places) + 1)) and max(places) <= high and len(places) > 5
