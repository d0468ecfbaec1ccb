"""What a call of a pipeline may ask for: sizes, seeds, and texts."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import torch

from lumiere.errors import InputError


def check_request(prompts: Sequence[str], num_frames: int, height: int, width: int, factor: int) -> None:
    """Refuse what no model could make, and sizes that a codec's ``factor`` does not divide.

    Raises:
        InputError: with what would be right.
    """
    if not prompts or not all(prompt.strip() for prompt in prompts):
        raise InputError("the prompt is empty; say what is to be seen")
    if num_frames < 1:
        raise InputError(f"frames is {num_frames}; give at least 1")
    for length, what in ((height, "height"), (width, "width")):
        if length < factor or length % factor:
            nearest = max(factor, round(length / factor) * factor)
            raise InputError(f"{what} is {length}; this model makes multiples of {factor}, such as {nearest}")


def base_size(height: int, width: int, trained: int, factor: int) -> tuple[int, int]:
    """Height and width that a model trained at ``trained`` pixels should make for a clip of this size: these
    themselves, or, if the longer side is above it, sides in nearly the same proportion that are not."""
    return (height, width) if max(height, width) <= trained else fitted_size(height, width, trained, factor)


def fitted_size(height: int, width: int, trained: int, factor: int) -> tuple[int, int]:
    """Height and width in about these proportions, the longer side being what the model was trained at."""
    longer = max(height, width)
    height, width = (max(1, round(side * trained / longer / factor)) * factor for side in (height, width))
    return height, width


def seeds_of(seed: int | Sequence[int] | None, generator: torch.Generator | None, count: int) -> list[int]:
    """The seed of each clip; with a generator, the generator's own."""
    if generator is not None:
        if seed is not None:
            raise InputError("both seed and generator are given; give one of them")
        return [generator.initial_seed()] * count
    if seed is None:
        return [secrets.randbelow(2**32) for _ in range(count)]
    if isinstance(seed, int):
        return [seed] * count
    if len(seed) != count:
        raise InputError(f"there are {len(seed)} seeds for {count} prompts; give one, or one each")
    return list(seed)


def check_text(text: str) -> None:
    """Raise :class:`InputError` for what no text encoder could read."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"the prompt {text!a} is not UTF-8 text; write it anew") from None
