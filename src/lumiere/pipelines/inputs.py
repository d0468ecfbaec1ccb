"""What a call of a pipeline may ask for: sizes, seeds, and texts."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from lumiere.errors import InputError


def check_request(
    prompts: Sequence[str] | None, num_frames: int, height: int, width: int, factor: int
) -> None:
    """Refuse what no model could make, and sizes that a codec's ``factor`` does not divide.

    Args:
        prompts: none of which may be empty; None if there need not be any.

    Raises:
        InputError: with what would be right.
    """
    if prompts is not None and not (prompts and all(prompt.strip() for prompt in prompts)):
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


def check_text(text: str) -> None:
    """Raise :class:`InputError` for what no text encoder could read."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"the prompt {text!a} is not UTF-8 text") from None


def check_seed(seed: Any) -> int:
    """A seed as an ``int``, from whatever is a whole number. Raises :class:`InputError` for anything else."""
    try:
        number = None if isinstance(seed, bool) else operator.index(seed)
    except TypeError:
        number = None
    if number is None or not 0 <= number < 2**63:
        raise InputError(f"seed is {seed!r}; give a whole number from 0 to {2**63 - 1}")
    return number
