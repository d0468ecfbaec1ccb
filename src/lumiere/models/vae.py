"""The autoencoder of a latent image model, as a codec: frame by frame."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL, ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor

from lumiere.shapes import Sample, Video, fold, unfold


class VAECodec(ModelMixin, ConfigMixin):
    """diffusers' ``AutoencoderKL``, its samples shifted and scaled as its image model was trained on them.

    Frames are encoded and decoded one by one: at these sizes that is no slower, and a clip takes no more
    memory than a picture. Encoding gives the code's mean, so that it is the same every time.

    Args:
        vae_config: configuration of the ``AutoencoderKL``.
    """

    frames_at_once = 1

    @register_to_config
    def __init__(self, vae_config: dict[str, Any]):
        super().__init__()
        self.vae = AutoencoderKL.from_config(vae_config).requires_grad_(False).eval()
        config = self.vae.config
        self.channels: int = config.latent_channels
        self.factor: int = 2 ** (len(config.block_out_channels) - 1)

    @property
    def tile(self) -> int | None:
        """Side, in samples, above which a picture is decoded in tiles; None unless tiling is on."""
        return int(self.vae.tile_latent_min_size) if self.vae.use_tiling else None

    def tiling(self, on: bool) -> None:
        """Encode and decode large pictures in overlapping tiles, with less memory and slightly different
        pixels, or whole."""
        if on:
            self.vae.enable_tiling()
        else:
            self.vae.disable_tiling()

    def _offset(self, like: Tensor) -> Tensor | float:
        config = self.vae.config
        if config.latents_mean is not None:
            return like.new_tensor(config.latents_mean).view(-1, 1, 1)
        return config.shift_factor or 0.0

    def _scale(self, like: Tensor) -> Tensor | float:
        config = self.vae.config
        if config.latents_std is not None:
            return config.scaling_factor / like.new_tensor(config.latents_std).view(-1, 1, 1)
        return float(config.scaling_factor)

    def _dtype(self) -> torch.dtype:
        if self.vae.config.force_upcast and self.vae.dtype == torch.float16:
            self.vae.float()  # its activations overflow in half precision
        return self.vae.dtype

    @apply_forward_hook  # CPU offload moves the module here too, not in forward alone
    @torch.no_grad()
    def encode(self, video: Video) -> Sample:
        dtype, codes = self._dtype(), []
        for frame in fold(video).split(self.frames_at_once):
            code = self.vae.encode(frame.to(dtype)).latent_dist.mode()
            codes.append((code - self._offset(code)) * self._scale(code))
        return unfold(torch.cat(codes), len(video)).to(video.dtype)

    @apply_forward_hook
    @torch.no_grad()
    def decode(self, sample: Sample) -> Video:
        dtype, frames = self._dtype(), []
        for each in fold(sample).split(self.frames_at_once):
            code = each.to(dtype) / self._scale(each) + self._offset(each)
            frames.append(self.vae.decode(code.to(dtype)).sample.clamp(-1, 1))
        return unfold(torch.cat(frames), len(sample)).to(sample.dtype)
