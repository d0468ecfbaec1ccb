"""Evaluation of prompts with two objects: is each recognised, and on its side?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lumiere.emoji.data.heldout import HeldOutPrompt, held_out_prompts
from lumiere.emoji.data.scenes import Scene, Sprite
from lumiere.emoji.evaluation.bench import Bench, Figures, Shown
from lumiere.emoji.evaluation.figures import border_colours, foreground, measure
from lumiere.emoji.evaluation.prompts import first
from lumiere.emoji.evaluation.recogniser import Recogniser, ranking, span


def choose_pairs(labels: Mapping[str, str], _: Mapping[str, Sprite], count: int) -> list[HeldOutPrompt]:
    """The first ``count`` prompts of two objects that training never shows together.

    None of them spins, for sides change when a pair turns. Raises :class:`InputError` unless there are that
    many.
    """
    prompts = held_out_prompts(dict(labels), pairs=2 * count)
    pairs = [each for each in prompts if each.scene.relation != "alone" and each.scene.motion != "spin"]
    return first(pairs, count)


def pairs(bench: Bench, prompt: HeldOutPrompt, number: int, seed: int) -> tuple[Figures, Shown]:
    """Both objects in the clip that the model makes, and in the real one, which is the ceiling."""
    scene = prompt.scene
    made, real = bench.pipe(prompt.prompt, seed=seed, **bench.sampling).frames, bench.real(scene)
    figures = measure(made, scene)
    truth = found(real, scene, bench.recogniser)
    return {
        **found(made, scene, bench.recogniser),
        **{f"real_{name}": truth[name] for name in ("both_named", "both_among_five")},
        "background": figures.background_right,
        "direction": figures.direction_right,
        "moves": figures.moves,
    }, {prompt.prompt: made, "real": real}


def found(frames: np.ndarray, scene: Scene, recogniser: Recogniser) -> Figures:
    """Which of the scene's two objects the recogniser names (frames: uint8, t x h x w x 3).

    Each side is looked at by itself, so ``both_named`` says that both are there and stand where they should;
    ``both_swapped`` that each is among the first five names of the other's side.
    """
    ranked = [ranking(recogniser.probabilities(side)) for side in sides(frames, scene.relation == "above")]
    own = [names.index(code) for names, code in zip(ranked, scene.objects, strict=True)]
    others = [names.index(code) for names, code in zip(ranked, scene.objects[::-1], strict=True)]
    return {
        "both_named": max(own) < 1,
        "both_among_five": max(own) < 5,
        "one_named": min(own) < 1,
        "one_among_five": min(own) < 5,
        "both_swapped": max(others) < 5,
    }


def sides(frames: np.ndarray, above: bool) -> tuple[np.ndarray, np.ndarray]:
    """The clip twice: with what stands left alone, and right (or above, and below).

    What is not background is parted at its middle in each frame, for the pair may move; the other side is
    painted in the background's colour. Of real pairs each side shows one object.
    """
    axis = 0 if above else 1
    first_side, second_side = frames.copy(), frames.copy()
    weights, colours = foreground(frames), border_colours(frames)
    for index, weight in enumerate(weights):
        low, high = span(weight.sum(1 - axis))
        place = round((2 + low + high) / 4 * frames.shape[1 + axis])
        # views whose first axis is the one that is parted
        first_side[index].swapaxes(0, axis)[place:] = colours[index]
        second_side[index].swapaxes(0, axis)[:place] = colours[index]
    return first_side, second_side
