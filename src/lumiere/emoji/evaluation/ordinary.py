"""Whether a clip of an ordinary prompt, as people write them, shows its object; and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from lumiere.emoji.data.scenes import Sprite, with_article
from lumiere.emoji.evaluation.bench import Bench, Figures, Shown
from lumiere.emoji.evaluation.recogniser import ranking
from lumiere.emoji.prompt_parser import EmojiPromptParser
from lumiere.emoji.prompt_rewriter import PromptRewriter
from lumiere.errors import InputError

PROMPTS = Path(__file__).with_name("ordinary.jsonl")


@dataclass(frozen=True)
class OrdinaryPrompt:
    """``code`` is of the object that the prompt names first; None if it names none of the model's."""

    prompt: str
    code: str | None


def choose_ordinary(labels: Mapping[str, str], _: Mapping[str, Sprite], count: int) -> list[OrdinaryPrompt]:
    """``count`` of the prompts about these objects, evenly spread over all of them.

    Raises :class:`InputError` unless there are that many.
    """
    codes = {label: code for code, label in labels.items()}
    lines = [json.loads(line) for line in PROMPTS.read_text("utf-8").splitlines()]
    known = [
        OrdinaryPrompt(line["prompt"], line["object"] and codes[line["object"]])
        for line in lines
        if line["object"] is None or line["object"] in codes
    ]
    if not 1 <= count <= len(known):
        raise InputError(f"prompts is {count}; give a number from 1 to {len(known)}")
    return [known[i] for i in np.linspace(0, len(known) - 1, count).round().astype(int)]


def ordinary(bench: Bench, prompt: OrdinaryPrompt, number: int, seed: int) -> tuple[Figures, Shown]:
    """A clip of the rewritten prompt, as the command line makes it. What is refused makes none.

    Raises:
        InputError: the model's bundle has no words to rewrite with.
    """
    rewriter = _rewriter(Path(bench.pipe.config._name_or_path))
    try:
        text = rewriter(prompt.prompt).prompt
    except InputError:
        if prompt.code is None:
            return {"out_of_domain_refused": True}, {}
        return {"object_first": False, "object_among_five": False, "in_domain_refused": True}, {}
    if prompt.code is None:
        return {"out_of_domain_refused": False}, {}
    frames = bench.pipe(text, seed=seed, **bench.sampling).frames
    part = _window_of(frames, text, with_article(bench.labels[prompt.code]))
    place = ranking(bench.recogniser.probabilities(part)).index(prompt.code)
    figures: Figures = {
        "object_first": place < 1,
        "object_among_five": place < 5,
        "in_domain_refused": False,
    }
    return figures, {prompt.prompt: frames}


@cache
def _rewriter(folder: Path) -> PromptRewriter:
    rewriter = PromptRewriter.from_bundle(folder)
    if rewriter is None:
        raise InputError(f"{folder} has no words.json, which ordinary prompts are rewritten with")
    return rewriter


def _window_of(frames: np.ndarray, text: str, name: str) -> np.ndarray:
    """The part of the frames, t x h x w x 3, where a prompt's first object of this name stands."""
    rows = EmojiPromptParser().split_objects(text)
    for i, row in enumerate(rows):
        for j, said in enumerate(row):
            if name in said:
                strip = np.array_split(frames, len(rows), 1)[i]
                return np.array_split(strip, len(row), 2)[j]
    return frames
