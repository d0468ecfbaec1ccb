"""The image model's layer blocks on the frames of clips, with the temporal layers that belong to them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn

from lumiere.models.layers import attentions
from lumiere.models.temporal import in_slices


class FrameConditions:
    """Each clip's embedding and text context, repeated for a level's frames; of one clip, views.

    A clip whose text changes has those of each frame, ``b t e`` and ``b t l d``: a level gets those of the
    frames that it keeps.
    """

    def __init__(self, emb: Tensor, context: Tensor, placed: Tensor):
        self._clip_emb, self._clip_context, self._placed = emb, context, placed
        self._made: dict[int, tuple[Tensor, Tensor]] = {}

    def _for(self, folded: int) -> tuple[Tensor, Tensor]:
        if folded not in self._made:
            emb, context = self._clip_emb, self._clip_context
            frames = folded // len(emb)
            if emb.ndim == 3:
                emb, context = (each[:, :: each.shape[1] // frames] for each in (emb, context))
            else:
                emb = emb[:, None].expand(-1, frames, -1)
                context = context[:, None].expand(-1, frames, -1, -1)
            self._made[folded] = emb.flatten(0, 1), context.flatten(0, 1)
        return self._made[folded]

    def emb(self, x: Tensor) -> Tensor:
        """``(b t) e`` for the ``b t`` frames of ``x``."""
        return self._for(len(x))[0]

    def context(self, x: Tensor) -> Tensor:
        """``(b t) l d`` for the ``b t`` frames of ``x``."""
        return self._for(len(x))[1]

    def placed(self, x: Tensor) -> Tensor:
        """``b t e`` for the ``b t`` frames of ``x``: the temporal blocks' embedding."""
        return self._placed[:, :: self._placed.shape[0] * self._placed.shape[1] // len(x)]


def run_layer(
    conditions: FrameConditions,
    x: Tensor,
    placed: Tensor,
    resnet: nn.Module,
    inner: nn.Module | None,
    attention: nn.Module | None,
    block: nn.Module,
    *skips: Tensor,
) -> Tensor:
    """A spatial layer block and its temporal layers, on the frames ``(b t) c h w``.

    Args:
        placed: the temporal layers' embedding, ``b t e``.
        inner: temporal layer between the resnet and the attention.
        block: temporal layer that follows both.
        skips: of the way down, concatenated with ``x``.
    """
    if inner is None:
        space = partial(_residual_and_attention, resnet, attention)
        x = in_slices(space, x, conditions.emb(x), conditions.context(x), *skips)
    else:
        x = inner(in_slices(partial(_residual, resnet), x, conditions.emb(x), *skips), placed)
        if attention:
            x = in_slices(partial(attend, attention), x, conditions.context(x))
    return block(x, placed)


def _residual(resnet: nn.Module, x: Tensor, emb: Tensor, *skips: Tensor) -> Tensor:
    return resnet(torch.cat([x, *skips], dim=1) if skips else x, emb)


def _residual_and_attention(
    resnet: nn.Module, attention: nn.Module | None, x: Tensor, emb: Tensor, context: Tensor, *skips: Tensor
) -> Tensor:
    x = _residual(resnet, x, emb, *skips)
    return attend(attention, x, context) if attention else x


def repeat_for_frames(each: Any, frames: int) -> Any:
    """Of each clip, for each of its frames; what is one for all clips stays so."""
    return each.repeat_interleave(frames, 0) if isinstance(each, Tensor) and each.ndim else each


def repeat_last(clips: Tensor, times: int) -> Tensor:
    return F.pad(clips, (0, 0, 0, 0, 0, times), mode="replicate") if times else clips


def layer_blocks(space: Any, time: Any) -> Iterator[tuple[nn.Module | None, ...]]:
    """Of each spatial layer block: its resnet, what stands inside it, its attention, and what follows it."""
    inner = time.inner_layers(len(space.resnets))
    return zip(space.resnets, inner, attentions(space), time.blocks, strict=True)


def attend(attention: nn.Module, x: Tensor, context: Tensor) -> Tensor:
    if isinstance(attention, Transformer2DModel):
        return attention(x, encoder_hidden_states=context, return_dict=False)[0]
    return attention(x, encoder_hidden_states=context)


def resize(
    sampler: nn.Module, x: Tensor, conditions: FrameConditions, size: torch.Size | None = None
) -> Tensor:
    if isinstance(sampler, ResnetBlock2D):
        return in_slices(sampler, x, conditions.emb(x))
    return in_slices(lambda x: sampler(x) if size is None else sampler(x, size), x)
