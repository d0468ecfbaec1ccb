"""Denoising of a batch: guidance over each window, windows over the clip, known pixels clamped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lumiere.conditions import Condition, from_image
from lumiere.diffusion.conditioning import EncodedCondition, clamp_known, encode_condition
from lumiere.diffusion.freeinit import renewed_noise
from lumiere.diffusion.guidance import WindowDenoiser, classifier_free
from lumiere.diffusion.sampling import sample
from lumiere.io.pixels import from_uint8
from lumiere.pipelines.embeddings import contexts, negative_context
from lumiere.pipelines.first_frame import draw_first_frames
from lumiere.pipelines.start import drawn_noise
from lumiere.pipelines.windowing import TIME, over_windows, time_windows

if TYPE_CHECKING:
    from lumiere.pipelines.request import Request
    from lumiere.pipelines.text_to_video import LumierePipeline


def sample_latents(
    pipe: LumierePipeline,
    request: Request,
    batch: slice,
    noise: Sequence[Tensor],
    start: Tensor | None,
    on_step_end: Callable[[int, Tensor, Tensor], Tensor | None],
) -> tuple[Tensor, EncodedCondition | None]:
    """Latents of a batch, and what they are conditioned on.

    Args:
        noise: of each clip of the request, c t h w.
        start: latents of the video to edit, 1 c t h w.
        on_step_end: see ``callback`` of :func:`lumiere.diffusion.sampling.sample`.
    """
    regions, window, drawn = request.regions[batch], request.window, torch.stack([*noise[batch]])
    generators = request.generators[batch]
    denoise = partial(pipe._denoise, frame_offset=request.frame_offset)
    limit = pipe.scheduler.config.num_train_timesteps
    guide = partial(
        classifier_free,
        uncond=negative_context(pipe, request, batch),
        guidance_scale=lambda: pipe.guidance_scale,
        rescale=request.rescale,
        timesteps=(request.interval[0] * limit, request.interval[1] * limit),
    )
    encoded = None
    if request.condition is not None:
        encoded = _encoded(pipe, [request.condition])
    elif wanted := request.first_frames[batch]:
        draw = partial(guide, pipe._denoise)
        images = draw_first_frames(pipe, wanted, drawn[:, :, 0], window, draw, request.steps, generators)
        encoded = _encoded(pipe, [from_image(image, request.num_frames) for image in images])
    time = time_windows(request.num_frames, pipe.window_frames, request.loop)
    axes = dict(enumerate((time, *regions[0].windows(*window)), TIME))
    # A net that was not trained on conditions has the known latents clamped, and no more.
    trained = bool(pipe.unet.config.condition_channels)
    aligned = () if encoded is None or not trained else (encoded.channels,)
    texts = contexts(pipe, request, batch)
    denoisers = [guide(denoise, context) for context in texts]
    if texts[0].ndim == 4:  # of each frame: a window gets those of its own
        aligned = (*aligned, texts[0].transpose(1, 2))
        denoisers = [partial(_by_frame, partial(guide, denoise))]
    denoiser = over_windows(denoisers, axes, *aligned, processes=pipe.processes)
    if request.condition is not None and encoded is not None:
        schedule = pipe.scheduler.alphas_cumprod, pipe.scheduler.config.prediction_type
        denoiser = clamp_known(denoiser, encoded, *schedule)
    sampled = partial(
        sample,
        denoiser,
        scheduler=pipe.scheduler,
        num_inference_steps=request.steps,
        start=None if start is None else start.to(drawn).expand_as(drawn),
        strength=request.strength,
        generator=generators,
        callback=on_step_end,
        resample=request.resample,
        more_noise=lambda: torch.stack(drawn_noise(pipe, request, batch)),
    )
    latents = sampled(drawn)
    for _ in range(request.free_init - 1):
        if pipe._interrupt:
            break
        fresh = torch.stack(drawn_noise(pipe, request, batch))
        latents = sampled(renewed_noise(latents, drawn, fresh, pipe.scheduler.alphas_cumprod))
    return latents, encoded


def _by_frame(guide: Callable[[Tensor], WindowDenoiser], x: Tensor, t: Tensor, *aligned: Tensor) -> Tensor:
    *others, texts = aligned
    return guide(texts.transpose(1, 2))(x, t, *others)


def _encoded(pipe: LumierePipeline, conditions: Sequence[Condition]) -> EncodedCondition:
    device, dtype = pipe._execution_device, pipe.codec.dtype
    video = torch.cat([from_uint8(each.video, device, dtype)[None] for each in conditions])
    known = torch.stack([torch.from_numpy(each.known == 1) for each in conditions]).to(video)
    return encode_condition(pipe.codec, video, known[:, None])
