"""The image stage: a 2-D U-Net on the latents of stills and of frames."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lumiere.diffusion.guidance import classifier_free
from lumiere.diffusion.objective import drop_captions
from lumiere.diffusion.sampling import noise_schedule, sample
from lumiere.errors import InputError
from lumiere.train.config import ImageConfig
from lumiere.train.distributed import precision_of
from lumiere.train.draw import Draws, sample_rngs
from lumiere.train.encode import Encoder, fingerprint
from lumiere.train.sources.registry import picture_source
from lumiere.train.stage import (
    Stage,
    denoising_loss,
    load_codec,
    load_part,
    load_text_encoder,
    make_unet,
    sheet,
)

SHOWN = 16
COLUMNS = 8


class ImageStage(Stage):
    unit = "images"

    def __init__(self, config: ImageConfig, device: torch.device, builds_cache: bool = True):
        super().__init__()
        self.config, self.device = config, device
        codec, text = load_codec(config.codec), load_text_encoder(config.text)
        self.encode = Encoder(codec, text, device, precision_of(config.run))
        self.source = picture_source(config, self.encode, builds_cache)
        self.draws_together = self.source.draws_together
        self.prompts = list(config.samples.prompts) or self.source.prompts(SHOWN)
        self.schedule: Any = noise_schedule()
        self.alphas_cumprod = self.schedule.alphas_cumprod.to(device)
        # The CPU's convolutions are faster in this layout.
        self.net = self._net().to(device, memory_format=torch.channels_last).train()

    def _net(self) -> Any:
        codec, text = self.encode.codec, self.encode.text
        if self.config.init:
            net = load_part(self.config.init, "diffusers", "UNet2DConditionModel")
        else:
            model = {key: value or None for key, value in dataclasses.asdict(self.config.model).items()}
            net = make_unet(
                sample_size=[side // codec.factor for side in self.config.data.size],
                in_channels=codec.channels,
                out_channels=codec.channels,
                cross_attention_dim=text.dim,
                **model,
            )
        check_fits(net, codec, text, self.config.init or "[model]")
        return net

    def frozen(self) -> dict[str, str]:
        return {"codec": fingerprint(self.encode.codec), "text": fingerprint(self.encode.text)}

    def load(self, step: int, samples: range) -> Any:
        return self.source.draw(step, samples, sample_rngs(self.config.seed, samples))

    def prepare(self, loaded: Any) -> tuple[Tensor, ...]:
        return self.source.prepare(loaded).latents[:, :, 0], self.source.context(loaded)

    def forward(self, latents: Tensor, context: Tensor, draws: Draws) -> Tensor:
        objective = self.config.objective
        context = drop_captions(context, self.encode.empty, objective.caption_dropout, draws.generators)
        return denoising_loss(
            objective,
            lambda x, t: self.net(
                x.contiguous(memory_format=torch.channels_last), t, context, return_dict=False
            )[0],
            latents,
            self.alphas_cumprod,
            draws,
        )

    def export(self, folder: Path) -> None:
        self.net.save_pretrained(folder)

    @torch.no_grad()
    def draw_samples(self, folder: Path) -> None:
        """One sheet: a picture for each prompt, the prompts beside it."""
        from PIL import Image

        options, codec = self.config.samples, self.encode.codec
        height, width = (side // codec.factor for side in self.config.data.size)
        generator = torch.Generator().manual_seed(options.seed)
        noise = torch.randn(len(self.prompts), codec.channels, height, width, generator=generator)

        def denoise(x: Tensor, t: Tensor, context: Tensor) -> Tensor:
            prediction: Tensor = self.net(x, t, context, return_dict=False)[0]
            return prediction

        guided = classifier_free(
            denoise, self.encode.text(self.prompts), self.encode.empty, options.guidance_scale
        )
        latents = sample(guided, noise.to(self.device), self.schedule, options.steps)
        Image.fromarray(sheet(codec.decode(latents[:, :, None])[:, :, 0], COLUMNS)).save(folder / "sheet.png")
        (folder / "prompts.txt").write_text("\n".join(self.prompts) + "\n", encoding="utf-8")


def check_fits(unet: Any, codec: Any, text: Any, where: str) -> None:
    """Raise :class:`InputError` unless the net works on the codec's latents and the encoder's states."""
    channels, width = unet.config.in_channels, unet.config.cross_attention_dim
    if channels != codec.channels:
        raise InputError(f"the net of {where} takes {channels} channels; the codec has {codec.channels}")
    if width != text.dim:
        raise InputError(f"the net of {where} takes text of width {width}; the text encoder's is {text.dim}")
