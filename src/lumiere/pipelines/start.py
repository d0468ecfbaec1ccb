"""Where sampling starts: from noise, or from a video to edit (SDEdit, Meng et al. 2022)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from lumiere.diffusion.freenoise import reuse_noise
from lumiere.diffusion.guidance import classifier_free
from lumiere.diffusion.noise import frame_noise
from lumiere.diffusion.sampling import inverted_noise
from lumiere.io.video import resize
from lumiere.pipelines.windowing import TIME, over_windows, time_windows

if TYPE_CHECKING:
    from lumiere.pipelines.request import Request
    from lumiere.pipelines.text_to_video import LumierePipeline

#: share of the variance of an edit's noise that all frames have in common; the rest is the video's own
EDIT_SHARED_NOISE = 0.5


def encode_source(pipe: LumierePipeline, request: Request) -> Float[Tensor, "1 c t h w"] | None:
    """Latents of the video to edit, if there is one."""
    if request.source is None:
        return None
    return pipe.encode_video(resize(request.source, request.height, request.width))


def initial_noise(pipe: LumierePipeline, request: Request, source: Tensor | None) -> list[Tensor]:
    """The initial noise of each clip, c t h w; of an edit, noise that differs between frames as the
    source's own does, so that they move alike."""
    device, channels, window = pipe._execution_device, pipe.codec.channels, request.window
    if request.latents is not None:
        return list(request.latents.to(device))
    if source is not None and request.strength < 1:
        motion = _source_noise(pipe, request, source)
        common = (frame_noise(1, (channels, *window), each).to(device) for each in request.generators)
        return [motion + EDIT_SHARED_NOISE**0.5 * each for each in common]
    return drawn_noise(pipe, request, slice(None))


def drawn_noise(pipe: LumierePipeline, request: Request, batch: slice) -> list[Tensor]:
    """Noise of each clip of a batch, c t h w, as the model was trained on it; drawn by the clips' generators,
    so that a second call gives other noise."""
    kind = pipe.config["shared_noise"], pipe.config["noise_smoothness"], request.loop
    made = []
    for regions, generator in zip(request.regions[batch], request.generators[batch], strict=True):
        shape = (pipe.codec.channels, *regions.canvas(*request.window))
        noise = frame_noise(request.num_frames, shape, generator, *kind)
        if request.free_noise:
            time = time_windows(request.num_frames, pipe.window_frames, request.loop)
            noise = reuse_noise(noise, time, generator)
        made.append(noise.to(pipe._execution_device))
    return made


def _source_noise(pipe: LumierePipeline, request: Request, source: Tensor) -> Float[Tensor, "c t h w"]:
    """How the noise of a video, found by DDIM inversion without a prompt, differs between its frames."""
    context = pipe.text_encoder([""]).to(source.device)
    denoise = partial(pipe._denoise, frame_offset=request.frame_offset)
    guided = classifier_free(denoise, context, context, 1.0)
    time = time_windows(request.num_frames, pipe.window_frames, loop=False)
    denoiser = over_windows([guided], {TIME: time}, processes=pipe.processes)
    noise = inverted_noise(denoiser, source.float(), pipe.scheduler, request.steps, request.strength)[0]
    return noise - noise.mean(1, keepdim=True)
