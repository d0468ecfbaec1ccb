"""A pooled text embedding as the last position of a context.

Besides the states of tokens, Stable Diffusion XL's net takes one vector of the whole text, and the size of
its picture. With the vector in the context, guidance, training and caches carry one tensor for all models.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lumiere.errors import InputError
from lumiere.shapes import Context


def append_pooled(states: Context, pooled: Float[Tensor, "b p"]) -> Float[Tensor, "b l+1 d"]:
    """Append the pooled text as one more position, padded with zeros.

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
    """Stable Diffusion XL's ``time_ids``, in pixels: original height and width, crop offset, target height
    and width. Nothing is cropped or resized, so the original size is the target size."""
    ids = torch.tensor([height, width, 0, 0, height, width], device=like.device, dtype=like.dtype)
    return ids.expand(len(like), -1)
