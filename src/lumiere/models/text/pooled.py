"""A pooled text that rides along as the last position of a context.

Stable Diffusion XL's net takes, besides the states of tokens, one vector of the whole text, and the size of
its picture. With the vector in the context, guidance, training and caches have one tensor to carry, and need
not know.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lumiere.errors import InputError
from lumiere.shapes import Context


def append_pooled(states: Context, pooled: Float[Tensor, "b p"]) -> Float[Tensor, "b l+1 d"]:
    """One more position, the pooled text, filled up with zeros.

    Raises:
        InputError: the pooled text is wider than a state.
    """
    missing = states.shape[2] - pooled.shape[1]
    if missing < 0:
        raise InputError(f"the pooled text has {pooled.shape[1]} channels and a state {states.shape[2]}")
    return torch.cat([states, F.pad(pooled, (0, missing))[:, None]], dim=1)


def split_pooled(
    context: Context, channels: int
) -> tuple[Float[Tensor, "b l-1 d"], Float[Tensor, "b {channels}"]]:
    """The states and the pooled text, ``channels`` of it, that :func:`append_pooled` put together."""
    return context[:, :-1], context[:, -1, :channels]


def size_ids(height: int, width: int, like: Float[Tensor, "b ..."]) -> Float[Tensor, "b 6"]:
    """What Stable Diffusion XL is told of its picture, in pixels: the original's height and width, the
    place of the crop, and the target's height and width. Nothing is cropped here, nothing enlarged."""
    ids = torch.tensor([height, width, 0, 0, height, width], device=like.device, dtype=like.dtype)
    return ids.expand(len(like), -1)
