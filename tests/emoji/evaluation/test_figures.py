"""Each measure on composed clips whose truth is known, and on spoilt ones."""

import dataclasses
import functools

import numpy as np
import pytest

from lumiere.emoji.data.scenes import COLOURS, MOTIONS, SIZES, Background, Scene, Sprite, render
from lumiere.emoji.evaluation.figures import (
    BOUNCE_THRESHOLD,
    MOVING_THRESHOLD,
    background_colour,
    change_between_eighths,
    direction_of,
    drift,
    foreground,
    growth_of,
    lab,
    measure,
    size_change_of,
)

SIZE = SIZES[0]

OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up", "grow": "shrink", "shrink": "grow"}


def _sprite(code: str, shape: str, colour: tuple[int, int, int]) -> Sprite:
    """A flat shape with a pale dot that circles in it: animated, but not drifting."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    inside = {
        "disc": x**2 + y**2 < 0.15,
        "bar": (abs(x) < 0.42) & (abs(y) < 0.2),
        "wedge": abs(x) < (y + 0.4) / 2,
    }
    frames = np.zeros((16, SIZE, SIZE, 4), np.uint8)
    frames[:, inside[shape]] = (*colour, 255)
    for i, angle in enumerate(np.arange(16) * np.pi / 8):
        dot = (x - 0.12 * np.cos(angle)) ** 2 + (y - 0.12 * np.sin(angle)) ** 2 < 0.006
        frames[i, dot] = (240, 240, 220, 255)
    return Sprite(code, shape, (), "objects", frames)


SPRITES = {
    sprite.code: sprite
    for sprite in (
        _sprite("a", "disc", (200, 90, 30)),
        _sprite("b", "bar", (60, 70, 80)),
        _sprite("c", "wedge", (90, 190, 200)),
    )
}


def _scene(motion: str, colour: str = "blue", code: str = "a") -> Scene:
    return Scene((code,), "alone", Background("solid", (colour,)), motion, 0.85, (0.0, 0.0))


@functools.cache
def _clip(motion: str, colour: str = "blue", code: str = "a") -> np.ndarray:
    return render(_scene(motion, colour, code), SPRITES)


def _noisy(frames: np.ndarray, deviation: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, deviation, frames.shape)
    return (frames + noise).round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("code", ["b", "c"])
@pytest.mark.parametrize("motion", MOTIONS)
def test_every_motion_is_measured_as_scripted(motion: str, code: str) -> None:
    figures = measure(_clip(motion, code=code), _scene(motion, code=code))
    assert figures.background_right and figures.moves
    assert figures.direction_right is (True if motion in ("left", "right", "up", "down") else None)
    assert figures.size_right is (True if motion in ("grow", "shrink") else None)
    assert figures.bounce_right is (True if motion == "bounce" else None)
    if motion in ("none", "grow", "shrink", "bounce"):
        assert direction_of(figures.displacement) is None
    if motion in ("none", "left", "right", "up", "down", "bounce"):
        assert size_change_of(figures.growth) is None
    if motion != "bounce":
        assert figures.bounce < BOUNCE_THRESHOLD


@pytest.mark.parametrize("motion", OPPOSITE)
def test_a_clip_played_backwards_is_the_opposite_motion(motion: str) -> None:
    backwards = _clip(motion)[::-1]
    assert False in dataclasses.asdict(measure(backwards, _scene(motion))).values()
    figures = measure(backwards, _scene(OPPOSITE[motion]))
    assert figures.direction_right is not False and figures.size_right is not False


def test_displacement_and_growth_are_in_true_units() -> None:
    weights = foreground(_clip("right"))
    across, down = drift(weights)
    assert across == pytest.approx(0.36 * 79 / 80, abs=0.01) and down == pytest.approx(0, abs=0.01)
    last = 0.5 + 0.6 * 79 / 80
    assert growth_of(foreground(_clip("grow"))) == pytest.approx(last / 0.5, rel=0.06)


@pytest.mark.parametrize("motion", ["left", "up", "grow"])
def test_noise_and_short_or_larger_clips_do_not_hide_motion(motion: str) -> None:
    clip = _clip(motion)
    for frames in (_noisy(clip, 15), clip[::5], clip.repeat(2, 1).repeat(2, 2)):
        figures = measure(frames, _scene(motion))
        assert False not in (figures.background_right, figures.direction_right, figures.size_right)


@pytest.mark.parametrize("colour", COLOURS)
def test_every_background_is_named_and_no_other(colour: str) -> None:
    clip = _noisy(render(_scene("spin", colour, "c"), SPRITES, 8), 12)
    assert background_colour(clip) == colour
    other = next(name for name in COLOURS if name != colour)
    assert measure(clip, _scene("spin", other, "c")).background_right is False


def test_static_clips_do_not_move() -> None:
    still = _clip("none")[:1].repeat(80, 0)
    assert change_between_eighths(still) == 0
    assert change_between_eighths(_noisy(still, 20)) < MOVING_THRESHOLD
    lighter = still + np.arange(80, dtype=np.uint8)[:, None, None, None] % 8 * 2
    assert change_between_eighths(lighter) < MOVING_THRESHOLD
    assert not measure(_noisy(still, 10), _scene("none")).moves


@pytest.mark.parametrize("count", [1, 2, 7])
def test_an_empty_or_very_short_clip_shows_no_motion(count: int) -> None:
    empty = np.full((count, 128, 128, 3), COLOURS["red"], np.uint8)
    for motion, asked in {"left": "direction", "grow": "size", "bounce": "bounce"}.items():
        figures = measure(empty, _scene(motion, "red"))
        assert figures.background_right and not figures.moves
        assert getattr(figures, f"{asked}_right") is False


def test_two_coloured_backgrounds_are_not_judged() -> None:
    scene = dataclasses.replace(_scene("none"), background=Background("checks", ("red", "white")))
    assert measure(render(scene, SPRITES, 8), scene).background_right is None


def test_lab_agrees_with_published_values() -> None:
    known = {(255, 255, 255): (100, 0, 0), (0, 0, 0): (0, 0, 0), (255, 0, 0): (53.24, 80.09, 67.20)}
    for rgb, expected in known.items():
        assert lab(np.array(rgb)) == pytest.approx(expected, abs=0.1)
