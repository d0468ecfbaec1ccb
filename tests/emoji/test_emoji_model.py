"""The shipped model with a part of the clip known."""

from __future__ import annotations

from pathlib import Path

from lumiere import conditions
from lumiere.emoji.data.scenes import Background, Scene, render
from lumiere.emoji.data.sprites import load_sprites
from lumiere.emoji.evaluation.figures import measure
from lumiere.emoji.evaluation.recogniser import Recogniser, ranking
from lumiere.pipelines.text_to_video import LumierePipeline


def test_an_animated_image_moves_as_prompted_and_keeps_its_object() -> None:
    pipe = LumierePipeline.from_pretrained("emoji")
    pipe.set_progress_bar_config(disable=True)
    sprites = {
        sprite.code: sprite for sprite in load_sprites(Path(__file__).parents[1] / "sample" / "sprites")
    }
    code = next(code for code, sprite in sprites.items() if sprite.label == "penguin")
    scene = Scene((code,), "alone", Background("solid", ("green",)), "right", 0.5, (-0.2, 0.0))
    picture = render(scene, sprites, 1)[0]
    clip = pipe(
        "a penguin moving right on a green background", condition=conditions.from_image(picture), seed=0
    )
    assert (clip.frames[0] == picture).all() and clip.metadata["known_psnr"] > 25
    figures = measure(clip.frames, scene)
    assert figures.background_right and figures.direction_right and figures.moves
    assert ranking(Recogniser.load().probabilities(clip.frames[1:]))[0] == code
