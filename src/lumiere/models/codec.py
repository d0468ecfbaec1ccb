"""Codecs between pixels and the samples that the net denoises: patches of pixels, or a small autoencoder's
latents.

The paper's base model works on pixels. A codec keeps that choice out of the rest of the code: it has
``channels``, ``factor``, ``encode`` and ``decode``, and works frame by frame, so that time is left to the
space-time net alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn

from lumiere.models.norm import GroupNorm
from lumiere.shapes import Sample, Video, fold, unfold


@runtime_checkable
class Codec(Protocol):
    """Between videos in [-1, 1] and samples of about zero mean and unit variance."""

    channels: int
    factor: int

    def encode(self, video: Video) -> Sample: ...

    def decode(self, sample: Sample) -> Video: ...


class PatchCodec(ModelMixin, ConfigMixin):
    """Pixels, ``patch_size`` x ``patch_size`` of them stacked into channels. Exact both ways.

    ``patch_size=1`` is the paper's pixel space.
    """

    @register_to_config
    def __init__(self, patch_size: int = 4):
        super().__init__()
        self.factor = patch_size
        self.channels = 3 * patch_size**2
        # Without a tensor of its own the module would have no device and no type.
        self.register_buffer("place", torch.empty(0), persistent=False)

    @apply_forward_hook  # CPU offload moves the module here too, not in forward alone
    def encode(self, video: Video) -> Sample:
        return unfold(F.pixel_unshuffle(fold(video), self.factor), len(video))

    @apply_forward_hook
    def decode(self, sample: Sample) -> Video:
        return unfold(F.pixel_shuffle(fold(sample), self.factor), len(sample))


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.norm = GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        for parameter in self.conv2.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(self.norm(x))))


class PatchAutoencoder(ModelMixin, ConfigMixin):
    """A small learned autoencoder over 4 x 4 patches, with a factor of 8 on each side.

    Full-resolution convolutions, the bulk of an ordinary VAE's cost, are replaced by a pixel-unshuffle:
    everything runs on grids of a quarter and an eighth of the frame's side. Samples are shifted and scaled
    per channel by ``mean`` and ``std``, measured on the training data once the weights are fixed.

    Args:
        channels: channels of the sample.
        widths: channels on the quarter and on the eighth grid.
        blocks: residual blocks on the eighth grid, encoder and decoder each; the decoder has as many
            again on the quarter grid.
        decoder_widths: the decoder's own, if it is to be wider than the encoder.
        decoder_blocks: likewise, its blocks on either grid.
    """

    factor = 8

    @register_to_config
    def __init__(
        self,
        channels: int = 8,
        widths: Sequence[int] = (48, 96),
        blocks: int = 2,
        decoder_widths: Sequence[int] | None = None,
        decoder_blocks: int | None = None,
    ):
        super().__init__()
        self.channels = channels
        fine, coarse = widths
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, fine, 3, padding=1),
            _ResidualBlock(fine),
            nn.Conv2d(fine, coarse, 4, stride=2, padding=1),
            *[_ResidualBlock(coarse) for _ in range(blocks)],
            nn.Conv2d(coarse, channels, 1),
        )
        fine, coarse = decoder_widths or widths
        blocks = decoder_blocks or blocks
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, coarse, 3, padding=1),
            *[_ResidualBlock(coarse) for _ in range(blocks)],
            nn.Conv2d(coarse, 4 * fine, 1),
            nn.PixelShuffle(2),
            *[_ResidualBlock(fine) for _ in range(blocks)],
            nn.Conv2d(fine, 48, 3, padding=1),
            nn.PixelShuffle(4),
        )
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Frames n x 3 x H x W in [-1, 1] to samples n x channels x H/8 x W/8, normalised."""
        return (self.encoder(frames) - self.mean[:, None, None]) / self.std[:, None, None]

    def decode_frames(self, sample: Tensor) -> Tensor:
        """The inverse of ``encode_frames``, up to the autoencoder's loss; not clamped."""
        return self.decoder(sample * self.std[:, None, None] + self.mean[:, None, None])

    @property
    def frames_at_once(self) -> int:
        """On a CPU few stay in the cache, on a GPU many keep it busy."""
        return 512 if self.mean.device.type == "cuda" else 16

    def _slices(self, clips: Tensor) -> tuple[Tensor, ...]:
        return fold(clips).split(self.frames_at_once)

    @apply_forward_hook  # CPU offload moves the module here too, not in forward alone
    def encode(self, video: Video) -> Sample:
        slices = self._slices(video)
        return unfold(torch.cat([self.encode_frames(frames) for frames in slices]), len(video))

    @apply_forward_hook
    def decode(self, sample: Sample) -> Video:
        slices = self._slices(sample)
        return unfold(torch.cat([self.decode_frames(frames).clamp(-1, 1) for frames in slices]), len(sample))
