"""Evaluation of synonyms: an object named by one of its tags instead of its label."""

from __future__ import annotations

from collections.abc import Mapping

from lumiere.emoji.data.heldout import HeldOutPrompt, held_out_prompts
from lumiere.emoji.data.scenes import Sprite, caption, own_tags
from lumiere.emoji.evaluation.bench import Bench, Figures, Shown
from lumiere.emoji.evaluation.prompts import first
from lumiere.emoji.evaluation.recogniser import ranking


def choose_tagged(
    labels: Mapping[str, str], sprites: Mapping[str, Sprite], count: int
) -> list[HeldOutPrompt]:
    """The first ``count`` held-out prompts of one object that has a tag of its own.

    Raises :class:`InputError` unless there are that many.
    """
    tags = own_tags(list(sprites.values()))
    alone = held_out_prompts(dict(labels), pairs=0)
    return first([prompt for prompt in alone if tags[prompt.scene.objects[0]]], count)


def synonyms(bench: Bench, prompt: HeldOutPrompt, number: int, seed: int) -> tuple[Figures, Shown]:
    """The same scene from the same noise, once by the object's label and once by one of its tags."""
    code = prompt.scene.objects[0]
    tags = own_tags(list(bench.sprites.values()))[code]
    tagged = caption(prompt.scene, {code: tags[number % len(tags)]})
    figures: Figures = {}
    shown: Shown = {}
    places = {}
    for name, text in (("synonym", tagged), ("label", prompt.prompt)):
        shown[text] = bench.pipe(text, seed=seed, **bench.sampling).frames
        places[name] = ranking(bench.recogniser.probabilities(shown[text])).index(code)
        figures |= {f"{name}_named": places[name] < 1, f"{name}_among_five": places[name] < 5}
    for question, least in (("named", 1), ("among_five", 5)):
        change = (places["synonym"] < least) - (places["label"] < least)
        figures[f"synonym_{question}_change"] = float(change)
    return figures, shown
