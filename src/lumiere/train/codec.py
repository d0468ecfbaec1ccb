"""The codec stage: an autoencoder of single pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lumiere.diffusion.noise import Generators, rand, randn
from lumiere.io.pixels import from_uint8
from lumiere.models.codec import PatchAutoencoder
from lumiere.train.config import CodecConfig
from lumiere.train.dataset import Size
from lumiere.train.draw import Draws, numbers
from lumiere.train.encode import fingerprint
from lumiere.train.sources.shards import Mixture, open_pictures
from lumiere.train.stage import Stage, load_part, random_crop, sheet

CALIBRATION = 256
SHOWN = 8
#: limits of a warp: least scale, largest shift as a share of the frame, largest angle in radians
MIN_SCALE, MAX_SHIFT, MAX_ANGLE = 0.5, 0.125, 0.35


class CodecStage(Stage):
    unit = "images"

    def __init__(self, config: CodecConfig, device: torch.device):
        super().__init__()
        self.config, self.device = config, device
        stills, clips = open_pictures(config.data)
        self.mixture = Mixture(stills, clips, config.data.clip_share)
        if config.init:
            net = load_part(config.init, "lumiere.models.codec", "PatchAutoencoder")
        else:
            net = _fresh(config)
        self.net = net.to(device).train()
        self.net.encoder.requires_grad_(not config.encoder)

    def frozen(self) -> dict[str, str]:
        return {"encoder": fingerprint(self.net.encoder)} if self.config.encoder else {}

    def load(self, step: int, samples: range) -> Tensor:
        side, crops = self.config.loss.crop, []
        for n in samples:
            rng = numbers("sample", self.config.seed, n)
            crops.append(random_crop(rng, self._picture(rng), side))
        return torch.from_numpy(np.stack(crops))

    def _picture(self, rng: Any, size: Size | None = None) -> np.ndarray:
        pictures, i, position = self.mixture.pick(rng, size)
        frame: np.ndarray = pictures.read(i, position)
        return frame

    def prepare(self, loaded: Tensor) -> tuple[Tensor, ...]:
        return (from_uint8(loaded, self.device)[:, :, 0].contiguous(),)

    def forward(self, frames: Tensor, draws: Draws) -> Tensor:
        loss = self.config.loss
        code = self.net.encoder(frames)
        spread = code.detach().std((0, 2, 3), keepdim=True)
        target, shown, equivariance = frames, code, code.new_zeros(())
        if loss.equivariance:
            target, shown = warp_some(frames, code, loss.warped, draws.generators)
            moved = slice(0, round(loss.warped * len(frames)))
            difference = (self.net.encoder(target[moved]) - shown[moved]) / spread
            equivariance = difference.square().mean()
        # Decoding noisy latents makes the decoder robust to small errors of the image model.
        noise = randn(code.shape, draws.generators, code)
        error = self.net.decoder(shown + loss.noise * spread * noise) - target
        slopes = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
        return (
            error.abs().mean()
            + loss.squared * error.square().mean()
            + loss.gradient * slopes
            + loss.code * code.square().mean()
            + loss.equivariance * equivariance
        )

    @torch.no_grad()
    def export(self, folder: Path) -> None:
        """Save the codec. A trained encoder gets the mean and deviation of its latents on the data."""
        if not self.config.encoder:
            rng = numbers("calibration", self.config.seed)
            codes = [self.net.encoder(self._frames(rng, 16)) for _ in range(CALIBRATION // 16)]
            per_channel = torch.cat(codes).transpose(0, 1).flatten(1)
            self.net.mean.copy_(per_channel.mean(1))
            self.net.std.copy_(per_channel.std(1))
        self.net.save_pretrained(folder)

    def _frames(self, rng: Any, count: int) -> Tensor:
        size = self.mixture.size(numbers("size", self.config.seed))
        pixels = torch.from_numpy(np.stack([self._picture(rng, size) for _ in range(count)]))
        return self.prepare(pixels)[0]

    @torch.no_grad()
    def draw_samples(self, folder: Path) -> None:
        """One sheet: pictures above, their reconstructions below. The PSNR in dB is in the file name."""
        from PIL import Image

        frames = self._frames(numbers("shown", self.config.seed), SHOWN)
        decoded = self.net.decoder(self.net.encoder(frames)).clamp(-1, 1)
        mse = (decoded - frames).square().mean().item()
        psnr = 10 * np.log10(4 / max(mse, 1e-12))
        Image.fromarray(sheet(torch.cat([frames, decoded]), SHOWN)).save(folder / f"psnr-{psnr:.1f}.png")


def warp_some(frames: Tensor, code: Tensor, share: float, generators: Generators) -> tuple[Tensor, Tensor]:
    """Warp the first ``share`` of a batch, frames and latents alike (EQ-VAE, arXiv 2502.09509, section 3).

    Half of the warps are translations alone; the others also scale, by 0.5 to 1, and half of those rotate, by
    up to 20 degrees. Borders are repeated.

    Args:
        frames: n x 3 x H x W.
        code: their latents, n x c x h x w.
        generators: for the warps, one of each frame, or one for all.

    Returns:
        All frames and latents, those after the first ``share`` unchanged.
    """
    count = round(share * len(frames))
    drawn = torch.stack([rand(len(frames), generators)[:count] for _ in range(5)]).to(frames)
    kind, size, x, y, turn = drawn
    scale = torch.where(kind < 0.5, 1.0, MIN_SCALE + (1 - MIN_SCALE) * size)
    angle = torch.where(kind < 0.75, 0.0, MAX_ANGLE * (2 * turn - 1))
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    shift = (4 * MAX_SHIFT * (torch.stack([x, y]) - 0.5)) / scale
    theta = torch.stack([torch.stack([cos, -sin, shift[0]], -1), torch.stack([sin, cos, shift[1]], -1)], 1)

    def warped(images: Tensor) -> Tensor:
        grid = F.affine_grid(theta, [count, *images.shape[1:]], align_corners=False)
        moved = F.grid_sample(images[:count], grid, padding_mode="border", align_corners=False)
        return torch.cat([moved, images[count:]])

    return warped(frames), warped(code)


def _fresh(config: CodecConfig) -> PatchAutoencoder:
    """A fresh codec, or a fresh decoder for the encoder of a trained one."""
    model = config.model
    decoder = {"decoder_widths": model.decoder_widths or None, "decoder_blocks": model.decoder_blocks or None}
    if not config.encoder:
        return PatchAutoencoder(model.channels, model.widths, model.blocks, **decoder)
    trained = load_part(config.encoder, "lumiere.models.codec", "PatchAutoencoder")
    net = PatchAutoencoder(trained.config.channels, trained.config.widths, trained.config.blocks, **decoder)
    net.encoder.load_state_dict(trained.encoder.state_dict())
    net.mean.copy_(trained.mean)
    net.std.copy_(trained.std)
    return net
