"""Text encoders: prompts to a sequence of token states, the context that the net attends to.

    b prompts   l tokens   d width of a state

The length is fixed and there is no mask: what a net sees of the positions past the end of a prompt is the
encoder's to say. A prompt's states do not depend on the prompts beside it.
"""

from __future__ import annotations

from typing import Protocol

from diffusers import ModelMixin

from lumiere.models.text.clip import CLIPTextEncoder
from lumiere.models.text.minilm import MiniLMTextEncoder
from lumiere.models.text.sdxl import SDXLTextEncoder
from lumiere.models.text.t5 import T5TextEncoder
from lumiere.shapes import Context

# diffusers looks for ModelMixin where it finds a component's class.
__all__ = [
    "CLIPTextEncoder",
    "MiniLMTextEncoder",
    "ModelMixin",
    "SDXLTextEncoder",
    "T5TextEncoder",
    "TextEncoder",
]


class TextEncoder(Protocol):
    """``dim`` is the width of a state, ``length`` the number of token positions."""

    dim: int
    length: int

    def __call__(self, prompts: list[str]) -> Context: ...
