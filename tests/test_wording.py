"""Prompts taken apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumiere.data.compose import MOTION_WORDS, RELATION_WORDS
from lumiere.data.heldout import held_out_prompts
from lumiere.models import bundle
from lumiere.wording import arranged, without_words

RELATIONS = RELATION_WORDS | {"over": "above"}


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
        # a place that two words contradict each other about, and one that is only begun
        ("a cat above a dog to the left of a fish", None),
        ("a cat above", None),
        ("an overweight cat", None),
        ("a black and white cat", None),
        ("a cat and a dog", [["a cat", "a dog"]]),
        ("a cat, a dog, and the fish", [["a cat", "a dog", "the fish"]]),
        ("hippopotamus, a cat and a dog in a row", [["hippopotamus", "a cat", "a dog"]]),
        # motion is of all, unless each has its own
        ("a cat above a dog moving left", [["a cat moving left"], ["a dog moving left"]]),
        ("a cat spinning above a dog moving left", [["a cat spinning"], ["a dog moving left"]]),
        ("a cat spinning above a dog", [["a cat spinning"], ["a dog"]]),
        # the background is everyone's
        (
            "a cat above a dog on a red background",
            [["a cat on a red background"], ["a dog on a red background"]],
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
def test_objects_are_told_apart(prompt, rows):
    expected = ((prompt,),) if rows is None else tuple(map(tuple, rows))
    assert arranged(prompt, RELATIONS, MOTION_WORDS) == expected
    assert arranged(prompt, {}, MOTION_WORDS) == ((prompt,),)


def test_captions_have_as_many_windows_as_objects():
    labels = bundle.objects(bundle.resolve("emoji"))
    shapes = {"alone": (1, 1), "beside": (1, 2), "above": (2, 1), "row": (1, 3)}
    for each in held_out_prompts(labels, pairs=200):
        rows = arranged(each.prompt, RELATIONS, MOTION_WORDS)
        assert (len(rows), len(rows[0])) == shapes[each.scene.relation]
        said = [prompt for row in rows for prompt in row]
        for code, prompt in zip(each.scene.objects, said, strict=True):
            assert labels[code] in prompt and prompt.endswith(each.prompt.rpartition(" on a")[2])


@given(st.text())
def test_any_text_is_kept_whole_where_nothing_is_said_of_several(text):
    rows = arranged(text, RELATIONS, MOTION_WORDS)
    assert rows and all((row and all(row)) or row == (text,) for row in rows)
