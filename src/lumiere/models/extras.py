"""Layers that are not in the paper: a frame's place in its clip, and modulation that varies over a picture.

Each can be switched off in :class:`lumiere.models.stunet.STUNet`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lumiere.models.temporal import frame_positions


class TextPooling(nn.Module):
    """A text pooled by attention: each head takes the words that its own learned query finds."""

    heads = 8

    def __init__(self, text_channels: int, channels: int):
        super().__init__()
        self.query = nn.Parameter(torch.randn(self.heads, 1, channels // self.heads))
        self.key = nn.Linear(text_channels, self.heads * self.query.shape[-1])
        self.value = nn.Linear(text_channels, self.heads * self.query.shape[-1])
        self.out = nn.Linear(self.value.out_features, channels)

    def forward(self, context: Tensor) -> Tensor:
        """``(b, l, d)`` to ``(b, c)``."""
        key, value = (
            each(context).unflatten(2, (self.heads, -1)).transpose(1, 2) for each in (self.key, self.value)
        )
        query = self.query.expand(len(context), -1, -1, -1)
        pooled = F.scaled_dot_product_attention(query, key, value).flatten(1)
        return self.out(F.layer_norm(pooled, pooled.shape[-1:]))


class FramePosition(nn.Module):
    """A frame's place in its clip, times the clip's embedding, added to that embedding.

    Frames then differ by what the prompt says and by their time: where "moving left" has come to is a product
    of the two. With :class:`TextPooling` the prompt's words take part one by one, since an image model's
    embedding, with its pooled text, may hardly know of motion.

    Args:
        text_channels: channels of the text context for :class:`TextPooling`; None for none.
    """

    channels = 64
    periods = (8.0, 1000.0)

    def __init__(self, emb_channels: int, text_channels: int | None):
        super().__init__()
        self.place = nn.Linear(self.channels, emb_channels)
        self.what = nn.Linear(emb_channels, emb_channels)
        self.text = None if text_channels is None else TextPooling(text_channels, emb_channels)
        self.out = nn.Linear(emb_channels, emb_channels)

    def forward(self, emb: Tensor, context: Tensor, frames: Tensor) -> Tensor:
        """``(b, e)``, ``(b, l, d)`` and indices of frames, ``(b, t)`` or ``(1, t)``, to ``(b, t, e)``.

        Of a clip whose text changes, those of each frame: ``(b, t, e)`` and ``(b, t, l, d)``.
        """
        if emb.ndim == 2:
            emb, context = emb[:, None], context[:, None]
        places = self.place(frame_positions(frames, self.channels, emb, self.periods))
        what = self.what(F.layer_norm(emb, emb.shape[-1:]))
        if self.text is not None:
            what = what + self.text(context.flatten(0, 1)).unflatten(0, context.shape[:2])
        places, what = (F.layer_norm(each, each.shape[-1:]) for each in (places, what))
        return emb + self.out(places * what)


class PlacedModulation(nn.Module):
    """A modulation whose scale and shift also vary over the picture: with x, with y, and outwards.

    A prompt can then favour one side of the picture in early frames and the other in late ones. Without it a
    block can only strengthen or weaken what the image model drew everywhere at once. What varies is of low
    rank, lest it outweigh the block.
    """

    rank = 64

    def __init__(self, emb_channels: int, channels: int):
        super().__init__()
        self.proj = nn.Linear(emb_channels, 2 * channels)
        self.slopes_in = nn.Linear(emb_channels, self.rank, bias=False)
        self.slopes_out = nn.Linear(self.rank, 3 * 2 * channels)

    def forward(self, emb: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Scale and shift, each ``(b, h w, t, c)``."""
        y, x = (_from_the_middle(side, emb) for side in (height, width))
        y, x = y[:, None].expand(height, width), x.expand(height, width)
        patterns = torch.stack([x, y, x * x + y * y - 1]).flatten(1)
        emb = F.silu(emb)
        slopes = self.slopes_out(self.slopes_in(emb)).unflatten(2, (3, -1))
        varying = torch.einsum("btpc,ps->bstc", slopes, patterns.to(slopes.dtype))
        scale, shift = (self.proj(emb)[:, None] + varying).chunk(2, dim=3)
        return 1 + scale, shift


def _from_the_middle(side: int, like: Tensor) -> Tensor:
    """Places of pixels, -1 to 1; the middle if there is but one."""
    return (
        torch.linspace(-1, 1, side, device=like.device, dtype=like.dtype) if side > 1 else like.new_zeros(1)
    )
