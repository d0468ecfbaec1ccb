"""Distances and scores of sets of features, beside values worked by hand and by SciPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from lumiere.errors import InputError
from lumiere.io.video import Clip
from lumiere.metrics import report
from lumiere.metrics.bootstrap import interval, mean_interval
from lumiere.metrics.clips import Source
from lumiere.metrics.features import Features
from lumiere.metrics.frechet import frechet_distance
from lumiere.metrics.inception import inception_score
from lumiere.metrics.intervals import wilson
from lumiere.metrics.nearest import nearest_clips, sheet


def textbook(ours: np.ndarray, real: np.ndarray) -> float:
    """The formula as it is written, by SciPy's root of a matrix."""
    covariances = [np.atleast_2d(np.cov(each, rowvar=False)) for each in (ours, real)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    apart = ours.mean(0) - real.mean(0)
    return float(apart @ apart + np.trace(covariances[0] + covariances[1] - 2 * np.real(root)))


def test_a_distance_worked_by_hand() -> None:
    # variances 2 and 18, means 0 and 3: 9 + 2 + 18 - 2 * sqrt(36) = 17
    ours, real = np.array([[-1.0], [1.0]]), np.array([[0.0], [6.0]])
    assert frechet_distance(ours, real) == pytest.approx(17)
    # two dimensions that do not depend on each other: their distances add up; the second's is 0
    corners = np.array([[-1.0, -1], [-1, 1], [1, -1], [1, 1]])
    wider = corners * [3, 1] + [2, 0]
    assert frechet_distance(corners, wider) == pytest.approx(4 + 4 / 3 * (3 - 1) ** 2)


def test_true_clips_are_as_far_as_true_clips() -> None:
    rng = np.random.default_rng(0)
    net = Features("recogniser", "recogniser", "", "", 16, None, lambda frames: (frames, None))

    def ratio(ours: np.ndarray, true: np.ndarray) -> report.Value:
        return report.frechet_ratio(*(report.Seen(each, None, {16.0}) for each in (ours, true)), net)

    true = rng.normal(size=(60, 4))
    itself = ratio(true, true)
    assert itself.low == itself.value == itself.high == pytest.approx(1) and itself.clips == 60
    assert ratio(true + 2, true).low > 5, "a shift of 2 in each of 4 dimensions adds 16"


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(8, 40), st.integers(8, 40))
@settings(max_examples=30, deadline=None)
def test_the_distance_is_scipy_s(seed: int, width: int, count: int, others: int) -> None:
    rng = np.random.default_rng(seed)
    ours = rng.normal(size=(count, width)) @ rng.normal(size=(width, width))
    real = rng.normal(size=(others, width)) @ rng.normal(size=(width, width)) + rng.normal(size=width)
    assert frechet_distance(ours, real) == pytest.approx(textbook(ours, real), rel=1e-6, abs=1e-6)
    assert frechet_distance(real, ours) == pytest.approx(frechet_distance(ours, real))
    assert frechet_distance(ours, ours) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(ours, ours[::-1] + 2) == pytest.approx(4 * width)


def test_fewer_clips_than_features_are_no_trouble_for_the_sum() -> None:
    rng = np.random.default_rng(0)
    ours, real = rng.normal(size=(5, 50)), rng.normal(size=(7, 50))
    assert frechet_distance(ours, ours) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(ours, real) == pytest.approx(textbook(ours, real), rel=1e-3)


@pytest.mark.parametrize("shapes", [((1, 3), (5, 3)), ((5, 3), (5, 4))])
def test_what_has_no_distance_is_refused(shapes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    with pytest.raises(InputError, match="two or more"):
        frechet_distance(np.zeros(shapes[0]), np.zeros(shapes[1]))


def test_inception_scores_worked_by_hand() -> None:
    sure = np.eye(4).repeat(5, 0)
    assert inception_score(sure) == pytest.approx((4, 0))
    assert inception_score(np.full((20, 4), 0.25)) == pytest.approx((1, 0))
    assert inception_score(sure[:5]) == pytest.approx((1, 0)), "all of one class"
    # 0.9 and 0.1, either way: ln 2 less the entropy
    torn = np.array([[0.9, 0.1], [0.1, 0.9]])
    assert inception_score(torn)[0] == pytest.approx(2 * 0.9**0.9 * 0.1**0.1)
    assert inception_score(np.eye(2).repeat(500, 0), splits=10)[0] == pytest.approx(2, abs=0.02), "not sorted"
    with pytest.raises(InputError, match="in 10 parts"):
        inception_score(torn, splits=10)


def test_the_interval_of_a_mean_is_the_textbook_s() -> None:
    values = np.random.default_rng(5).normal(3, 2, 400)
    low, high = mean_interval(values)
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.04)


def test_the_interval_of_a_distance_lies_around_it() -> None:
    rng = np.random.default_rng(0)
    ours, real = rng.normal(size=(60, 3)), rng.normal(size=(60, 3)) + 1
    low, high = interval(frechet_distance, ours, real)
    assert low < frechet_distance(ours, real) < high
    assert 0.5 < high - low < 5
    assert interval(frechet_distance, ours, ours)[0] == 0


def test_a_copy_is_found_and_is_nearer_than_anything() -> None:
    rng = np.random.default_rng(0)
    others = rng.normal(size=(1100, 8)) * [1, 1000, 1, 1, 1, 1, 1, 0] + 500
    ours = np.concatenate([rng.normal(size=(3, 8)) * [1, 1000, 1, 1, 1, 1, 1, 0] + 500, others[[1034]]])
    pairs = nearest_clips(ours, others, ["a", "b", "c", "copy"], [str(i) for i in range(1100)])
    assert (pairs[0].clip, pairs[0].nearest) == ("copy", "1034")
    assert pairs[0].distance == 0 and pairs[0].closer_than == 1
    assert all(pair.distance > 0.05 and pair.closer_than < 1 for pair in pairs[1:])
    scaled = ours[0] / others.std(0).clip(1e-9), others / others.std(0).clip(1e-9)
    near = np.sqrt(np.square(scaled[0] - scaled[1])[:, :7].sum(1) / 8).argmin()
    assert next(pair for pair in pairs if pair.clip == "a").nearest == str(near)
    with pytest.raises(InputError, match="3 or more"):
        nearest_clips(ours, others[:2], [], [])


def test_the_sheet_shows_both_of_a_pair(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (2, 3, 16, 16, 3)).astype(np.uint8)
    sources = [
        Source(name, Clip(clip, 8).save(tmp_path / name)) for name, clip in zip("ab", frames, strict=True)
    ]
    features = np.array([[0.0, 0], [1, 1], [5, 5]])
    pair = nearest_clips(features[:1], features, ["a"], ["b", "c", "d"])
    picture = sheet(pair, sources[:1], [sources[1]], frames=1)
    cell = np.asarray(frames[:, 0]).repeat(8, 1).repeat(8, 2)
    assert np.array_equal(picture[20:148, :128], cell[0])
    assert np.array_equal(picture[-128:, :128], cell[1])


def test_wilson_agrees_with_published_values() -> None:
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)
    assert wilson(20, 20)[1] == 1
    assert wilson(0, 0) == (0, 1)
