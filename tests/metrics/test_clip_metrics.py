"""Metrics of one clip, on clips whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from lumiere.emoji.evaluation.recogniser import Recogniser, RecogniserNet
from lumiere.errors import InputError
from lumiere.metrics.dynamic_degree import dynamic_degree
from lumiere.metrics.motion_smoothness import motion_smoothness
from lumiere.metrics.optical_flow import moved, optical_flow
from lumiere.metrics.subject_consistency import subject_consistency
from lumiere.metrics.temporal_flickering import temporal_flickering
from lumiere.metrics.text_alignment import object_of, object_probability
from lumiere.metrics.warping_error import warping_error


def drifting(pace: float, count: int = 9, side: int = 64) -> np.ndarray:
    """A smooth texture that moves to the right by ``pace`` pixels a frame: uint8, t x side x side x 3."""
    t, y, x = np.mgrid[:count, :side, :side].astype(float)
    x = x - pace * t
    waves = np.sin(x / 3), np.cos(y / 4 + x / 7), np.sin((x + 2 * y) / 5)
    return np.repeat((127 + 35 * sum(waves))[..., None], 3, -1).clip(0, 255).astype(np.uint8)


def shuffled(frames: np.ndarray) -> np.ndarray:
    return frames[np.random.default_rng(0).permutation(len(frames))]


def flickering(frames: np.ndarray, deviation: float) -> np.ndarray:
    light = np.random.default_rng(0).normal(0, deviation, (len(frames), 1, 1, 1))
    return (frames + light).clip(0, 255).astype(np.uint8)


def test_flow_is_the_motion_and_0_where_nothing_is() -> None:
    frames = drifting(2)
    found = optical_flow(frames[0], frames[1])[16:48, 16:48]
    assert np.abs(found - [2, 0]).mean() < 0.2
    assert np.abs(moved(frames[1], optical_flow(frames[0], frames[1])) - frames[0])[16:48, 16:48].mean() < 2
    plain = np.full((64, 64, 3), 90, np.uint8)
    grainy = (plain + np.random.default_rng(0).normal(0, 1, plain.shape)).round().astype(np.uint8)
    assert np.abs(optical_flow(plain, plain)).max() == 0
    assert np.abs(optical_flow(plain, grainy)).mean() < 0.5


def test_flow_of_large_frames_is_in_their_own_pixels() -> None:
    frames = drifting(4, 2, side=512)[:, :384]
    assert np.abs(optical_flow(*frames)[64:320, 128:384] - [4, 0]).mean() < 0.4


def test_flow_of_tiny_frames_is_refused() -> None:
    with pytest.raises(InputError, match="40x12 pixels"):
        optical_flow(*np.zeros((2, 12, 40, 3), np.uint8))


def test_temporal_flickering_is_vbench_s_formula() -> None:
    frames = np.full((4, 16, 16, 3), 100, np.uint8)
    assert temporal_flickering(frames) == 1
    frames[1::2] = 151
    assert temporal_flickering(frames) == pytest.approx((255 - 51) / 255)


@pytest.mark.parametrize("pace", [0.0, 1.5])
def test_smooth_motion_is_smooth_and_a_shuffled_clip_is_not(pace: float) -> None:
    frames = drifting(pace)
    assert motion_smoothness(frames) > 0.985
    if pace:
        assert motion_smoothness(shuffled(frames)) < motion_smoothness(frames) - 0.02
    assert motion_smoothness(flickering(frames, 10)) < motion_smoothness(frames) - 0.01


def test_the_warping_error_of_flicker_is_its_square_and_motion_has_little() -> None:
    frames = drifting(1.5)
    assert warping_error(np.repeat(frames[:1], 4, 0)).error < 1e-5
    smooth = warping_error(frames)
    assert smooth.error < 2e-4 and smooth.occluded < 0.3
    flickers = frames + np.array([0, 12] * 5)[: len(frames), None, None, None].astype(np.uint8)
    assert warping_error(flickers).error == pytest.approx((12 / 255) ** 2, rel=0.25)
    assert warping_error(shuffled(frames)).error > 2 * smooth.error


@pytest.mark.parametrize(("pace", "dynamic"), [(0.0, False), (0.3, False), (3.0, True)])
def test_dynamic_is_what_moves_by_6_pixels_of_256(pace: float, dynamic: bool) -> None:
    found, fastest = dynamic_degree(drifting(pace), 8)  # the threshold is 1.5 pixels of 64
    assert found is dynamic
    assert fastest == pytest.approx(pace, rel=0.25, abs=0.1)


def test_dynamic_degree_looks_8_times_a_second() -> None:
    assert dynamic_degree(drifting(1, 17), 16)[1] == pytest.approx(2, rel=0.2)


def test_subject_consistency_is_vbench_s_formula() -> None:
    same = np.repeat([[3.0, 4.0]], 5, 0)
    assert subject_consistency(same) == pytest.approx(1)
    turned = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])  # to the first 0 and 1, to the previous 0 and 0
    assert subject_consistency(turned) == pytest.approx(0.25)
    assert subject_consistency(np.array([[1.0, 0.0], [-1.0, 0.0]])) == 0


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("a black cat on a red background", "b"),
        ("a Cat moving left", "a"),
        ("a caterpillar", None),
        ("a cat to the left of an owl", None),
        ("two of a cat and a cat", None),
    ],
)
def test_the_object_that_a_prompt_names(prompt: str, code: str | None) -> None:
    assert object_of(prompt, {"a": "cat", "b": "black cat", "c": "owl"}) == code


def test_object_probability_is_the_recogniser_s() -> None:
    recogniser = Recogniser(RecogniserNet(2), {"a": "cat", "b": "owl"})
    frames = drifting(1)
    probability = object_probability(recogniser, frames, "an owl")
    assert probability == recogniser.probabilities(frames)["b"]
    assert object_probability(recogniser, frames, "a fox") is None
