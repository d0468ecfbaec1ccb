"""Prompts taken apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumiere.emoji.data.heldout import held_out_prompts
from lumiere.emoji.data.scenes import MOTION_WORDS, RELATION_WORDS
from lumiere.emoji.prompt_parser import split_objects, without_words
from lumiere.io import bundle

RELATIONS = RELATION_WORDS | {"over": "above", "on the left of": "left"}
NAMES = ["a cat", "the black and white dog", "hippopotamus", "an owl"]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a cat moving left on a red background", "a cat on a red background"),
        ("Moving a cat", "a cat"),
        ("a cat removing a movingly, moving", "a cat removing a movingly,"),
        ("moving", "moving"),
    ],
)
def test_words_are_left_out_whole(text, left):
    assert without_words(text, ["moving", "moving left"]) == left


@pytest.mark.parametrize(
    ("prompt", "rows"),
    [
        ("a cat", [["a cat"]]),
        ("a cat to the left of a dog", [["a cat", "a dog"]]),
        ("a cat to the right of a dog", [["a dog", "a cat"]]),
        ("a cat Above a dog", [["a cat"], ["a dog"]]),
        ("a cat below a dog", [["a dog"], ["a cat"]]),
        ("a cat above a dog over a fish", [["a cat"], ["a dog"], ["a fish"]]),
        ("a cat on the  left of a dog", [["a cat", "a dog"]]),
        # what could be read in two ways
        ("a cat to the left of a dog and an owl", None),
        ("a cat with a hat and a scarf", None),
        ("a fox flying over a blue background", None),
        ("on a red background a cat and a dog", None),
        ("a cat above a dog on a red background, moving left", None),
        ("a cat be\u0131ow a dog", None),
        ("a cat above a dog to the left of a fish", None),
        ("a cat above", None),
        ("an overweight cat", None),
        ("a black and white cat", None),
        ("a cat and a dog", [["a cat", "a dog"]]),
        ("a cat, a dog, and the fish", [["a cat", "a dog", "the fish"]]),
        ("a cat, hippopotamus and a dog in a row", [["a cat", "hippopotamus", "a dog"]]),
        ("a black and white cat, a dog and sheep in a row", [["a black and white cat", "a dog", "sheep"]]),
        ("a cat and a dog next to each other", [["a cat", "a dog"]]),
        # motion is of all, unless each has its own
        ("a cat above a dog moving left", [["a cat moving left"], ["a dog moving left"]]),
        ("a cat spinning above a dog moving left", [["a cat spinning"], ["a dog moving left"]]),
        ("a cat spinning above a dog", [["a cat spinning"], ["a dog"]]),
        ("a cat above a spinning dog", [["a cat"], ["a spinning dog"]]),
        (
            "a cat above a dog growing and rising",
            [["a cat growing and rising"], ["a dog growing and rising"]],
        ),
        ("a cat , a dog rising", [["a cat rising", "a dog rising"]]),
        # the background is everyone's
        (
            "a cat above a dog on a red background",
            [["a cat on a red background"], ["a dog on a red background"]],
        ),
        (
            "a cat on a red background and a dog on a background fading from red to blue",
            [["a cat on a red background", "a dog on a background fading from red to blue"]],
        ),
        (
            "on a background with red and blue stripes, a cat above a dog rising",
            [
                ["on a background with red and blue stripes, a cat rising"],
                ["on a background with red and blue stripes, a dog rising"],
            ],
        ),
    ],
)
def test_objects_are_split(prompt, rows):
    expected = ((prompt,),) if rows is None else tuple(map(tuple, rows))
    assert split_objects(prompt, RELATIONS, MOTION_WORDS) == expected
    assert split_objects(prompt, {}, MOTION_WORDS) == ((prompt,),)


def test_captions_have_as_many_windows_as_objects():
    labels = bundle.objects(bundle.resolve("emoji"))
    shapes = {"alone": (1, 1), "beside": (1, 2), "above": (2, 1), "row": (1, 3)}
    for each in held_out_prompts(labels, pairs=200):
        rows = split_objects(each.prompt, RELATIONS, MOTION_WORDS)
        assert (len(rows), len(rows[0])) == shapes[each.scene.relation]
        said = [prompt for row in rows for prompt in row]
        for code, prompt in zip(each.scene.objects, said, strict=True):
            assert labels[code] in prompt and prompt.endswith(each.prompt.rpartition(" on a")[2])


@given(st.lists(st.sampled_from(NAMES), min_size=2, max_size=4), st.data())
def test_any_number_of_objects_is_split(names, data):
    relation, place = data.draw(st.sampled_from(sorted(RELATIONS.items())))
    motion = data.draw(st.sampled_from(["", " moving left", " hopping up and down"]))
    setting = data.draw(st.sampled_from(["", " on a red background", " on a white background with red dots"]))
    rows = split_objects(f" {relation} ".join(names) + motion + setting, RELATIONS, MOTION_WORDS)
    said = [name + motion + setting for name in names]
    said = said if place in ("left", "above") else said[::-1]
    assert rows == ((tuple(said),) if place in ("left", "right") else tuple((each,) for each in said))


WORDS = [
    *NAMES,
    *RELATIONS,
    ",",
    "and",
    "in a row",
    "moving",
    "rising",
    "on a red background",
    "background",
    "with",
]


OBJECTS = ["a cat", "hippopotamus", "an owl"]
OTHERS = [",", "and", "in a row", "moving", "rising", "on a red background", "background", "with"]


@given(st.lists(st.sampled_from([*OBJECTS, *RELATIONS, *OTHERS]), max_size=8).map(" ".join) | st.text())
def test_whatever_is_said_no_object_is_lost(text):
    rows = split_objects(text, RELATIONS, MOTION_WORDS)
    parts = [part for row in rows for part in row]
    assert len({len(row) for row in rows}) == 1
    assert parts == [text] or all(part.strip() for part in parts)
    for name in OBJECTS:
        assert sum(part.count(name) for part in parts) == text.count(name)
    if len(parts) > 1:
        assert len({"background" in part for part in parts}) == 1
