"""An image model with untrained temporal layers."""

from __future__ import annotations

from typing import Any

from lumiere.models.stunet import STUNet
from lumiere.pipelines.text_to_video import LumierePipeline


def untrained(pipe: LumierePipeline, **inflation: Any) -> LumierePipeline:
    """The model of ``pipe`` with fresh temporal layers, which do nothing; it shares the weights of ``pipe``.

    Args:
        inflation: options of :meth:`~lumiere.models.stunet.STUNet.inflate`.
    """
    factor = pipe.unet.config.codec_factor
    net = STUNet.inflate(pipe.unet.spatial, codec_factor=factor, **inflation).to(pipe.device)
    settings = {name: pipe.config[name] for name in pipe.defaults}
    parts = {name: part for name, part in pipe.components.items() if name not in ("unet", "warp_net")}
    return LumierePipeline(unet=net.eval(), **parts, **settings)


def frame_by_frame(pipe: LumierePipeline) -> LumierePipeline:
    """The image model of ``pipe`` alone, on every frame.

    Frames have in common what the prompt says, and the share of the noise that is common to all.
    """
    return untrained(pipe, temporal_resample=unsampled(pipe))


def unsampled(pipe: LumierePipeline) -> list[bool]:
    """No temporal resampling, at any level."""
    return [False] * len(pipe.unet.temporal_resample)
