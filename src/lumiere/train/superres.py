"""The super-resolution stage: the image model on crops of pictures, then, inflated, on crops of clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lumiere.diffusion.noise import rand, randn
from lumiere.diffusion.sampling import make_scheduler, noise_schedule, sample
from lumiere.errors import InputError
from lumiere.io.pixels import from_uint8
from lumiere.models.codec import PatchCodec
from lumiere.models.stunet import STUNet
from lumiere.pipelines.superres import UpscalePipeline, add_residual, enlarge, predict_residual, reduce
from lumiere.train.config import SuperResolutionConfig
from lumiere.train.dataset import window
from lumiere.train.draw import Draws, numbers
from lumiere.train.encode import fingerprint
from lumiere.train.sources.shards import Mixture, open_pictures
from lumiere.train.stage import (
    Stage,
    denoising_loss,
    load_part,
    load_temporal,
    make_unet,
    random_crop,
    sheet,
)

# The residual is zero in most places, which is easy to predict as a sample; v would be the noise there.
PREDICTS = "sample"
#: least mean square of a residual to normalise by
LEAST = 1e-3
SHOWN = 6
SHOWN_FACTOR = 2


class SuperResolutionStage(Stage):
    unit = "crops"

    def __init__(self, config: SuperResolutionConfig, device: torch.device):
        super().__init__()
        self.config, self.device = config, device
        stills, clips = open_pictures(config.data, clips_only=bool(config.image))
        self.mixture = Mixture(stills, clips, config.data.clip_share)
        self.frames = config.data.frames if config.image else 1
        self.codec = PatchCodec(config.model.patch).to(device)
        self.schedule: Any = noise_schedule(PREDICTS)
        self.alphas_cumprod = self.schedule.alphas_cumprod.to(device)
        self.net = self._net().to(device, memory_format=torch.channels_last).train()

    def _net(self) -> Any:
        config, model = self.config, self.config.model
        if config.image:
            image = load_part(config.image, "diffusers", "UNet2DConditionModel")
            resizes = len(image.down_blocks) - 1
            net = STUNet.inflate(image, temporal_resample=[False] * resizes, attention_blocks=0)
            if config.init:
                load_temporal(net, config.init)
        elif config.init:
            net = load_part(config.init, "diffusers", "UNet2DConditionModel")
        else:
            levels = len(model.block_out_channels)
            net = make_unet(
                in_channels=2 * self.codec.channels,
                out_channels=self.codec.channels,
                block_out_channels=model.block_out_channels,
                down_block_types=("DownBlock2D",) * levels,
                mid_block_type="UNetMidBlock2D",
                up_block_types=("UpBlock2D",) * levels,
                layers_per_block=model.layers_per_block,
                norm_num_groups=model.norm_num_groups,
                class_embed_type="timestep",
            )
        taken = (net.spatial if isinstance(net, STUNet) else net).config.in_channels
        if taken != 2 * self.codec.channels:
            where = config.image or config.init
            raise InputError(
                f"the net of {where} takes {taken} channels; patches of {model.patch} pixels make "
                f"{2 * self.codec.channels}"
            )
        return net

    def frozen(self) -> dict[str, str]:
        return {"image": fingerprint(self.net.spatial)} if isinstance(self.net, STUNet) else {}

    def load(self, step: int, samples: range) -> tuple[Tensor, int]:
        seed, degrade = self.config.seed, self.config.degrade
        factor = int(numbers("factor", seed, step).choice(degrade.factors))
        crops = [self._crop(numbers("sample", seed, n), degrade.crop) for n in samples]
        return torch.from_numpy(np.stack(crops)), factor

    def _crop(self, rng: Any, side: int) -> np.ndarray:
        """uint8 t side side 3, at a random place of a random picture."""
        pictures, i, position = self.mixture.pick(rng)
        if self.frames == 1:
            frames = pictures.read(i, position)
        else:
            frames, _ = window(pictures.read(i), self.frames, position, pictures.name(i))
        return random_crop(rng, frames, side)

    def prepare(self, loaded: tuple[Tensor, int]) -> tuple[Any, ...]:
        pixels, factor = loaded
        return from_uint8(pixels, self.device).contiguous(), factor

    def forward(self, video: Tensor, factor: int, draws: Draws) -> Tensor:
        objective, degrade = self.config.objective, self.config.degrade
        side = degrade.crop // factor
        small = reduce(video, side, side)
        noisy, strength = (rand(len(video), draws.generators) for _ in range(2))
        level = torch.where(noisy < degrade.clean, 0, degrade.noise * strength)
        noise = randn(small.shape, draws.generators, small)
        low = enlarge(small + level.view(-1, 1, 1, 1, 1) * noise, degrade.crop, degrade.crop)
        residual = self.codec.encode(video - low) / degrade.residual_std
        low = self.codec.encode(low)
        loss = denoising_loss(
            objective,
            lambda x, t: predict_residual(self.net, x, t, low, level),
            residual,
            self.alphas_cumprod,
            draws,
            prediction_type=PREDICTS,
        )
        # The residual of x2 has a tenth of the power of x8's: normalised, factors have equal weight.
        return loss / residual.square().mean().clamp(min=LEAST)

    def export(self, folder: Path) -> None:
        """Save the image model, or the bundle of an inflated one."""
        if not isinstance(self.net, STUNet):
            self.net.save_pretrained(folder)
            return
        UpscalePipeline(
            self.net,
            self.codec,
            make_scheduler("ddim", self.schedule.config),
            residual_std=self.config.degrade.residual_std,
            steps=self.config.samples.steps,
        ).save_pretrained(folder)

    @torch.no_grad()
    def draw_samples(self, folder: Path) -> None:
        """One sheet: pictures, interpolations and outputs of the net. PSNRs in dB are in the file name."""
        from PIL import Image

        rng, side = numbers("shown", self.config.seed), min(self.config.data.size)
        side -= side % (SHOWN_FACTOR * self.codec.factor)
        pixels = torch.from_numpy(np.stack([self._crop(rng, side) for _ in range(SHOWN)]))
        video = from_uint8(pixels, self.device)
        low = enlarge(reduce(video, side // SHOWN_FACTOR, side // SHOWN_FACTOR), side, side)
        condition, level = self.codec.encode(low), torch.zeros(SHOWN, device=self.device)
        noise = torch.randn(
            condition.shape, generator=torch.Generator().manual_seed(self.config.samples.seed)
        )
        residual = sample(
            lambda x, t: predict_residual(self.net, x, t.expand(SHOWN), condition, level),
            noise.to(self.device),
            make_scheduler("ddim", self.schedule.config),
            self.config.samples.steps,
        )
        residual = self.config.degrade.residual_std * self.codec.decode(residual)
        restored = add_residual(low, residual).clamp(-1, 1)
        frames = torch.cat([each[:, :, 0] for each in (video, low, restored)])
        name = f"bicubic-{_psnr(low, video):.2f}-net-{_psnr(restored, video):.2f}.png"
        Image.fromarray(sheet(frames, SHOWN)).save(folder / name)


def _psnr(a: Tensor, b: Tensor) -> float:
    return 10 * float(torch.log10(4 / (a - b).square().mean().clamp(min=1e-12)))
