"""What inflation adds to an image model: temporal convolution, attention, down- and up-sampling.

Everything here works on frames folded into the batch, ``(b t) c h w``, as the spatial layers leave them, and
on ``emb`` of shape ``(b, t, e)``: each frame's embedding, made of the time and text embedding that the
spatial resnets also get. Blocks add their result to their input; the last linear map of each starts at zero,
so that a fresh block is the identity (section 3.1 of arXiv 2401.12945).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lumiere.models.norm import GroupNorm

SLICE_ELEMENTS = 2**20


def in_slices(function: Callable[..., Tensor], x: Tensor, *others: Tensor) -> Tensor:
    """``function`` of frames that do not see each other, a few at a time where that is faster.

    On a CPU without gradients, slices of ``SLICE_ELEMENTS`` of ``x`` stay in the cache, and tensors of long
    clips, which the allocator would ask of the system page by page, do not arise. ``others`` have as many
    frames as ``x``.
    """
    frames = max(1, SLICE_ELEMENTS // x[0].numel())
    if x.device.type != "cpu" or torch.is_grad_enabled() or len(x) <= frames:
        return function(x, *others)
    slices = zip(*(tensor.split(frames) for tensor in (x, *others)), strict=True)
    return torch.cat([function(*tensors) for tensors in slices])


def frame_positions(
    frames: Tensor,
    channels: int,
    like: Tensor,
    periods: tuple[float, float] = (2 * math.pi, 20_000 * math.pi),
) -> Tensor:
    """Sinusoidal embedding of indices of frames, ``(..., c)``, in ``like``'s type.

    Args:
        periods: the shortest and the longest, frames.
    """
    half = (channels + 1) // 2
    shortest, longest = periods
    steps = torch.arange(half, device=like.device, dtype=torch.float32) / half
    rates = 2 * math.pi / shortest * (shortest / longest) ** steps
    angles = frames.to(like.device, torch.float32)[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[..., :channels].to(like.dtype)


class TimeConv(nn.Module):
    """A 3x1x1 convolution over the frames of each clip, zero-padded at its two ends.

    With ``stride=2`` only the even frames are computed.
    """

    def __init__(self, channels: int, stride: int = 1):
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.zeros(channels, channels, 3))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, clips: int) -> Tensor:
        height, width = x.shape[-2:]
        # Rows of this picture are frames, columns are pixels. If x is channels_last, so is the picture,
        # and nothing is copied.
        picture = x.flatten(2).unflatten(0, (clips, -1)).transpose(1, 2)
        out = F.conv2d(picture, self.weight[..., None], self.bias, stride=(self.stride, 1), padding=(1, 0))
        return out.transpose(1, 2).flatten(0, 1).unflatten(2, (height, width))


class IdentityTimeConv(TimeConv):
    """The same, starting as the identity: the paper's initialisation of temporal resampling."""

    def __init__(self, channels: int, stride: int = 1):
        super().__init__(channels, stride)
        nn.init.dirac_(self.weight)


class TemporalDown(nn.Module):
    """Halve the frames: a temporal convolution that starts as the identity, at stride 2."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = IdentityTimeConv(channels, stride=2)

    def forward(self, x: Tensor, clips: int) -> Tensor:
        return self.conv(x, clips)


class TemporalUp(nn.Module):
    """Double the frames: each twice, then a temporal convolution that starts as the identity."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = IdentityTimeConv(channels)

    def forward(self, x: Tensor, clips: int) -> Tensor:
        return self.conv(x.repeat_interleave(2, dim=0), clips)


class Modulation(nn.Module):
    """Scale and shift of every channel by the frame's embedding.

    It stands for the affine part of the norm before it. That a norm has none of its own also keeps PyTorch
    2.13 from crashing: on a CPU, the channels_last gradient of an affine GroupNorm writes to a null pointer
    when its input needs no gradient, as is so after frozen layers.
    """

    def __init__(self, emb_channels: int, channels: int):
        super().__init__()
        self.proj = nn.Linear(emb_channels, 2 * channels)

    def forward(self, emb: Tensor, height: int = 1, width: int = 1) -> tuple[Tensor, Tensor]:
        """Scale and shift, each ``(b, 1, t, c)``: the same at every place of a picture of any size."""
        scale, shift = self.proj(F.silu(emb))[:, None].chunk(2, dim=3)
        return 1 + scale, shift


