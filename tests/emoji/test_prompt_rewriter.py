"""Ordinary prompts in the words of the captions."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from lumiere.emoji.data.scenes import (
    COLOURS,
    MOTIONS,
    Background,
    Scene,
    caption,
    random_background,
    with_article,
)
from lumiere.emoji.prompt_parser import EmojiPromptParser
from lumiere.emoji.prompt_rewriter import MOST_OBJECTS, PromptRewriter, Rewritten
from lumiere.emoji.vocabulary import WORDS, distance
from lumiere.errors import InputError
from lumiere.io import bundle

FOLDER = bundle.resolve("emoji")
LABELS = bundle.objects(FOLDER)
NAMES = json.loads((FOLDER / WORDS).read_text("utf-8"))


@pytest.fixture(scope="module")
def rewriter() -> PromptRewriter:
    made = PromptRewriter.from_bundle(FOLDER)
    assert made is not None
    return made


@pytest.mark.slow
def test_captions_stay_as_they_are(rewriter):
    for code, motion, colour in itertools.product(LABELS, MOTIONS, COLOURS):
        scene = Scene((code,), "alone", Background("solid", (colour,)), motion, 0.8, (0.0, 0.0))
        text = caption(scene, LABELS)
        assert rewriter(text) == Rewritten(text)


def test_captions_of_several_objects_and_all_backgrounds_stay_as_they_are(rewriter):
    rng = np.random.default_rng(0)
    for _ in range(500):
        relation, count = [("beside", 2), ("above", 2), ("row", 3), ("alone", 1)][rng.integers(4)]
        objects = tuple(rng.choice(list(LABELS), count, replace=False).tolist())
        motion = MOTIONS[rng.integers(len(MOTIONS))]
        scene = Scene(objects, relation, random_background(rng), motion, 0.4, (0.0, 0.0))
        assert rewriter(text := caption(scene, LABELS)).prompt == text


@pytest.mark.parametrize("language", ["en", pytest.param("other", marks=pytest.mark.slow)])
def test_every_name_finds_its_object_or_one_that_shares_it(rewriter, language):
    for code, languages in NAMES.items():
        for name in {
            name for key, names in languages.items() if (key == "en") == (language == "en") for name in names
        }:
            said = rewriter(name, default_background=False).prompt
            found = [each for each, label in LABELS.items() if with_article(label) in said]
            assert any(rewriter.vocabulary.shares(each, name) for each in found), (LABELS[code], name, said)


def test_every_emoji_is_its_object(rewriter):
    for code, label in LABELS.items():
        character = "".join(chr(int(point, 16)) for point in code.split("-"))
        assert rewriter(character, default_background=False).prompt == with_article(label)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a cat", "a cat on a white background"),
        ("PENGUIN dancing!", "a penguin on a blue background"),
        ("cute puppy wagging its tail", "a dog face on a white background"),
        ("a frgo jumping", "a frog bouncing on a white background"),
        ("elefant", "an elephant on a white background"),
        ("a dog running to the left on pink", "a dog moving left on a pink background"),
        ("two frogs", "a frog to the left of a frog on a white background"),
        ("a bird flies up", "a bird moving up on a white background"),
        ("the owl is growing bigger on a grey backdrop", "an owl growing on a gray background"),
        ("🐱 and 🐶 on a blue background", "a cat face to the left of a dog face on a blue background"),
        ("a frog sitting on a turtle", "a frog above a turtle on a white background"),
        ("ein Hund auf rotem Hintergrund", "a dog on a red background"),
        ("un chat noir", "a black cat on a white background"),
        ("猫", "a cat on a white background"),
        (
            "a fish, a shrimp and a crab on yellow",
            "a fish, a shrimp and a crab in a row on a yellow background",
        ),
    ],
)
def test_ordinary_prompts(rewriter, prompt, expected):
    assert rewriter(prompt).prompt == expected
    assert rewriter(expected).prompt == expected


def test_what_is_ignored_is_noted(rewriter):
    assert rewriter("a cat with a hat").notes == ("'hat' is not known to this model and is ignored",)
    assert "the colour 'green'" in rewriter("a green cat").notes[0]
    assert "in the grass" in rewriter("a cat in the grass").notes[0]
    assert rewriter("a cat on a red background").notes == ()


def test_light_objects_have_no_white_background(rewriter):
    assert "white" not in rewriter("a polar bear").prompt + rewriter("swan").prompt


def test_a_clip_with_a_source_gets_no_background(rewriter):
    assert rewriter("the cat jumps", default_background=False).prompt == "a cat bouncing"


def test_typos_find_their_object(rewriter):
    for label in LABELS.values():
        if len(label) < 6 or " " in label or "-" in label:
            continue
        for typo in (label[:2] + label[3:], label[:3] + label[2] + label[3:]):
            if rewriter._is_word(typo.lower()):
                continue
            assert with_article(label) in rewriter(f"a {typo}").prompt, typo


@pytest.mark.parametrize(
    "prompt",
    [
        "a car",
        "the Eiffel tower",
        "stock market",
        "a boat on a lake",
        "pizza",
        "a red house",
        "hot dog",
        "🚗",
    ],
)
def test_what_is_out_of_the_domain_is_refused(rewriter, prompt):
    with pytest.raises(InputError, match="the nearest are") as caught:
        rewriter(prompt)
    assert "\n" not in str(caught.value)


def test_several_objects_make_as_many_windows(rewriter):
    for prompt, shape in {
        "two frogs": (1, 2),
        "three jumping cats": (1, 3),
        "a cat above a dog": (2, 1),
        "ten sharks": (1, MOST_OBJECTS),
    }.items():
        rows = EmojiPromptParser().split_objects(rewriter(prompt).prompt)
        assert (len(rows), len(rows[0])) == shape


def test_edit_distance():
    assert [distance("frog", word, 2) for word in ("frog", "frgo", "rog", "frogs", "fish")] == [0, 1, 1, 1, 3]
