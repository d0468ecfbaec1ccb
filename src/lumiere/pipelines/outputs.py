"""What a call of the pipeline returns: clips with their settings, or frames as diffusers has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers.utils import BaseOutput
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from lumiere import __version__
from lumiere.diffusion.conditioning import EncodedCondition, known_in_any_frame
from lumiere.diffusion.sampling import scheduler_name
from lumiere.io.pixels import to_uint8
from lumiere.io.video import Clip
from lumiere.pipelines.regions import Regions, framed

if TYPE_CHECKING:
    from lumiere.pipelines.request import Request
    from lumiere.pipelines.text_to_video import LumierePipeline

OUTPUT_TYPES = ("clip", "pil", "np", "pt", "latent")


@dataclass
class LumierePipelineOutput(BaseOutput):
    """Frames of several clips, as diffusers' video pipelines return them.

    Attributes:
        frames: ``"pt"``: a tensor b x t x 3 x h x w in [0, 1]; ``"np"``: float32, b x t x h x w x 3, in
            [0, 1]; ``"pil"``: a list of images for each clip; ``"latent"``: a tensor b x c x t x h x w.
    """

    frames: Any


def as_frames(videos: Sequence[Tensor], output_type: str) -> Any:
    """Videos 3 t h w in [-1, 1], or latents, as :class:`LumierePipelineOutput` has them."""
    if output_type == "latent":
        return torch.stack(list(videos))
    shares = (torch.stack(list(videos)) / 2 + 0.5).clamp(0, 1).transpose(1, 2)
    if output_type == "pt":
        return shares
    arrays = shares.permute(0, 1, 3, 4, 2).float().cpu().numpy()
    if output_type == "np":
        return arrays
    return [[Image.fromarray(frame) for frame in (clip * 255).round().astype(np.uint8)] for clip in arrays]


def decode(
    pipe: LumierePipeline,
    request: Request,
    batch: slice,
    latents: Float[Tensor, "b c t h w"],
    encoded: EncodedCondition | None,
) -> list[Any]:
    """Clips, videos 3 t h w in [-1, 1], or latents, of a batch."""
    if request.output_type == "latent":
        return list(latents)
    videos = [pipe.decode_latents(each) for each in latents]
    if request.output_type != "clip":
        return videos
    clips = []
    for index, video in enumerate(videos):
        frames, psnr = _composite(pipe, request, video, encoded and encoded.of(index))
        frames = framed(frames, request.height, request.width)
        clips.append(_clip(pipe, request, batch.start + index, frames, psnr))
    return clips


def _composite(
    pipe: LumierePipeline, request: Request, video: Float[Tensor, "3 t h w"], encoded: EncodedCondition | None
) -> tuple[np.ndarray, float | None]:
    """Frames with their known pixels put back, also, by the warp net, where they moved to; and the PSNR at
    which sampling alone kept the known pixels."""
    condition, frames = request.condition, to_uint8(video)
    psnr = None if condition is None else condition.psnr(frames)
    if encoded is None or not request.composite:
        return frames, psnr
    if pipe.warp_net is not None:
        known = encoded.given * (condition is not None)
        output = torch.where(known > 0, encoded.nearest, video[None].to(encoded.nearest))
        anywhere = known_in_any_frame(encoded.given)
        frames = to_uint8(pipe.warp_net.restore(encoded.nearest, output, known, anywhere)[0])
    return frames if condition is None else condition.composite(frames), psnr


def _clip(
    pipe: LumierePipeline, request: Request, number: int, frames: np.ndarray, psnr: float | None
) -> Clip:
    """The clip ``number`` of a request, with the settings that made it."""
    settings: dict[str, Any] = {
        "prompt": request.prompts[number],
        "seed": request.seeds[number],
        "negative_prompt": request.negative_prompts[number],
        "steps": request.steps,
        "guidance": request.guidance,
        "guidance_rescale": request.rescale,
        "scheduler": scheduler_name(pipe.scheduler),
        "model": pipe.model_name,
        "dtype": str(pipe.unet.dtype).removeprefix("torch."),
        "version": __version__,
    }
    if tuple(request.interval) != (0, 1):
        settings["guidance_interval"] = list(request.interval)
    if request.free_noise:
        settings["free_noise"] = True
    if request.free_init > 1:
        settings["free_init"] = request.free_init
    if request.source is not None:
        settings["strength"] = request.strength
    if request.style is not None:
        settings |= {"style": request.style.name, "alpha": request.alpha}
    whole = request.travels[number] or Regions.of(request.prompts[number]) == request.regions[number]
    if not whole:
        settings["regions"] = str(request.regions[number])
    if request.first_frames:
        settings["first_frame_prompt"] = str(request.first_frames[number].regions)
    if request.condition is not None:
        settings["known_psnr"] = psnr
        if request.resample > 1:
            settings["resample"] = request.resample
    elif request.loop:
        frames = np.roll(frames, -changes_round(frames).argmin(), axis=0)
    return Clip(frames, request.fps, settings)


def changes_round(frames: np.ndarray) -> np.ndarray:
    """How much each frame of a loop differs from the one before it, the first from the last: float, t.

    Args:
        frames: uint8, t x h x w x 3.
    """
    return np.asarray(np.abs(frames.astype(np.int16) - np.roll(frames, 1, axis=0)).mean((1, 2, 3)))