class TemporalConvBlock(nn.Module):
    """A factorised space-time convolution: a spatial kernel, then a temporal one (section 3.1).

    The paper's spatial 1x3x3 is here one kernel per channel, and the temporal 3x1x1 mixes the channels. A
    full 1x3x3 would quadruple the block's operations, and the space-time net would no longer be cheaper than
    its image model; without any, what a block sees of the frame before is one pixel.

    Only the temporal map starts at zero. Modulations and kernels start at random: what it takes to move an
    object, a neighbour's feature gated by prompt and time, is then among the channels from the first step,
    and the temporal map finds it by a gradient of first order. Started at the identity, all three would have
    to leave it together.
    """

    def __init__(self, channels: int, emb_channels: int):
        super().__init__()
        self.norm = GroupNorm(math.gcd(32, channels), channels, affine=False)
        self.modulation = Modulation(emb_channels, channels)
        self.space = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        with torch.no_grad():
            self.space.weight[:, 0, 1, 1] += 0.5
        self.time = TimeConv(channels)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        scale, shift = (each.flatten(0, 2) for each in self.modulation(emb))
        return x + self.time(in_slices(self._space, x, scale, shift), len(emb))

    def _space(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        x = torch.addcmul(shift[..., None, None], self.norm(x), scale[..., None, None])
        return self.space(F.silu(x))


class TemporalAttentionLayer(nn.Module):
    """Attention along the frames, then a feed-forward net, both pre-normalised; on ``(b, s, t, c)``."""

    def __init__(self, channels: int, emb_channels: int, modulation: Callable[[int, int], nn.Module]):
        super().__init__()
        self.heads = channels // math.gcd(64, channels)
        self.norm_attention = nn.LayerNorm(channels, elementwise_affine=False)
        self.modulation_attention = modulation(emb_channels, channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.norm_feed = nn.LayerNorm(channels, elementwise_affine=False)
        self.modulation_feed = modulation(emb_channels, channels)
        self.feed_in = nn.Linear(channels, 4 * channels)
        self.feed_out = nn.Linear(4 * channels, channels)
        for last in (self.out, self.feed_out):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, emb: Tensor, height: int) -> Tensor:
        size = height, x.shape[1] // height
        scale, shift = self.modulation_attention(emb, *size)
        hidden = torch.addcmul(shift, self.norm_attention(x), scale)
        hidden = hidden + frame_positions(torch.arange(x.shape[2], device=x.device), x.shape[3], like=hidden)
        # b s t (3 heads d) -> 3 tensors of (b s) heads t d
        qkv = self.qkv(hidden).flatten(0, 1).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*qkv.unbind()).transpose(1, 2).flatten(2)
        x = x + self.out(attended).view_as(x)

        scale, shift = self.modulation_feed(emb, *size)
        hidden = torch.addcmul(shift, self.norm_feed(x), scale)
        return x + self.feed_out(F.gelu(self.feed_in(hidden)))


class TemporalAttentionBlock(nn.Module):
    """Attention layers along the frames, with pixels as batch; for the coarsest level alone (section 3.1).

    Args:
        layers: how many are stacked.
        modulation: the class of their modulations: :class:`Modulation`, or one with its interface.
    """

    def __init__(
        self,
        channels: int,
        emb_channels: int,
        layers: int,
        modulation: Callable[[int, int], nn.Module] = Modulation,
    ):
        super().__init__()
        self.layers = nn.ModuleList(
            [TemporalAttentionLayer(channels, emb_channels, modulation) for _ in range(layers)]
        )

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        height = x.shape[2]
        tokens = x.unflatten(0, (len(emb), -1)).permute(0, 3, 4, 1, 2).flatten(1, 2)  # b (h w) t c
        for layer in self.layers:
            tokens = layer(tokens, emb, height)
        return tokens.unflatten(1, (height, -1)).permute(0, 3, 4, 1, 2).flatten(0, 1)


@torch.no_grad()
def start_at_random(layers: nn.Module) -> None:
    """Draw the weights of all ``layers`` that would begin as zero or the identity, as PyTorch draws a new
    layer's: what the paper's initialisation is compared with."""
    for module in layers.modules():
        if isinstance(module, TimeConv):
            _draw(module.weight, module.bias)
        elif isinstance(module, TemporalAttentionLayer):
            for last in (module.out, module.feed_out):
                last.reset_parameters()


def _draw(weight: Tensor, bias: Tensor) -> None:
    bound = weight[0].numel() ** -0.5
    nn.init.uniform_(weight, -bound, bound)
    nn.init.uniform_(bias, -bound, bound)
