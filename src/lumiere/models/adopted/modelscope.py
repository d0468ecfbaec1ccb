"""ModelScope's temporal layers (arXiv 2308.06571), as ZeroScope has them too: a temporal convolution after
every resnet, attention along the frames after every transformer."""

from __future__ import annotations

from typing import Any

from diffusers import UNet2DConditionModel
from diffusers.models.resnet import TemporalConvLayer
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from torch import Tensor, nn

from lumiere.models.layers import Skip, TemporalLevel, attentions

#: heads of the layer after the first convolution
FIRST_HEADS = 8
DROPOUT = 0.1


class TemporalConvolution(TemporalConvLayer):
    """diffusers' temporal convolution, called with an embedding whose number of frames counts alone."""

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """``(b t) c h w``."""
        out: Tensor = super().forward(x, num_frames=emb.shape[1])
        return out


class TemporalTransformer(TransformerTemporalModel):
    """diffusers' temporal transformer, called with an embedding whose number of frames counts alone."""

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """``(b t) c h w``."""
        out: Tensor = super().forward(x, num_frames=emb.shape[1], return_dict=False)[0]
        return out


class ModelScopeLayers:
    """Temporal convolutions and transformers at every level. They know no positions: any length of clip.

    Args:
        head_channels: channels of a head of the transformers.
    """

    max_frames = None

    def __init__(self, head_channels: int):
        self.head_channels = head_channels

    def position(self, unet: UNet2DConditionModel) -> nn.Module | None:
        return None

    def first(self, unet: Any) -> nn.Module | None:
        return self._transformer(unet, unet.conv_in.out_channels, FIRST_HEADS)

    def level(self, unet: Any, spatial: Any, coarsest: bool) -> TemporalLevel:
        groups = unet.config.norm_num_groups
        convolutions = [
            TemporalConvolution(resnet.out_channels, resnet.out_channels, DROPOUT, groups)
            for resnet in spatial.resnets
        ]
        transformers = [
            Skip() if attention is None else self._transformer(unet, attention.in_channels)
            for attention in attentions(spatial)
        ]
        if spatial is unet.mid_block:
            return TemporalLevel(convolutions, transformers)
        return TemporalLevel(transformers, convolutions)

    def _transformer(self, unet: Any, width: Any, heads: int | None = None) -> nn.Module:
        return TemporalTransformer(
            heads or width // self.head_channels,
            self.head_channels,
            in_channels=width,
            norm_num_groups=unet.config.norm_num_groups,
        )
