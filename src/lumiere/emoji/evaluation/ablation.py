"""What `lumiere ablate cascade` asks of the designs that it compares: held-out prompts, and bounces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lumiere.emoji.data.heldout import HeldOutPrompt, held_out_of_motion
from lumiere.emoji.data.scenes import Sprite
from lumiere.emoji.data.sprites import load_sprites
from lumiere.emoji.evaluation.prompts import choose_prompts, first
from lumiere.errors import InputError
from lumiere.io.bundle import objects

#: columns of the judge's answers
QUESTIONS = {
    "background": "background right",
    "direction": "direction right",
    "size": "size right",
    "bounce": "bounce right",
    "top1": "object (top 1)",
    "top5": "object (top 5)",
    "moves": "moves",
}


@dataclass(frozen=True)
class AblationPrompts:
    """Held-out prompts of a model's objects.

    Attributes:
        text: those of the evaluation.
        bounces: of one object that bounces.
        sprites: of the objects, by code.
    """

    text: list[HeldOutPrompt]
    bounces: list[HeldOutPrompt]
    sprites: dict[str, Sprite]


def ablation_prompts(bundle: Path, data: Path, count: int) -> AblationPrompts:
    """``count`` prompts of either set, about the objects of a bundle's model, or of ``data`` if it has none.

    Raises:
        InputError: ``data`` lacks some of the objects, or there are fewer prompts.
    """
    labels = objects(bundle)
    sprites = {sprite.code: sprite for sprite in load_sprites(data, codes=labels)}
    labels = labels or {code: sprite.label for code, sprite in sprites.items()}
    if lacking := labels.keys() - sprites.keys():
        raise InputError(
            f"{data} lacks {len(lacking)} of the model's objects, such as {labels[min(lacking)]}"
        )
    bounces = first(held_out_of_motion(labels, "bounce"), count)
    return AblationPrompts(choose_prompts(labels, count), bounces, sprites)
