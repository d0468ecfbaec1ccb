"""Backgrounds taken away from composed clips, whose alpha is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lumiere.emoji.data.scenes import COLOURS, Background, random_scene, render
from lumiere.emoji.data.sprites import load_sprites
from lumiere.errors import InputError
from lumiere.matting import take_away_background


@pytest.fixture(scope="module")
def scenery(sprites):
    return {sprite.code: sprite for sprite in load_sprites(sprites)}


def composed(scenery, scene, kind, *colours):
    return render(replace(scene, background=Background(kind, colours)), scenery, 3)


@pytest.mark.parametrize("background", [("solid", "purple"), ("gradient", "blue", "yellow")])
def test_alpha_and_edges_are_those_that_were_composed(scenery, background):
    scene = random_scene(np.random.default_rng(1), list(scenery), several=0.0)
    white, black, other = (
        composed(scenery, scene, "solid", name).astype(float) for name in ("white", "black", "green")
    )
    span = (np.subtract(COLOURS["white"], COLOURS["black"])).max()
    true = 1 - ((white - black).max(-1) / span).clip(0, 1)
    made = take_away_background(composed(scenery, scene, *background))
    alpha = made[..., 3:] / 255
    assert abs(alpha[..., 0] - true).mean() < 0.03
    # On another background nothing of the old one is left.
    edge = (true > 0.02) & (true < 0.98)
    again = made[..., :3] * alpha + np.array(COLOURS["green"]) * (1 - alpha)
    assert edge.sum() > 20 and abs(again - other)[edge].mean() < 12


def test_a_mark_of_the_background_inside_an_object_stays():
    frames = np.full((1, 64, 64, 3), (255, 255, 255), np.uint8)
    frames[:, 16:48, 16:48] = (200, 0, 0)
    frames[:, 28:36, 28:36] = 255
    alpha = take_away_background(frames)[..., 3]
    assert (alpha[:, 16:48, 16:48] == 255).all() and alpha.sum() == 32 * 32 * 255


@pytest.mark.parametrize("kind", ["checks", "stripes"])
def test_a_patterned_background_is_refused(scenery, kind):
    scene = random_scene(np.random.default_rng(1), list(scenery), several=0.0)
    with pytest.raises(InputError, match=r"neither plain nor an even gradient: \d+% of the border"):
        take_away_background(composed(scenery, scene, kind, "blue", "yellow"))
