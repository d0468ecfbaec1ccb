"""The recogniser that ships, and the figures of real clips that ship with it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumiere.emoji.data.scenes import Background, Scene, Sprite, render
from lumiere.emoji.data.sprites import load_sprites
from lumiere.emoji.evaluation.features import recogniser_features
from lumiere.emoji.evaluation.prompts import REAL_RESULTS, choose_prompts, shipped_real_results, summarise
from lumiere.emoji.evaluation.recogniser import SHIPPED, Recogniser, ranking

SAMPLE = Path(__file__).parents[2] / "sample" / "sprites"


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser.load()


@pytest.fixture(scope="module")
def sprites() -> dict[str, Sprite]:
    return {sprite.code: sprite for sprite in load_sprites(SAMPLE)}


def _softened(frames: np.ndarray) -> np.ndarray:
    pictures = [Image.fromarray(frame) for frame in frames]
    small = [picture.resize((40, 40), Image.Resampling.BILINEAR) for picture in pictures]
    return np.stack([np.asarray(p.resize(pictures[0].size, Image.Resampling.BICUBIC)) for p in small])


@pytest.mark.parametrize("motion", ["right", "spin"])
def test_real_objects_are_recognised_sharp_and_soft(
    motion: str, recogniser: Recogniser, sprites: dict[str, Sprite]
) -> None:
    for code, colour in zip(sprites, ["green", "purple", "white", "orange", "gray", "blue"], strict=True):
        scene = Scene((code,), "alone", Background("solid", (colour,)), motion, 0.85, (0.0, 0.0))
        frames = render(scene, sprites, 12, start=20)
        for shown in (frames, _softened(frames)):
            assert ranking(recogniser.probabilities(shown, 6))[0] == code, (sprites[code].label, colour)


def test_it_knows_every_object_by_the_datas_names(recogniser: Recogniser, sprites: dict[str, Sprite]) -> None:
    assert len(recogniser.labels) == 734 and len(set(recogniser.labels.values())) == 734
    assert {code: recogniser.labels[code] for code in sprites} == {c: s.label for c, s in sprites.items()}
    assert SHIPPED.stat().st_size < 2.5e6


def test_real_figures_are_of_this_recogniser_and_a_ceiling(recogniser: Recogniser) -> None:
    results = [json.loads(line) for line in REAL_RESULTS.read_text("utf-8").splitlines()]
    assert {result["recogniser"] for result in results} == {recogniser.sha256}
    labels = {result["object"]: recogniser.labels[result["object"]] for result in results}
    for question, row in summarise(results).items():
        assert row["of"] >= 30 and row["share"] > 0.9, question
    assert shipped_real_results(choose_prompts({"0": "nothing", "1": "real"}, 1)) is None
    assert len(labels) > 100


def test_features_know_the_order_of_the_frames(recogniser: Recogniser) -> None:
    net = recogniser_features(recogniser)
    ramp = (
        np.repeat(np.linspace(0, 250, 20).astype(np.uint8)[:, None, None, None], 24, 1)
        .repeat(32, 2)
        .repeat(3, 3)
    )
    (features, classes), (again, _) = net(ramp, "a"), net(ramp, "a")
    assert np.array_equal(features, again) and features.shape == (352,)
    assert classes is not None and classes.sum() == pytest.approx(1, abs=1e-4)
    other, _ = net(ramp[np.random.default_rng(0).permutation(20)], "a")
    assert other[176:].mean() > 1.5 * features[176:].mean()
