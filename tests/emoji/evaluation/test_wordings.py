"""Two objects, and another word for one, on real sprites with the recogniser that ships."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from lumiere.emoji.data.scenes import Background, Relation, Scene, Sprite, own_tags, render
from lumiere.emoji.data.sprites import load_sprites
from lumiere.emoji.evaluation.bench import Bench
from lumiere.emoji.evaluation.pairs import choose_pairs, found, sides
from lumiere.emoji.evaluation.recogniser import Recogniser
from lumiere.emoji.evaluation.synonyms import choose_tagged
from lumiere.emoji.evaluation.tasks import TASKS, summarise
from lumiere.errors import InputError
from lumiere.io.video import Clip
from lumiere.pipelines.text_to_video import LumierePipeline

SAMPLE = Path(__file__).parents[2] / "sample" / "sprites"
COUNT = 6


@pytest.fixture(scope="module")
def sprites() -> dict[str, Sprite]:
    return {sprite.code: sprite for sprite in load_sprites(SAMPLE)}


@pytest.fixture(scope="module")
def bench(pipe, sprites: dict[str, Sprite]) -> Bench:
    labels = {code: sprite.label for code, sprite in sprites.items()}
    settings = {"steps": 1, "guidance": 1.0, "seed": 0}
    return Bench(pipe, Recogniser.load(), sprites, labels, settings)


@pytest.fixture
def model_makes(monkeypatch: pytest.MonkeyPatch):
    """What the model is to make of a text."""

    def makes(make) -> None:
        monkeypatch.setattr(LumierePipeline, "__call__", lambda self, text, **_: Clip(make(text), 16))

    return makes


def _pair(codes: tuple[str, ...], relation: Relation, motion="none") -> Scene:
    return Scene(codes, relation, Background("solid", ("green",)), motion, 0.46, (0.0, 0.0))


@pytest.mark.parametrize(("relation", "motion"), [("beside", "left"), ("above", "up"), ("above", "grow")])
def test_each_of_two_objects_is_found_on_its_side(
    relation: Relation, motion, bench: Bench, sprites: dict[str, Sprite]
) -> None:
    codes = sorted(sprites)
    for pair in zip(codes[::2], codes[1::2], strict=True):
        scene = _pair(pair, relation, motion)
        frames = render(scene, sprites, COUNT, start=70)
        said = found(frames, scene, bench.recogniser)
        assert said["both_named"] and said["both_among_five"] and not said["both_swapped"], pair
        other_way = found(frames, dataclasses.replace(scene, objects=pair[::-1]), bench.recogniser)
        assert other_way["both_swapped"] and not other_way["one_named"], pair


def test_one_object_is_not_two(bench: Bench, sprites: dict[str, Sprite]) -> None:
    pair = tuple(sorted(sprites)[:2])
    left = dataclasses.replace(_pair(pair[:1], "alone"), offset=(-0.24, 0.0))
    said = found(render(left, sprites, COUNT), _pair(pair, "beside"), bench.recogniser)
    assert not said["both_named"] and not said["both_swapped"]


def test_sides_are_the_clip_parted(sprites: dict[str, Sprite]) -> None:
    frames = render(_pair(tuple(sorted(sprites)[:2]), "beside"), sprites, COUNT)
    left, right = sides(frames, above=False)
    background = frames[0, 0, 0]
    at_left, at_right = ((side != background).any(-1) for side in (left, right))
    assert at_left.any() and at_right.any() and not (at_left & at_right).any()
    assert (np.where(at_left[..., None], left, right) == frames).all()


def test_pairs_are_held_out_and_have_a_ceiling(bench: Bench, model_makes) -> None:
    chosen = choose_pairs(bench.labels, bench.sprites, 9)
    assert chosen[:4] == choose_pairs(bench.labels, bench.sprites, 4)
    assert all("pair" in prompt.held_out and prompt.scene.motion != "spin" for prompt in chosen)
    prompt = chosen[0]
    model_makes(lambda text: bench.real(prompt.scene))
    figures, shown = TASKS["pairs"].measure(bench, prompt, 0, 0)
    assert figures["both_named"] and figures["real_both_named"] and figures["moves"] is not None
    assert list(shown) == [prompt.prompt, "real"]


def test_a_synonym_is_set_beside_the_label(bench: Bench, model_makes) -> None:
    (prompt,) = choose_tagged(bench.labels, bench.sprites, 1)
    code = prompt.scene.objects[0]
    tags = own_tags(list(bench.sprites.values()))[code]
    empty = np.full((COUNT, 128, 128, 3), 90, np.uint8)
    asked: list[str] = []

    def make(text: str) -> np.ndarray:
        asked.append(text)
        return bench.real(prompt.scene) if text == prompt.prompt else empty

    model_makes(make)
    figures, _ = TASKS["synonyms"].measure(bench, prompt, 1, 0)
    assert tags[1 % len(tags)] in asked[0] and asked[1] == prompt.prompt
    assert figures["label_named"] and not figures["synonym_named"]
    summary = summarise([figures, {**figures, "synonym_named": True, "synonym_named_change": 0.0}])
    assert summary["synonym_named_change"]["mean"] == -0.5
    assert (summary["synonym_named_change"]["low"], summary["synonym_named_change"]["high"]) == (-1, 0)
    with pytest.raises(InputError, match="give all sprites"):
        untagged = {code: dataclasses.replace(s, tags=()) for code, s in bench.sprites.items()}
        choose_tagged(bench.labels, untagged, 1)
