from __future__ import annotations

import numpy as np
import pytest

from lumiere.metrics.joins import border_step, join_step, steps_at


def ramp(step=2, frames=8):
    levels = 20 + step * np.arange(frames)
    return np.broadcast_to(levels[:, None, None, None], (frames, 12, 12, 3)).astype(np.uint8).copy()


def test_a_step_where_known_frames_end_is_measured_against_the_others():
    known = np.zeros((8, 12, 12), bool)
    known[:3] = True
    frames = ramp()
    assert join_step(frames, known) == pytest.approx(1)
    assert steps_at(frames, [3]) == pytest.approx([1])
    frames[3:] += 8
    assert join_step(frames, known) == pytest.approx(5)
    assert steps_at(frames, [3, 5]) == pytest.approx([5, 1])
    assert join_step(frames, np.ones_like(known)) is None


def test_only_the_pixels_that_change_count():
    known = np.ones((8, 12, 12), bool)
    known[1:, 4:8, 4:8] = False
    frames = ramp(step=0)
    frames[:, 4:8, 4:8] = ramp()[:, 4:8, 4:8]
    frames[1:, 4:8, 4:8] += 4
    assert join_step(frames, known) == pytest.approx(3)


def test_a_border_is_measured_against_its_neighbours():
    across = np.broadcast_to(3 * np.arange(12)[None, None, :, None], (2, 12, 12, 3)).astype(np.uint8).copy()
    known = np.ones((2, 12, 12), bool)
    assert border_step(across, known) is None
    known[:, :, 6:] = False
    assert border_step(across, known) == pytest.approx(1)
    across[:, :, 6:] += 9
    assert border_step(across, known) == pytest.approx(4)
