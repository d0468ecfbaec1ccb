"""Prompts that no training caption says, balanced over motions and backgrounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lumiere.emoji.data.scenes import (
    COLOURS,
    MOTIONS,
    Background,
    Motion,
    Scene,
    caption,
    held_out_combinations,
)

_ROUNDS = 3


@dataclass(frozen=True)
class HeldOutPrompt:
    """A prompt and the scene that it names; ``held_out`` says which combinations training never shows."""

    prompt: str
    scene: Scene
    held_out: list[str]


def held_out_prompts(labels: dict[str, str], pairs: int = 30) -> list[HeldOutPrompt]:
    """300 prompts, the same ones for the same objects: ``labels`` are the objects' names by code.

    The first 270 are of one object on one colour: three rounds of every motion with every colour, so that the
    first 90 are balanced exactly, and no object comes twice. The last ``pairs`` are of two objects that
    training never shows together; more of them leave the first ones as they are. With few objects some of
    these do not exist, and are left out.
    """
    rng = np.random.default_rng(113)
    codes = sorted(labels)
    cells = [(motion, colour) for motion in MOTIONS for colour in COLOURS]
    scenes: list[Scene] = []
    used: set[str] = set()
    for cell in np.concatenate([rng.permutation(len(cells)) for _ in range(_ROUNDS)]):
        motion, colour = cells[cell]
        for code in sorted(rng.permutation(codes).tolist(), key=used.__contains__):
            scene = _alone(code, colour, motion)
            if held_out_combinations(scene):
                used.add(code)
                scenes.append(scene)
                break
    scenes += _pairs(rng, codes, pairs) if len(codes) > 1 else []
    return _prompts(scenes, labels)


def held_out_of_motion(labels: dict[str, str], motion: Motion) -> list[HeldOutPrompt]:
    """All prompts of one object on one colour with this motion that no training caption says, the same ones
    in the same order for the same objects: every object that has any once, before one comes again."""
    rng = np.random.default_rng(113)
    rounds: list[list[Scene]] = [[] for _ in COLOURS]
    for code in rng.permutation(sorted(labels)).tolist():
        scenes = [_alone(code, colour, motion) for colour in rng.permutation(list(COLOURS)).tolist()]
        for number, scene in enumerate(each for each in scenes if held_out_combinations(each)):
            rounds[number].append(scene)
    return _prompts([scene for scenes in rounds for scene in scenes], labels)


def _alone(code: str, colour: str, motion: Motion) -> Scene:
    return Scene((code,), "alone", Background("solid", (colour,)), motion, 0.85, (0.0, 0.0))


def _prompts(scenes: list[Scene], labels: dict[str, str]) -> list[HeldOutPrompt]:
    return [HeldOutPrompt(caption(scene, labels), scene, held_out_combinations(scene)) for scene in scenes]


def _pairs(rng: np.random.Generator, codes: list[str], count: int) -> list[Scene]:
    scenes: list[Scene] = []
    for _ in range(100 * count):
        n = len(scenes)
        objects = tuple(rng.choice(codes, 2, replace=False).tolist())
        background = Background("solid", (list(COLOURS)[n % len(COLOURS)],))
        scene = Scene(
            objects, ("beside", "above")[n % 2], background, MOTIONS[n % len(MOTIONS)], 0.46, (0.0, 0.0)
        )
        if "pair" in held_out_combinations(scene):
            scenes.append(scene)
        if len(scenes) == count:
            break
    return scenes
