"""Flow of motion that is known."""

from __future__ import annotations

import numpy as np
import pytest

from lumiere.emoji.evaluation.motion import flow_correlation, flow_magnitude


def moving(pixels_a_frame: float, frames: int = 17) -> np.ndarray:
    """A textured square on white, moving right and down."""
    texture = (
        np.random.default_rng(0).integers(0, 200, (10, 10, 3)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    )
    clip = np.full((frames, 96, 96, 3), 255, np.uint8)
    for number, frame in enumerate(clip):
        x = round(8 + pixels_a_frame * number)
        y = 16 + number
        frame[y : y + 40, x : x + 40] = texture
    return clip


@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_the_length_of_flow_is_the_speed(speed: float) -> None:
    assert flow_magnitude(moving(speed)) == pytest.approx(np.hypot(speed, 1), rel=0.1)


def test_correlation_knows_the_same_motion_from_another() -> None:
    clip = moving(2)
    assert flow_correlation(clip, clip) == pytest.approx(1)
    assert flow_correlation(clip, 255 - clip) > 0.9, "another colour, the same motion"
    assert flow_correlation(clip, clip[:, :, ::-1]) < 0.3
    still = np.repeat(clip[:1], len(clip), 0)
    assert flow_correlation(clip, still) == 0
    assert flow_magnitude(still) < 0.01
    assert flow_magnitude(np.full_like(clip, 255)) == 0
