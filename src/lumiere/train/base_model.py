"""The model that temporal layers are added to: an image model, codec, text encoder and noise schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor

from lumiere.diffusion.sampling import make_scheduler, noise_schedule
from lumiere.models.stunet import STUNet
from lumiere.train.config import TemporalConfig
from lumiere.train.image import check_fits
from lumiere.train.stage import (
    load_codec,
    load_image_model,
    load_text_encoder,
    take_temporal,
    temporal_weights,
)


@dataclass
class BaseModel:
    """An image model before inflation, with what a pipeline needs beside it.

    Attributes:
        image: the image model.
        parts: components of a pipeline other than its net.
        settings: of the pipeline.
        inflation: arguments of :meth:`~lumiere.models.stunet.STUNet.inflate`.
        temporal: initial temporal weights, empty for fresh ones.
        trained: the folder that they are from.
    """

    image: UNet2DConditionModel
    parts: dict[str, Any]
    settings: dict[str, Any]
    inflation: dict[str, Any]
    temporal: dict[str, Tensor]
    trained: str

    def net(self, condition_channels: int) -> STUNet:
        """Inflate the image model in place. Raises :class:`InputError` if the temporal weights do not fit."""
        net = STUNet.inflate(self.image, condition_channels=condition_channels, **self.inflation)
        if self.temporal:
            take_temporal(net, self.temporal, self.trained)
        return net

    def alphas_cumprod(self) -> Tensor:
        """``alphas_cumprod`` of the schedule, exactly 0 at the end of a zero-SNR schedule, where samplers use
        slightly more."""
        values: Tensor = DDIMScheduler.from_config(self.parts["scheduler"].config).alphas_cumprod
        return values

    def pipeline(self, net: STUNet, **settings: Any) -> Any:
        """A ``LumierePipeline`` with ``net``; ``settings`` replace its own."""
        from lumiere.pipelines.text_to_video import LumierePipeline

        return LumierePipeline(unet=net, **self.parts, **self.settings | settings)


def read_base_model(config: TemporalConfig) -> BaseModel:
    """Load the model that ``config`` names. Raises :class:`InputError` if there is none, or its parts do not
    fit each other."""
    return _of_bundle(config.bundle) if config.bundle else _of_parts(config)


def _of_bundle(folder: str) -> BaseModel:
    from lumiere.pipelines.text_to_video import LumierePipeline

    pipeline = LumierePipeline.from_pretrained(folder)
    parts = dict(pipeline.components)
    net = parts.pop("unet")
    image_and_conditions = ("spatial_config", "condition_channels")
    return BaseModel(
        net.spatial,
        parts,
        {name: pipeline.config[name] for name in pipeline.defaults},
        {
            name: value
            for name, value in net.config.items()
            if not name.startswith("_") and name not in image_and_conditions
        },
        net.temporal_state_dict(),
        folder,
    )


def _of_parts(config: TemporalConfig) -> BaseModel:
    codec, image = load_codec(config.codec), load_image_model(config.image)
    text = load_text_encoder(config.text)
    check_fits(image, codec, text, config.image)
    parts = {
        "codec": codec,
        "text_encoder": text,
        "scheduler": make_scheduler("dpm++", noise_schedule().config),
    }
    inflation = {
        "temporal_resample": list(config.model.temporal_resample) or None,
        "attention_blocks": config.model.attention_blocks,
    }
    temporal = temporal_weights(config.init) if config.init else {}
    return BaseModel(image, parts, {}, inflation, temporal, config.init)
