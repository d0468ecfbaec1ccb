"""The frequency of what repeats, measured on clips whose frequency is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumiere.emoji.data.periodic import FREQUENCIES, PeriodicMotion, PeriodicScene, render
from lumiere.emoji.data.scenes import FPS, Background, Sprite
from lumiere.emoji.data.sprites import load_sprites
from lumiere.errors import InputError
from lumiere.metrics.frequency import aliased, frequency, relative_error

SAMPLE = Path(__file__).parents[1] / "sample" / "sprites"
CAT = "1f408-200d-2b1b"
CELLS = [(motion, hertz) for motion in ("bounce", "spin") for hertz in FREQUENCIES]


@pytest.fixture(scope="module")
def sprites() -> dict[str, Sprite]:
    return {sprite.code: sprite for sprite in load_sprites(SAMPLE)}


def _clip(sprites: dict[str, Sprite], motion: PeriodicMotion, hertz: float) -> np.ndarray:
    return render(
        PeriodicScene(CAT, Background("solid", ("blue",)), motion, hertz, 0.58, (0.0, 0.0)), sprites
    )


def _disc(x: np.ndarray, y: np.ndarray | float = 0.5, radius: np.ndarray | float = 0.2) -> np.ndarray:
    """A soft white disc on gray at places and of radii that are shares of the frame, one for each frame."""
    place = (np.arange(64) + 0.5) / 64
    x, y, radius = (np.broadcast_to(values, x.shape)[:, None, None] for values in (x, y, radius))
    distance = np.hypot(place[None, None] - x, place[None, :, None] - y)
    shown = (64 * (radius - distance) + 0.5).clip(0, 1)
    return (100 + 155 * shown[..., None]).round().astype(np.uint8).repeat(3, -1)


def _noisy(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Soft, displaced by up to a pixel, and under noise of standard deviation 10."""
    soft = frames.astype(np.float32)
    for axis in (1, 2):
        soft = sum(np.roll(soft, shift, axis) for shift in range(-2, 3)) / 5
    shifted = np.stack([np.roll(frame, tuple(rng.integers(-1, 2, 2)), (0, 1)) for frame in soft])
    return (shifted + rng.normal(0, 10, shifted.shape)).round().clip(0, 255).astype(np.uint8)


@settings(deadline=None, max_examples=30)
@given(st.floats(0.35, 7), st.floats(0, 6.3))
def test_any_frequency_is_found_at_any_phase(hertz: float, phase: float) -> None:
    found = frequency(_disc(0.5 + 0.15 * np.sin(2 * np.pi * hertz * np.arange(80) / FPS + phase)), FPS)
    assert found is not None
    assert relative_error(found.hertz, hertz) < 0.02
    assert found.periodicity > 0.5


@pytest.mark.parametrize(("motion", "hertz"), CELLS)
def test_real_clips_are_measured_right(
    sprites: dict[str, Sprite], motion: PeriodicMotion, hertz: float
) -> None:
    frames = _clip(sprites, motion, hertz)
    for seen in (frames, _noisy(frames, np.random.default_rng(0))):
        found = frequency(seen, FPS)
        assert found is not None and relative_error(found.hertz, hertz) < 0.02


def test_a_frequency_is_of_the_clip_and_its_frame_rate() -> None:
    frames = _disc(0.5 + 0.15 * np.sin(2 * np.pi * np.arange(48) / 8))
    for fps in (8, 16, 23.976):
        found = frequency(frames, fps)
        assert found is not None and relative_error(found.hertz, fps / 8) < 0.01


def test_what_does_not_repeat_has_no_frequency() -> None:
    t, rng = np.arange(80) / 80, np.random.default_rng(0)
    still = _disc(np.full(80, 0.5))
    wandering = 0.5 + np.cumsum(rng.normal(0, 0.01, (2, 80)), axis=1)
    clips = {
        "still": still,
        "still, under noise": _noisy(still, rng),
        "noise": rng.integers(0, 256, still.shape, dtype=np.uint8),
        "moving left": _disc(0.9 - 0.8 * t),
        "growing": _disc(np.full(80, 0.5), radius=0.1 + 0.3 * t),
        "fading": (still * (1 - t[:, None, None, None])).astype(np.uint8),
        "wandering": _disc(*wandering),
        "once to and fro": _disc(0.5 + 0.2 * np.sin(2 * np.pi * t)),
    }
    assert {name: found for name, clip in clips.items() if (found := frequency(clip, FPS))} == {}


@pytest.mark.parametrize(("hertz", "alias"), [(2.0, 1.2), (2.4, 0.8)])
def test_motion_between_keyframes_is_the_alias(hertz: float, alias: float) -> None:
    index = np.arange(80)
    position = 0.5 + 0.16 * np.sin(2 * np.pi * hertz * index / FPS)
    true = frequency(_disc(position), FPS)
    seen = frequency(_disc(np.interp(index, index[::5], position[::5])), FPS)
    assert true is not None and aliased(true.hertz, hertz) is False
    assert seen is not None and aliased(seen.hertz, hertz) is True
    assert relative_error(seen.hertz, alias) < 0.05


def test_only_what_is_too_fast_for_keyframes_has_an_alias() -> None:
    assert aliased(1.2, 1.2) is None and aliased(0.8, 0.8) is None
    assert aliased(0.9, 2.4) is True and aliased(2.3, 2.4) is False
    assert aliased(1.1, 2.4, keyframes_per_second=8) is None
    assert aliased(0.1, 3.2) is True
    assert relative_error(1.5, 2.0) == 0.25


def test_too_short_a_clip_is_refused() -> None:
    with pytest.raises(InputError, match="the clip has 7 frames; a frequency needs 8 or more"):
        frequency(np.zeros((7, 16, 16, 3), np.uint8), FPS)
