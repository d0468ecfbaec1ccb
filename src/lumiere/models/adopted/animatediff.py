"""AnimateDiff's motion modules (arXiv 2307.04725): attention along the frames after every spatial layer
block."""

from __future__ import annotations

import math
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import Tensor, nn

from lumiere.errors import InputError
from lumiere.models.layers import Skip, TemporalLevel


class MotionModule(AnimateDiffTransformer3D):
    """diffusers' motion module as a temporal block.

    Args:
        channels, groups: of ``x``, and of the norm.
        heads, layers: of the attention, and how many layers of it.
        positions: how many positions the weights were trained with.
        frames: how many frames it takes. More than ``positions`` lie at fractions of a position.
    """

    def __init__(self, channels: int, groups: int, heads: int, layers: int, positions: int, frames: int):
        super().__init__(
            num_attention_heads=heads,
            attention_head_dim=channels // heads,
            in_channels=channels,
            num_layers=layers,
            norm_num_groups=groups,
            positional_embeddings="sinusoidal",
            num_positional_embeddings=frames,
        )
        if frames > positions:
            for block in self.transformer_blocks:
                block.pos_embed.pe = stretched_positions(positions, frames, channels)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """``(b t) c h w``; of ``emb``, ``b t e``, the number of frames counts alone."""
        out: Tensor = super().forward(x, num_frames=emb.shape[1])
        return out


def stretched_positions(positions: int, frames: int, channels: int) -> Tensor:
    """The sinusoidal embedding of ``frames`` frames from position 0 to ``positions - 1``: ``1 t c``."""
    places = torch.linspace(0, positions - 1, frames)[:, None]
    angles = places * torch.exp(torch.arange(0, channels, 2) * (-math.log(10_000.0) / channels))
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[None]


class AnimateDiffLayers:
    """Motion modules at every level (version 1, 3, SDXL), and in the middle too (version 2).

    Args:
        middle: whether there is one in the middle, between the transformer and the second resnet.
        positions: how many positions the weights were trained with.
        frames: longest clip of one pass. Default: ``positions``; more are stretched over them.
        heads, layers: of each module's attention, and how many layers of it.
    """

    def __init__(
        self, middle: bool, positions: int, frames: int | None = None, heads: int = 8, layers: int = 1
    ):
        self.middle = middle
        self.positions, self.max_frames = positions, frames or positions
        self.heads, self.layers = heads, layers

    def position(self, unet: UNet2DConditionModel) -> nn.Module | None:
        return None

    def first(self, unet: UNet2DConditionModel) -> nn.Module | None:
        return None

    def level(self, unet: Any, spatial: Any, coarsest: bool) -> TemporalLevel:
        def module(width: int) -> nn.Module:
            if width % self.heads:
                raise InputError(
                    f"a level of the image model has {width} channels; a motion module has {self.heads} heads"
                )
            groups = unet.config.norm_num_groups
            return MotionModule(width, groups, self.heads, self.layers, self.positions, self.max_frames)

        if spatial is not unet.mid_block:
            return TemporalLevel([module(resnet.out_channels) for resnet in spatial.resnets])
        inner = None
        if self.middle:
            if not all(attentions := list(getattr(spatial, "attentions", None) or [None])):
                raise InputError(
                    "the motion modules have one for the middle, after its transformer; the image model has"
                    " no transformer there"
                )
            inner = [module(spatial.resnets[0].out_channels) for _ in attentions]
        return TemporalLevel([Skip() for _ in spatial.resnets], inner)
