"""All temporal layers of a Space-Time U-Net, level by level, and the paper's choice of them (section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from diffusers import UNet2DConditionModel
from torch import nn

from lumiere.models.extras import FramePosition, PlacedModulation
from lumiere.models.temporal import (
    Modulation,
    TemporalAttentionBlock,
    TemporalConvBlock,
    TemporalDown,
    TemporalUp,
)


class TemporalLevel(nn.Module):
    """One level's temporal layers. Each is called as ``layer(x, emb)``.

    Args:
        blocks: one after each spatial layer block.
        inner: one inside each spatial layer block, between its resnet and its transformer; in the middle of
            the net, one between each transformer and the resnet after it. None for none.
        resample: of its frames, after the level.
    """

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        inner: Sequence[nn.Module] | None = None,
        resample: nn.Module | None = None,
    ):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.inner = None if inner is None else nn.ModuleList(inner)
        self.resample = resample

    def inner_layers(self, count: int) -> list[nn.Module | None]:
        """The layers ``inner``, or as many times None."""
        return [None] * count if self.inner is None else list(self.inner)


class Skip(nn.Module):
    """No temporal layer."""

    def forward(self, x: Any, emb: Any) -> Any:
        return x


@runtime_checkable
class Design(Protocol):
    """Which temporal layers stand where."""

    def position(self, unet: UNet2DConditionModel) -> nn.Module | None:
        """What turns a clip's embedding into one for each frame."""

    def first(self, unet: UNet2DConditionModel) -> nn.Module | None:
        """The layer after the first convolution."""

    def level(self, unet: UNet2DConditionModel, spatial: Any, coarsest: bool) -> TemporalLevel:
        """The layers of a level of ``unet``, or of its middle, without resampling."""


class PaperLayers:
    """The project's own: factorised convolution, and attention at the coarsest level; for the arguments see
    :class:`lumiere.models.stunet.STUNet`."""

    def __init__(
        self, attention_blocks: int, frame_position: bool, text_pooling: bool, placed_modulation: bool
    ):
        self.attention_blocks = attention_blocks
        self.frame_position = frame_position
        self.text_pooling = text_pooling
        self.modulation = PlacedModulation if placed_modulation else Modulation

    def position(self, unet: UNet2DConditionModel) -> nn.Module | None:
        if not self.frame_position:
            return None
        return FramePosition(_emb_channels(unet), _text_channels(unet) if self.text_pooling else None)

    def first(self, unet: UNet2DConditionModel) -> nn.Module | None:
        return None

    def level(self, unet: UNet2DConditionModel, spatial: Any, coarsest: bool) -> TemporalLevel:
        emb_channels = _emb_channels(unet)
        widths = [resnet.out_channels for resnet in spatial.resnets]
        if coarsest and self.attention_blocks:
            return TemporalLevel(
                [
                    TemporalAttentionBlock(width, emb_channels, self.attention_blocks, self.modulation)
                    for width in widths
                ]
            )
        return TemporalLevel([TemporalConvBlock(width, emb_channels) for width in widths])


class TemporalLayers(nn.Module):
    """All that inflation adds to ``unet``, level by level, in the order of the forward pass."""

    def __init__(
        self, unet: UNet2DConditionModel, resample: Sequence[bool], condition_channels: int, design: Design
    ):
        super().__init__()
        self.position = design.position(unet)
        self.first = design.first(unet)
        # Further input channels of the image model's first convolution, beside it, for that stays as it is.
        self.condition = None
        if condition_channels:
            first = unet.conv_in
            self.condition = nn.Conv2d(
                condition_channels, first.out_channels, first.kernel_size, padding=first.padding, bias=False
            )
            nn.init.zeros_(self.condition.weight)
        last = len(resample)

        def level(spatial: Any, coarsest: bool, resampler: type[nn.Module] | None) -> TemporalLevel:
            made = design.level(unet, spatial, coarsest)
            made.resample = None if resampler is None else resampler(spatial.resnets[-1].out_channels)
            return made

        downs = [TemporalDown if wanted else None for wanted in resample] + [None]
        ups = [TemporalUp if wanted else None for wanted in reversed(resample)] + [None]
        self.down = nn.ModuleList(
            level(spatial, i == last, downs[i]) for i, spatial in enumerate(unet.down_blocks)
        )
        self.mid = level(unet.mid_block, True, None)
        self.up = nn.ModuleList(level(spatial, i == 0, ups[i]) for i, spatial in enumerate(unet.up_blocks))


def attentions(space: Any) -> list[nn.Module | None]:
    """The attention of each resnet of a level of an image model, or None."""
    return list(getattr(space, "attentions", None) or [None] * len(space.resnets))


def _emb_channels(unet: Any) -> int:
    channels: int = unet.mid_block.resnets[0].time_emb_proj.in_features
    return channels


def _text_channels(unet: UNet2DConditionModel) -> int | None:
    """Channels of the context that the image model's attention takes; None if it has no attention."""
    if not any(getattr(block, "attentions", None) for block in (*unet.down_blocks, unet.mid_block)):
        return None
    channels = unet.config.cross_attention_dim
    return channels if isinstance(channels, int) else channels[0]
