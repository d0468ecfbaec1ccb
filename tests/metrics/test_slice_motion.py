"""Motion, jitter, flicker, period and phase of slices in which they are known."""

from __future__ import annotations

import numpy as np
import pytest

from lumiere.errors import InputError
from lumiere.metrics.slice_motion import TRACK, SliceFigures, slice_figures

TIMES = np.arange(80)


def textured(path: np.ndarray, brightness: np.ndarray | float = 0.0) -> np.ndarray:
    """A slice of a texture that moves along ``path`` (pixels, a number a frame): t x 128 x 3."""
    waves = np.random.default_rng(3).uniform([0.02, 0, -1], [0.12, 1, 1], (24, 3))
    places = np.arange(128) - np.asarray(path, float)[:, None]
    grey = sum(height * np.sin(2 * np.pi * (places * rate + start)) for rate, start, height in waves)
    grey = 127 + 18 * np.asarray(grey) + np.broadcast_to(brightness, len(path))[:, None]
    return np.repeat(grey[..., None], 3, -1).clip(0, 255).round().astype(np.uint8)


def turning(period: float) -> np.ndarray:
    """The middle row of a disc with a dark half that turns around its centre, on white: t x 96 x 3."""
    angle = 2 * np.pi * TIMES[:, None] / period
    x = (np.arange(96) - 47.5) / 40
    dark = x * np.cos(angle) > 0
    grey = np.where(np.abs(x) < 1, np.where(dark, 60, 240), 250)
    return np.repeat(grey[..., None], 3, -1).astype(np.uint8)


def noise(deviation: float) -> np.ndarray:
    values = np.random.default_rng(1).normal(size=len(TIMES))
    return deviation * (values - values.mean()) / values.std()


@pytest.mark.parametrize("path", [0 * TIMES, 0.36 * TIMES, 1.5 * TIMES, 0.01 * TIMES**2.0])
def test_smooth_motion_is_neither_rough_nor_jittery(path: np.ndarray) -> None:
    figures = slice_figures(textured(path))
    assert figures.jitter is not None and figures.roughness is not None and figures.change is not None
    assert figures.jitter < 0.03
    assert figures.roughness < 0.1 * figures.change + 1e-6
    assert figures.speed == pytest.approx(np.sqrt(np.mean(np.gradient(path) ** 2)), rel=0.1, abs=0.01)


@pytest.mark.parametrize("size", [0.25, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("speed", [0.0, 0.7])
def test_jitter_of_a_known_size_has_that_size(size: float, speed: float) -> None:
    figures = slice_figures(textured(speed * TIMES + noise(size)))
    assert figures.jitter == pytest.approx(size, rel=0.2)


def test_jitter_is_seen_in_motion_that_bends() -> None:
    bounce = 17 * np.sin(2 * np.pi * TIMES / 16)  # a scripted bounce at 128 pixels and 16 fps
    smooth, jittery = (
        slice_figures(textured(bounce)).jitter,
        slice_figures(textured(bounce + noise(1))).jitter,
    )
    assert smooth is not None and smooth < 0.25
    assert jittery == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize("speed", [0.0, 0.5])
def test_the_roughness_of_flicker_is_its_deviation(speed: float) -> None:
    figures = slice_figures(textured(speed * TIMES, noise(6)))
    assert figures.roughness == pytest.approx(6, rel=0.2)
    assert figures.jitter is not None and figures.jitter < 0.4


def test_frames_out_of_order_are_rough() -> None:
    smooth = textured(0.5 * TIMES)
    shuffled = smooth[np.random.default_rng(0).permutation(len(smooth))]
    rough, before = slice_figures(shuffled).roughness, slice_figures(smooth).roughness
    assert rough is not None and before is not None and rough > 10 * before


@pytest.mark.parametrize("period", [10.0, 16.0, 23.5])
def test_what_turns_has_its_period(period: float) -> None:
    figures = slice_figures(turning(period))
    assert figures.period == pytest.approx(period, abs=0.3)
    assert figures.periodicity > 0.8


@pytest.mark.parametrize("phase", [0.0, 0.25, 0.6])
def test_what_swings_has_its_phase(phase: float) -> None:
    places = 64 + 20 * np.cos(2 * np.pi * (TIMES / 20 + phase))
    near = (8 - np.abs(np.arange(128) - places[:, None])).clip(0, 1)
    rows = (250 - 200 * np.repeat(near[..., None], 3, -1)).astype(np.uint8)
    figures = slice_figures(rows)
    assert figures.period == pytest.approx(20, abs=0.1)
    assert figures.phase_of == "position"
    assert figures.phase is not None
    assert abs((figures.phase - phase + 0.5) % 1 - 0.5) < 0.02


@pytest.mark.parametrize("phase", [0.1, 0.5])
def test_what_pulses_has_the_phase_of_its_extent(phase: float) -> None:
    half = 20 + 8 * np.cos(2 * np.pi * (TIMES / 16 + phase))
    near = (half[:, None] - np.abs(np.arange(128) - 63.5)).clip(0, 1)
    figures = slice_figures((250 - 200 * np.repeat(near[..., None], 3, -1)).astype(np.uint8))
    assert figures.phase_of == "extent"
    assert figures.phase is not None
    assert abs((figures.phase - phase + 0.5) % 1 - 0.5) < 0.02


def test_what_does_not_repeat_has_no_period() -> None:
    trembling = np.random.default_rng(0).integers(0, 255, (80, 64, 3)).astype(np.uint8)
    for picture in textured(0.5 * TIMES), textured(0 * TIMES), trembling, turning(50):
        figures = slice_figures(picture)
        assert (figures.period, figures.phase) == (None, None)


def test_what_is_too_short_is_not_guessed() -> None:
    assert slice_figures(textured(np.zeros(1))) == SliceFigures(None, None, None, None, None, 0.0, None, None)
    assert slice_figures(textured(TIMES[: TRACK - 1])).jitter is None
    assert slice_figures(np.full((80, 64, 3), 99, np.uint8)).jitter is None, "nothing to follow"
    with pytest.raises(InputError, match="8 pixels"):
        slice_figures(np.zeros((9, 7, 3), np.uint8))
