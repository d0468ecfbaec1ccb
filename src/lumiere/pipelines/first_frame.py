"""First-frame conditioning on an image that the model generates itself (Emu Video, Girdhar et al. 2023).

The image model alone draws a picture of the prompt, of the noise of the clip's first frame. The space-time
net is conditioned on it as on a given first frame, but sampling does not clamp it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lumiere.diffusion.guidance import WindowDenoiser
from lumiere.diffusion.sampling import sample
from lumiere.errors import InputError
from lumiere.io.pixels import to_uint8
from lumiere.pipelines.embeddings import encode_regions
from lumiere.pipelines.regions import Regions, change_windows, shrunk
from lumiere.pipelines.windowing import over_windows

if TYPE_CHECKING:
    from lumiere.pipelines.text_to_video import LumierePipeline


class FirstFrame(NamedTuple):
    """An image to generate: the prompts of its regions, and its scale in the frame, up to 1."""

    regions: Regions
    scale: float


def choose_first_frames(
    pipe: LumierePipeline,
    regions: Sequence[Regions],
    prompt: str | None,
    conditioned: bool,
    frame_offset: int,
) -> list[FirstFrame]:
    """The first frame of each clip; none if the clips are sampled from the prompt alone.

    Args:
        regions: of each clip.
        prompt: of all first frames; ``""`` for none. Default: each clip's prompts without their motion, if
            the model has a prompt parser.
        conditioned: whether the call has a condition or a video to edit.
        frame_offset: of the clip; only a beginning has a first frame.

    Raises:
        InputError: there is a ``prompt``, and the model takes no condition.
    """
    takes_condition = bool(pipe.unet.config.condition_channels)
    if prompt is not None:
        if prompt and not takes_condition:
            raise InputError(
                f"first_frame_prompt is {prompt!r}, but this model takes no condition; leave it out"
            )
        return [FirstFrame(Regions.of(prompt), 1.0)] * len(regions) if prompt else []
    if pipe.prompt_parser is None or conditioned or frame_offset or not takes_condition:
        return []
    still = [each.changed(pipe.prompt_parser.without_motion) for each in regions]
    scale = pipe.config["moving_scale"]
    return [
        FirstFrame(each, 1.0 if each == whole else scale) for each, whole in zip(still, regions, strict=True)
    ]


def draw_first_frames(
    pipe: LumierePipeline,
    wanted: Sequence[FirstFrame],
    noise: Float[Tensor, "b c h w"],
    window: tuple[int, int],
    guide: Callable[[Tensor], WindowDenoiser],
    steps: int,
    generators: list[torch.Generator],
) -> list[np.ndarray]:
    """Generate first frames with the image model alone, uint8 h w 3.

    Args:
        window: height and width of a region's window, in latents.
        guide: a guided denoiser of one window, from its context.
    """
    regions = wanted[0].regions
    denoisers = [guide(context) for context in encode_regions(pipe, [each.regions for each in wanted])]
    denoiser = over_windows(denoisers, dict(enumerate(regions.windows(*window), 2)))
    latents = sample(denoiser, noise, pipe.scheduler, steps, generator=generators)
    drawn = [to_uint8(pipe.decode_latents(each[:, None]))[0] for each in latents]
    pixels = regions.windows(*window, pipe.codec.factor)
    return [
        change_windows(image, pixels, partial(shrunk, scale=each.scale))
        for image, each in zip(drawn, wanted, strict=True)
    ]
