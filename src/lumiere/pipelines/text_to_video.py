"""Text to video: every frame of a clip in one pass (section 3 of arXiv 2401.12945)."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import ModelMixin
from jaxtyping import Float
from torch import Tensor

from lumiere.conditions import Condition, VideoInput
from lumiere.diffusion.sampling import StopSampling, evaluations
from lumiere.errors import InputError
from lumiere.io.pixels import from_uint8
from lumiere.io.video import Clip, resize
from lumiere.models.stunet import STUNet
from lumiere.models.warping import WarpNet
from lumiere.pipelines.base import BundlePipeline
from lumiere.pipelines.denoising import sample_latents
from lumiere.pipelines.extension import extend
from lumiere.pipelines.memory import SamplingMemory
from lumiere.pipelines.outputs import LumierePipelineOutput, as_frames, decode
from lumiere.pipelines.prompt_parsing import PromptParser, load_parser
from lumiere.pipelines.regions import Regions
from lumiere.pipelines.request import Prompt, prepare_request
from lumiere.pipelines.start import encode_source, initial_noise
from lumiere.pipelines.superres import UpscalePipeline, target_size
from lumiere.pipelines.travel import Travel
from lumiere.style import Style, applied_style

logger = logging.getLogger(__name__)

#: arguments of a call that samples all of the frame in one window, from the prompt alone
FROM_PROMPT_ALONE: dict[str, Any] = {"first_frame_prompt": "", "regions": ""}


class LumierePipeline(SamplingMemory, BundlePipeline):
    """A text-to-video model.

    Args:
        unet: the space-time net.
        codec: between pixels and latents.
        text_encoder: prompts to the net's context.
        scheduler: any of diffusers'; ``lumiere.diffusion.sampling.make_scheduler`` makes another one on the
            same noise schedule.
        warp_net: warps known pixels to where they belong in the output; optional.
        size: height and width of the training clips, in pixels.
        fps: their frame rate.
        frames: their length. A longer clip is denoised in overlapping windows of as many.
        steps, guidance, guidance_rescale, guidance_interval: defaults of the call.
        shared_noise, noise_smoothness: share of the noise's variance that all frames have in common, and how
            slowly the rest changes, in frames, as in training; see :mod:`lumiere.diffusion.noise`.
        prompt_parser: the grammar of the training captions: its name, or an object, which is not saved. With
            one, a clip is by default conditioned on a generated first frame, and each object of a prompt gets
            a region of its own.
        moving_scale: scale of a generated first frame if the prompt has words for motion: what moves needs
            room.
        upscaler: the super-resolution model that belongs to this one: a shipped name, or a folder.
    """

    model_cpu_offload_seq = "text_encoder->unet->codec->warp_net"
    _optional_components: ClassVar = ["warp_net"]
    defaults = (
        "size", "fps", "frames", "steps", "guidance", "guidance_rescale", "guidance_interval", "shared_noise",
        "noise_smoothness", "prompt_parser", "moving_scale", "upscaler",
    )  # fmt: skip
    _callback_tensor_inputs: ClassVar = ["latents"]

    def __init__(
        self,
        unet: STUNet,
        codec: ModelMixin,
        text_encoder: ModelMixin,
        scheduler: Any,
        warp_net: WarpNet | None = None,
        size: int = 128,
        fps: int | float = 16,
        frames: int = 80,
        steps: int = 30,
        guidance: float = 4.0,
        guidance_rescale: float = 0.7,
        guidance_interval: Sequence[float] = (0.0, 1.0),
        shared_noise: float = 0.0,
        noise_smoothness: float = 0.0,
        prompt_parser: str | PromptParser | None = None,
        moving_scale: float = 1.0,
        upscaler: str | None = None,
    ):
        super().__init__()
        self.register_modules(
            unet=unet, codec=codec, text_encoder=text_encoder, scheduler=scheduler, warp_net=warp_net
        )
        settings = {name: value for name, value in locals().items() if name in self.defaults}
        named = prompt_parser if isinstance(prompt_parser, str) else None
        self.register_to_config(**settings | {"prompt_parser": named})
        self.prompt_parser = load_parser(prompt_parser) if isinstance(prompt_parser, str) else prompt_parser
        self._interrupt = False
        self._guidance_scale = 1.0
        self._probed: dict[Any, tuple[int, int, int]] = {}

    @torch.no_grad()
    def __call__(
        self,
        prompt: Prompt | Sequence[Prompt] | None = None,
        *,
        image: Any = None,
        video: VideoInput | None = None,
        mask_image: Any = None,
        strength: float | int | None = None,
        condition: Condition | None = None,
        composite: bool = True,
        resample: int = 1,
        first_frame_prompt: str | None = None,
        regions: Regions | str | None = None,
        style: Style | str | os.PathLike[str] | None = None,
        alpha: float | int | None = None,
        loop: bool = False,
        free_noise: bool = False,
        free_init: int = 1,
        frame_offset: int = 0,
        num_frames: int | None = None,
        height: int | None = None,
        width: int | None = None,
        fps: float | int | Fraction | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | int | None = None,
        guidance_rescale: float | int | None = None,
        guidance_interval: Sequence[float] | None = None,
        negative_prompt: str | Sequence[str] | None = None,
        num_videos_per_prompt: int = 1,
        seed: Any = None,
        generator: Any = None,
        batch_size: int = 1,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        output_type: str = "clip",
        return_dict: bool = True,
        callback_on_step_end: Callable[..., Mapping[str, Any] | None] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> Any:
        """Generate a clip of each prompt; ``docs/python.md`` describes every argument.

        Those of diffusers' video pipelines mean what they mean there. A seed gives the same noise, also that
        which some schedulers add at each step, whatever else is in the batch, and a longer clip starts with
        the noise of a shorter one.

        Args:
            prompt: one, or a list; each may change over time: ``{0: "a seed", 40: "a flower"}``, see
                :mod:`~lumiere.pipelines.travel`.
            image, video, mask_image: an image alone is the first frame; with a mask it is a cinemagraph, of
                which the white region moves. A video alone is edited (SDEdit); with a mask it is inpainted.
            condition: any other condition, of :mod:`lumiere.conditions`.
            resample: how often each step of a conditioned clip is taken (RePaint), so that what is generated
                fits the known region: for a model that was not trained on conditions.
            first_frame_prompt, regions: see :mod:`~lumiere.pipelines.first_frame` and
                :mod:`~lumiere.pipelines.regions`; ``""`` for neither.
            free_noise, free_init: reuse the first window's noise in a longer clip
                (:mod:`lumiere.diffusion.freenoise`); sample so many times, each from the low frequencies of
                the last result (:mod:`lumiere.diffusion.freeinit`).
            output_type: ``"clip"`` for a :class:`Clip`, or ``"pil"``, ``"np"``, ``"pt"`` or ``"latent"``.

        Returns:
            A ``Clip``, or a list of them if ``prompt`` is a list or has several clips. For other output types
            a :class:`~lumiere.pipelines.outputs.LumierePipelineOutput`. A tuple without ``return_dict``.

        Raises:
            InputError: an argument is out of its range or contradicts another, or memory would not suffice;
                or a step ends in numbers that are not finite.
        """
        arguments = dict(locals())
        for name in ("self", "return_dict", "callback_on_step_end", "callback_on_step_end_tensor_inputs"):
            del arguments[name]
        request = prepare_request(self, **arguments)
        start = encode_source(self, request)
        noise = initial_noise(self, request, start)
        self._interrupt, self._guidance_scale = False, request.guidance
        calls = evaluations(self.scheduler, request.steps) if start is None else request.steps
        bar = self.progress_bar(total=calls * request.free_init * len(request.batches))
        with applied_style(self.unet, request.style, request.alpha), bar:
            on_step_end = self._step_callback(bar, callback_on_step_end, callback_on_step_end_tensor_inputs)
            parts = [
                decode(self, request, batch, *sample_latents(self, request, batch, noise, start, on_step_end))
                for batch in request.batches
            ]
        self.maybe_free_model_hooks()
        outputs = [each for part in parts for each in part]
        if output_type == "clip":
            one_prompt = isinstance(prompt, str | Mapping | Travel)
            result = outputs[0] if one_prompt and len(outputs) == 1 else outputs
            return result if return_dict else (result,)
        frames = as_frames(outputs, output_type)
        return LumierePipelineOutput(frames) if return_dict else (frames,)

    @property
    def guidance_scale(self) -> float | int:
        """Guidance of the running call; a callback may set ``_guidance_scale``, as in diffusers."""
        return self._guidance_scale

    @property
    def num_timesteps(self) -> int:
        """Steps of the running or the last call."""
        return len(self.scheduler.timesteps)

    def extend(self, clip: Clip, num_frames: int, prompt: Prompt = "", **options: Any) -> Clip:
        """Continue a clip until it has ``num_frames``, in windows conditioned on the last frames so far.

        Args:
            clip: resized to the model's size.
            options: ``known_frames``, the frames of a window that are known (16, or half of the window or all
                of the clip if that is less); ``seed``, of the first window, the next one's being one higher;
                ``fps``, of the result; and those of the call.

        Raises:
            InputError: the clip has fewer frames than ``known_frames``, or ``num_frames`` already.
        """
        return extend(self, clip, num_frames, prompt, **options)

    def upscale(
        self, clip: Clip, size: int | tuple[int, int], model: str | None = None, **options: Any
    ) -> Clip:
        """Enlarge a clip to ``size``, its longer side or (height, width), by a super-resolution model.

        Args:
            model: a shipped one, or its folder. Default: the ``upscaler`` that belongs to this model; without
                one the clip is resized by interpolation, with a warning.
            options: of :meth:`lumiere.pipelines.superres.UpscalePipeline.stream`.

        Raises:
            InputError: there is no such model, ``size`` is below the clip's, or an option out of its range.
        """
        if (model := model or self.config["upscaler"]) is None:
            logger.warning("this model has no upscaler, so the clip is resized by interpolation")
            return replace(clip, frames=resize(clip.frames, *target_size(clip.height, clip.width, size)))
        return UpscalePipeline.from_pretrained(model).to(self._execution_device)(clip, size, **options)

    def encode_video(self, frames: np.ndarray) -> Float[Tensor, "1 c t h w"]:
        """Latents of a video, uint8 t h w 3."""
        return self.codec.encode(from_uint8(frames, self._execution_device, self.codec.dtype)[None])

    def decode_latents(self, latents: Float[Tensor, "c t h w"]) -> Float[Tensor, "3 t H W"]:
        """The video of one clip's latents, in [-1, 1]."""
        return self.codec.decode(latents[None].to(self.codec.dtype))[0].float()

    def _denoise(
        self, x: Tensor, t: Tensor, context: Tensor, condition: Tensor | None = None, frame_offset: int = 0
    ) -> Tensor:
        # Schedulers step in float32 whatever the net computes in.
        x = x.to(self.unet.dtype)
        if condition is not None:
            condition = condition.to(x).repeat(len(x) // len(condition), 1, 1, 1, 1)
        prediction = self.unet(
            x,
            t,
            encoder_hidden_states=context.to(x),
            condition=condition,
            first_frame=frame_offset,
            return_dict=False,
        )[0]
        # A learned variance (DeepFloyd-IF) comes after it; no sampler here has a use for that.
        return prediction[:, : self.codec.channels].float()

    def _step_callback(
        self, bar: Any, callback: Callable[..., Mapping[str, Any] | None] | None, inputs: Sequence[str]
    ) -> Callable[[int, Tensor, Tensor], Tensor | None]:
        if unknown := [name for name in inputs if name not in self._callback_tensor_inputs]:
            known = ", ".join(self._callback_tensor_inputs)
            raise InputError(
                f"callback_on_step_end_tensor_inputs has {', '.join(unknown)}; there are {known}"
            )

        def on_step_end(step: int, t: Tensor, x: Tensor) -> Tensor | None:
            bar.update()
            returned = callback and callback(self, step, t, {"latents": x} if inputs else {})
            if self._interrupt:
                raise StopSampling
            return returned.get("latents") if returned else None

        return on_step_end
