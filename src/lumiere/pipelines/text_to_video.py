"""Text to video: a prompt becomes a clip, all of its frames at once (section 3 of arXiv 2401.12945)."""

from __future__ import annotations

import itertools
import math
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeVar

import numpy as np
import torch
from diffusers import ModelMixin
from jaxtyping import Float
from torch import Tensor

from lumiere import __version__
from lumiere.conditions import Condition, VideoInput, continue_from, from_image, read_video
from lumiere.diffusion.conditioning import EncodedCondition, clamp_known, encode_condition, known_in_any_frame
from lumiere.diffusion.guidance import ContextDenoiser, check_interval, classifier_free, within_interval
from lumiere.diffusion.multidiffusion import WindowDenoiser, multidiffusion, single_process
from lumiere.diffusion.noise import frame_noise
from lumiere.diffusion.sampling import Denoiser, StopSampling, inverted_noise, sample, scheduler_name
from lumiere.diffusion.windows import Windows, tiles, windows
from lumiere.emoji.prompt_parser import arranged, without_words
from lumiere.errors import InputError
from lumiere.io.video import Clip, resize
from lumiere.models.stunet import STUNet
from lumiere.models.warping import WarpNet
from lumiere.pipelines.base import BundlePipeline
from lumiere.pipelines.inputs import check_request, check_text, fitted_size, seeds_of
from lumiere.pipelines.memory import available_bytes, peak_bytes
from lumiere.pipelines.regions import Layout, framed, part_by_part, shrunk
from lumiere.shapes import Video
from lumiere.style import Style, applied_style

T = TypeVar("T")
_Led: TypeAlias = Callable[[ContextDenoiser, Tensor], Denoiser]
TIME = 2

# What a CPU's kernels and allocator take over what tensors hold; measured 0.8 to 1.6.
OVERHEAD = 1.75
#: how much of a video is made anew if nobody says
EDIT_STRENGTH = 0.6
#: Share of the variance of an edit's noise that is drawn anew, for all frames in common.
EDIT_SHARED_NOISE = 0.5
#: of a call: all frames at once and in one window, whatever the model would do
AT_ONCE: dict[str, Any] = {"image_prompt": "", "layout": ""}


class _Picture(NamedTuple):
    """A picture that a clip begins like: what it is drawn of, and its size in its window, a share."""

    layout: Layout
    scale: float


class LumierePipeline(BundlePipeline):
    """The components of a text-to-video model, and the call that makes clips with them.

    Args:
        unet: the space-time net.
        codec: between pixels and what the net works in.
        text_encoder: prompts to the net's context.
        warp_net: finds in a clip what it was given, for that to be put there as sharp as it was; optional.
        scheduler: any of diffusers'; ``lumiere.diffusion.sampling.make_scheduler`` makes another of its
            configuration.
        size: height and width that the model was trained at, in pixels.
        fps: frame rate that it was trained at.
        frames: of the clips that it was trained on. A longer clip is denoised in windows of as many, each
            sharing half of them with the next (section 3.2 of the paper, there for super-resolution).
        steps, guidance, guidance_rescale, guidance_interval: what a call uses if it is not told otherwise.
        shared_noise, noise_smoothness: share of the noise that is common to all frames, and how slowly the
            rest changes, in frames, as in training; see ``lumiere.diffusion.noise``.
        motion_words: what a picture cannot show, in the words of the training's captions: a clip begins with
            something like a picture of the prompt without them (``image_prompt`` of a call). If there are
            none, it does not.
        moving_scale: how large such a picture is in the frame, if there were words of motion in the prompt:
            what moves needs room.
        relations: words between two objects of a prompt, and where they say that the first one stands:
            ``"left"``, ``"right"``, ``"above"`` or ``"below"``. Each object of such a prompt, or of a list,
            gets a window of its own (``layout`` of a call).
    """

    model_cpu_offload_seq = "text_encoder->unet->codec->warp_net"
    _optional_components: ClassVar = ["warp_net"]
    defaults = (
        "size",
        "fps",
        "frames",
        "steps",
        "guidance",
        "guidance_rescale",
        "guidance_interval",
        "shared_noise",
        "noise_smoothness",
        "motion_words",
        "moving_scale",
        "relations",
    )
    _callback_tensor_inputs = ("latents",)

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
        motion_words: Sequence[str] = (),
        moving_scale: float = 1.0,
        relations: Mapping[str, str] | None = None,
    ):
        super().__init__()
        self.register_modules(
            unet=unet, codec=codec, text_encoder=text_encoder, scheduler=scheduler, warp_net=warp_net
        )
        self.register_to_config(
            size=size,
            fps=fps,
            frames=frames,
            steps=steps,
            guidance=guidance,
            guidance_rescale=guidance_rescale,
            guidance_interval=guidance_interval,
            shared_noise=shared_noise,
            noise_smoothness=noise_smoothness,
            motion_words=motion_words,
            moving_scale=moving_scale,
            relations=relations or {},
        )
        self._interrupt = False
        self._probed: dict[Any, tuple[int, int, int]] = {}

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        video: VideoInput | None = None,
        strength: float | None = None,
        condition: Condition | None = None,
        composite: bool = True,
        image_prompt: str | None = None,
        layout: Layout | str | None = None,
        style: Style | str | os.PathLike[str] | None = None,
        alpha: float | None = None,
        loop: bool = False,
        first_frame: int = 0,
        num_frames: int | None = None,
        height: int | None = None,
        width: int | None = None,
        fps: float | Fraction | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_rescale: float | None = None,
        guidance_interval: Sequence[float] | None = None,
        negative_prompt: str = "",
        seed: int | Sequence[int] | None = None,
        generator: torch.Generator | None = None,
        batch_size: int = 1,
        callback_on_step_end: Callable[[Any, int, Tensor, dict[str, Any]], dict[str, Any] | None]
        | None = None,
        output_type: str = "clip",
    ) -> Any:
        """Make a clip of each prompt.

        A seed gives the same noise whatever else is in the batch, and a longer clip starts with the noise of
        a shorter one.

        Args:
            prompt: one, or a list.
            video: a clip to edit: sampling begins from it, with noise added, instead of from noise alone
                (SDEdit, Meng et al. 2022); resized to the clips. The noise of its frames differs as the
                video's own noise does, so that they move alike.
            strength: how much of ``video`` is made anew, over 0 and up to 1, which ignores it. Default: 0.6.
            condition: what is given of each clip, from :mod:`lumiere.conditions`; resized to the clips.
            composite: put what is given back in its place, exactly, and, by ``transport``, where it has moved
                to, as the picture of ``image_prompt``; else the clip is what the model made.
            image_prompt: what the image model alone draws, of the noise of the clip's first frame. The net is
                told it as if it were its condition (Emu Video, Girdhar et al. 2023), but free to begin with
                something like it. ``""``: all frames are made from the prompt alone. Default: each prompt
                without the model's ``motion_words``, if it has any and nothing else is given of the clip.
            layout: what windows of the clip's size, side by side, are told in place of the prompt, such as
                ``"a cat | a dog"``; the whole is then made as small as one of them. ``""``: one window, which
                is told the prompt. Default: if the model has ``relations``, nothing is given of the clip, and
                no ``image_prompt`` said, a window for each object of a prompt that lists several or says how
                they stand to each other, see :func:`lumiere.emoji.prompt_parser.arranged`.
            style: weights for the image model, from :mod:`lumiere.style`, or their file or folder.
            alpha: how much of the style there is, from 0, none, to 1; above 1 it is exaggerated. Default: 1.
            loop: make the last frame lead into the first: the windows go round. There are at least two, the
                second of which begins in the middle of the first. With nothing given, the clip begins where
                it changes least, for a player's jump back to be seen least.
            first_frame: index of the clip's first frame, for a part of a longer clip.
            num_frames: of each clip. Default: the condition's or video's, if it has one, or the model's.
            height, width: in pixels, multiples of ``codec.factor``. Default: the model's training size, for
                the longer side in the proportions of the condition or video.
            fps: of the clip that is returned; the net does not know it. Default: the video's, or the model's.
            num_inference_steps, guidance_scale, guidance_rescale: default: the model's. A ``guidance_scale``
                of 1 switches guidance off and halves the work; see ``lumiere.diffusion.guidance``.
            guidance_interval: from where to where there is guidance, two shares of the noise schedule, which
                is 0 where samples are clean and 1 in pure noise. Steps outside cost half. Default: the
                model's.
            negative_prompt: what guidance leads away from.
            seed: one for all prompts, or one each. Default: a new one, told in the clip's metadata.
            generator: in place of ``seed``, a generator that noise is drawn from, clip after clip.
            batch_size: clips that are sampled together: faster on a GPU, for more memory.
            callback_on_step_end: called as ``callback(pipe, step, timestep, {"latents": ...})``; the
                ``latents`` of a dictionary that it returns are used from there. Setting ``pipe._interrupt``
                to True ends the sampling.
            output_type: ``"clip"``; or, as the model made it, ``"pt"``, a video ``b 3 t h w`` in [-1, 1], or
                ``"latent"``, samples; of several windows the whole, as large as they are together.

        Returns:
            A ``Clip``, or a list of them if ``prompt`` is a list; a tensor for the other output types. The
            metadata of a conditioned clip has ``given_psnr``, how well the model itself kept what was given.

        Raises:
            InputError: an argument is out of its range, or memory would not suffice.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        for text in (*prompts, negative_prompt, image_prompt or "", str(layout or "")):
            check_text(text)
        from_nothing = condition is None and video is None
        if image_prompt and not from_nothing:
            raise InputError(f"image_prompt is {image_prompt!r}, but the clip is given another beginning")
        layouts = self._layouts(prompts, layout, image_prompt, from_nothing)
        if video is None and strength is not None:
            raise InputError(f"strength is {strength}, but there is no video to edit")
        strength = _default(strength, EDIT_STRENGTH)
        if style is None and alpha is not None:
            raise InputError(f"alpha is {alpha}, but there is no style")
        alpha = _default(alpha, 1.0)
        if style is not None and not isinstance(style, Style):
            style = Style.from_pretrained(style)
        if video is not None and not isinstance(video, Clip | np.ndarray):
            video = Clip.load(video)
        source = None if video is None else read_video(video)
        own_length = self.config["frames"] if source is None else len(source)
        if condition is not None and condition.num_frames is not None:
            own_length = condition.num_frames
        num_frames = _default(num_frames, own_length)
        like = condition or (None if source is None else Clip(source, 1))
        height, width = self._size(height, width, like)
        fps = _default(fps, video.fps if isinstance(video, Clip) else self.config["fps"])
        steps = _default(num_inference_steps, self.config["steps"])
        guidance = _default(guidance_scale, self.config["guidance"])
        rescale = _default(guidance_rescale, self.config["guidance_rescale"])
        interval = _default(guidance_interval, self.config["guidance_interval"])
        check_interval(interval)
        if condition is not None and set(prompts) == {negative_prompt}:
            guidance = 1.0  # there is nothing to lead to
        said = (
            ["given"]
            if condition is not None
            else [*prompts, *itertools.chain(*(each.prompts for each in layouts))]
        )
        check_request(said, num_frames, height, width, self.codec.factor)
        pictured = self._pictured(layouts, image_prompt, from_nothing, first_frame)
        if condition is not None:
            condition = self._fitted(condition, num_frames, height, width)
        if source is not None and len(source) != num_frames:
            raise InputError(f"the video has {len(source)} frames and the clip {num_frames}; make them alike")
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; give at least 1")
        if output_type not in ("clip", "pt", "latent"):
            raise InputError(f"output_type is {output_type!r}; choose clip, pt or latent")
        seeds = seeds_of(seed, generator, len(prompts))
        generators = [generator or torch.Generator().manual_seed(each) for each in seeds]
        batch_size = min(batch_size, len(prompts))
        window = height // self.codec.factor, width // self.codec.factor
        canvases = [each.canvas(*window) for each in layouts]
        if output_type != "clip" and len(set(canvases)) > 1:
            raise InputError(
                f"output_type is {output_type!r}, one tensor, but the prompts' windows differ in number;"
                ' give layout "", or one prompt at a time'
            )
        larger = max(map(math.prod, canvases)) / math.prod(window)
        self._check_memory(num_frames, height, width, batch_size, guidance > 1, larger)

        device = self._execution_device
        uncond = self.text_encoder([negative_prompt]).to(device)
        kind = self.config["shared_noise"], self.config["noise_smoothness"], loop
        origin = None if source is None else self._encode(resize(source, height, width))
        if origin is None or strength == 1:
            shapes = [(self.codec.channels, *canvas) for canvas in canvases]
            each_of = zip(shapes, generators, strict=True)
            noise = [frame_noise(num_frames, shape, each, *kind).to(device) for shape, each in each_of]
        else:
            motion = self._motion(origin, steps, strength, first_frame)
            common = (frame_noise(1, (self.codec.channels, *window), each).to(device) for each in generators)
            noise = [motion + EDIT_SHARED_NOISE**0.5 * each for each in common]

        self._interrupt = False
        batches = list(_batches(layouts, batch_size))
        finished: list[Any] = []
        encoded = None if condition is None else self._encode_conditions([condition])
        led = partial(self._led, uncond=uncond, guidance=guidance, rescale=rescale, interval=interval)
        with (
            applied_style(self.unet.spatial, style, alpha),
            self.progress_bar(total=steps * len(batches)) as bar,
        ):
            for chosen in batches:

                def after_step(step: int, t: Tensor, x: Tensor) -> Tensor | None:
                    bar.update()
                    returned = callback_on_step_end and callback_on_step_end(self, step, t, {"latents": x})
                    if self._interrupt:
                        raise StopSampling
                    return returned.get("latents") if returned else None

                drawn, arrangement = torch.stack(noise[chosen]), layouts[chosen.start]
                if pictured:
                    pictures = self._draw(pictured[chosen], drawn[:, :, 0], window, led, steps)
                    encoded = self._encode_conditions(
                        [from_image(picture, num_frames) for picture in pictures]
                    )
                contexts = self._contexts(layouts[chosen])
                guided = [self._guided(led, context, first_frame) for context in contexts]
                places = arrangement.windows(*window)
                denoiser = self._over_windows(guided, self._through_time(num_frames, loop), places, encoded)
                if condition is not None and encoded is not None:
                    schedule = self.scheduler.alphas_cumprod, self.scheduler.config.prediction_type
                    denoiser = clamp_known(denoiser, encoded, *schedule)
                latents = sample(
                    denoiser,
                    drawn,
                    self.scheduler,
                    steps,
                    start=None if origin is None else origin.to(drawn).expand_as(drawn),
                    strength=strength,
                    generator=generator,
                    callback=after_step,
                )
                made = latents if output_type == "latent" else [self._decode(each) for each in latents]
                if output_type == "clip":
                    for index, each in enumerate(made):
                        frames, kept = self._shown(each, condition, encoded and encoded.of(index), composite)
                        finished.append((framed(frames, height, width), kept))
                else:
                    finished += made
        self.maybe_free_model_hooks()

        if output_type != "clip":
            return torch.stack(finished)
        settings = {
            "negative_prompt": negative_prompt,
            "steps": steps,
            "guidance": guidance,
            "guidance_rescale": rescale,
            "scheduler": scheduler_name(self.scheduler),
            "model": self.model_name,
            "dtype": str(self.unet.dtype).removeprefix("torch."),
            "version": __version__,
        }
        if tuple(interval) != (0, 1):
            settings["guidance_interval"] = list(interval)
        if source is not None:
            settings["strength"] = strength
        if style is not None:
            settings |= {"style": style.name, "alpha": alpha}
        clips = []
        for number, (frames, given_psnr) in enumerate(finished):
            about = {"prompt": prompts[number], "seed": seeds[number]} | settings
            if layouts[number] != Layout.of(prompts[number]):
                about["layout"] = str(layouts[number])
            if pictured:
                about["image_prompt"] = str(pictured[number].layout)
            if condition is not None:
                about["given_psnr"] = given_psnr
            elif loop:
                frames = np.roll(frames, -changes_round(frames).argmin(), axis=0)
            clips.append(Clip(frames, fps, about))
        return clips[0] if isinstance(prompt, str) else clips

    def extend(
        self,
        clip: Clip,
        num_frames: int,
        prompt: str = "",
        *,
        given: int = 16,
        seed: int | None = None,
        fps: float | Fraction | None = None,
        **options: Any,
    ) -> Clip:
        """Go on with a clip until it has ``num_frames``, by windows that are given the last frames so far.

        Args:
            clip: brought to the model's size if it has another one.
            given: frames that a window, as long as the clips that the model was trained on, is given.
            seed: of the first window, the next one's being one higher. Default: a new one.
            fps: of the clip that is returned. Default: the clip's.
            options: of the call.

        Raises:
            InputError: the clip has fewer frames than ``given``, or as many as it is to have.
        """
        if num_frames <= len(clip):
            raise InputError(f"{num_frames} frames are asked for; the clip has {len(clip)} already")
        height, width = fitted_size(clip.height, clip.width, self.config["size"], self.codec.factor)
        frames = resize(clip.frames, height, width)
        seed = seeds_of(seed, None, 1)[0]
        made = clip
        for number in itertools.count():
            condition = continue_from(frames, given, self.config["frames"])
            made = self(prompt, condition=condition, seed=seed + number, **options)
            frames = np.concatenate([frames, made.frames[given:]])
            if len(frames) >= num_frames:
                break
        about = {**made.metadata, "seed": seed, "extended_from": len(clip)}
        return Clip(frames[:num_frames], _default(fps, clip.fps), about)

    def upscale(
        self, clip: Clip, size: int | tuple[int, int], model: str = "emoji-upscaler", **options: Any
    ) -> Clip:
        """Enlarge a clip to ``size``, its longer side or (height, width), by a super-resolution model.

        Args:
            model: a shipped one, or its folder.
            options: of :meth:`lumiere.pipelines.superres.UpscalePipeline.stream`.

        Raises:
            InputError: there is no such model, ``size`` is below the clip's, or an option out of its range.
        """
        from lumiere.pipelines.superres import UpscalePipeline

        return UpscalePipeline.from_pretrained(model).to(self._execution_device)(clip, size, **options)

    def _size(self, height: int | None, width: int | None, like: Condition | Clip | None) -> tuple[int, int]:
        trained = self.config["size"]
        if like is None:
            return _default(height, trained), _default(width, trained)
        fitted = fitted_size(like.height, like.width, trained, self.codec.factor)
        return _default(height, fitted[0]), _default(width, fitted[1])

    def _fitted(self, condition: Condition, num_frames: int, height: int, width: int) -> Condition:
        """The condition at the clip's size. Raises :class:`InputError` for one of another length."""
        if not self.unet.config.condition_channels:
            raise InputError("this model takes no condition; choose one that was trained to")
        return condition.at(num_frames, height, width)

    def _layouts(
        self,
        prompts: Sequence[str],
        layout: Layout | str | None,
        image_prompt: str | None,
        from_nothing: bool,
    ) -> list[Layout]:
        """The windows of each clip. Raises :class:`InputError` for several where there can be but one."""
        one_window = image_prompt or not from_nothing
        if layout and one_window:
            raise InputError(f"layout is {str(layout)!r}, but the clip is given another beginning")
        if layout:
            return [layout if isinstance(layout, Layout) else Layout.parse(layout)] * len(prompts)
        if layout == "" or one_window:
            return list(map(Layout.of, prompts))
        words = self.config["relations"], self.config["motion_words"]
        return [Layout(arranged(text, *words)) for text in prompts]

    def _pictured(
        self, layouts: Sequence[Layout], image_prompt: str | None, from_nothing: bool, first_frame: int
    ) -> list[_Picture]:
        """What each clip is to begin like; nothing at all if they are to be made at once."""
        if image_prompt is not None:
            if image_prompt and not self.unet.config.condition_channels:
                raise InputError(
                    f"image_prompt is {image_prompt!r}, but this model takes no condition; leave it out"
                )
            return [_Picture(Layout.of(image_prompt), 1.0)] * len(layouts) if image_prompt else []
        words = self.config["motion_words"]
        if not (words and from_nothing and first_frame == 0 and self.unet.config.condition_channels):
            return []
        still = [each.changed(partial(without_words, words=words)) for each in layouts]
        scale = self.config["moving_scale"]
        pairs = zip(still, layouts, strict=True)
        return [_Picture(said, 1.0 if said == layout else scale) for said, layout in pairs]

    def _contexts(self, layouts: Sequence[Layout]) -> list[Float[Tensor, "b l d"]]:
        """What each window is told, for clips of layouts of one shape."""
        by_window = zip(*(each.prompts for each in layouts), strict=True)
        return [self.text_encoder(list(prompts)).to(self._execution_device) for prompts in by_window]

    def _draw(
        self,
        pictures: Sequence[_Picture],
        noise: Float[Tensor, "b c h w"],
        window: tuple[int, int],
        led: _Led,
        steps: int,
    ) -> list[np.ndarray]:
        """Pictures by the image model alone, uint8 h w 3.

        Args:
            window: height and width of a window, in samples.
        """
        layouts = [each.layout for each in pictures]
        places = layouts[0].windows(*window)
        drawing = [led(self._denoise, context) for context in self._contexts(layouts)]
        denoiser = _unshared(_tiled(drawing, dict(enumerate(places, 2))))
        latents = sample(denoiser, noise, self.scheduler, steps)
        drawn = [to_uint8(self._decode(each[:, None]))[0] for each in latents]
        pixels = layouts[0].windows(*window, self.codec.factor)
        return [
            part_by_part(each, pixels, partial(shrunk, scale=wanted.scale))
            for each, wanted in zip(drawn, pictures, strict=True)
        ]

    def _encode_conditions(self, conditions: Sequence[Condition]) -> EncodedCondition:
        video = torch.cat([self._video(each.video) for each in conditions])
        given = torch.stack([torch.from_numpy(each.known == 1) for each in conditions]).to(video)
        return encode_condition(self.codec, video, given[:, None])

    def _encode(self, frames: np.ndarray) -> Float[Tensor, "1 c t h w"]:
        return self.codec.encode(self._video(frames))

    def _motion(
        self, origin: Tensor, steps: int, strength: float, first_frame: int
    ) -> Float[Tensor, "c t h w"]:
        """How a sample's own noise, found without a prompt, differs from frame to frame."""
        context = self.text_encoder([""]).to(origin.device)
        guided = self._guided(_unled, context, first_frame)
        denoiser = self._over_windows([guided], self._through_time(origin.shape[TIME], False))
        noise = inverted_noise(denoiser, origin.float(), self.scheduler, steps, strength)[0]
        return noise - noise.mean(1, keepdim=True)

    def _video(self, frames: np.ndarray) -> Video:
        """uint8 frames as a video in [-1, 1], for the codec."""
        pixels = torch.from_numpy(np.ascontiguousarray(frames))
        video = pixels.to(self._execution_device, self.codec.dtype).div(127.5).sub(1)
        return video.movedim(-1, 0)[None]

    def _shown(
        self,
        video: Float[Tensor, "3 t h w"],
        given: Condition | None,
        encoded: EncodedCondition | None,
        composite: bool,
    ) -> tuple[np.ndarray, float | None]:
        """The clip's frames, uint8 t h w 3, and how well what is given was kept, in decibels."""
        frames = to_uint8(video)
        kept = None if given is None else given.psnr(frames)
        if encoded is not None and composite:
            frames = self._warped(video, encoded, put_back=given is not None)
            frames = frames if given is None else given.composite(frames)
        return frames, kept

    def _warped(
        self, video: Float[Tensor, "3 t h w"], encoded: EncodedCondition, put_back: bool
    ) -> np.ndarray:
        """The clip's frames, with what is told where it has moved to, if the model can find it.

        Args:
            put_back: whether what is given is to be in its own place, too.
        """
        if self.warp_net is None:
            return to_uint8(video)
        there = encoded.given * put_back
        made = torch.where(there > 0, encoded.nearest, video[None].to(encoded.nearest))
        known = known_in_any_frame(encoded.given)
        return to_uint8(self.warp_net.restore(encoded.nearest, made, there, known)[0])

    def _led(
        self,
        denoise: ContextDenoiser,
        context: Tensor,
        *,
        uncond: Tensor,
        guidance: float,
        rescale: float,
        interval: Sequence[float],
    ) -> Denoiser:
        low, high = (share * self.scheduler.config.num_train_timesteps for share in interval)
        led = classifier_free(denoise, context, uncond, guidance, rescale=rescale)
        return within_interval(led, _unled(denoise, context), low, high)

    def _guided(self, led: _Led, context: Tensor, first_frame: int) -> WindowDenoiser:
        def guided(x: Tensor, t: Tensor, *encoded: Tensor) -> Tensor:
            condition = encoded[0] if encoded else None
            denoise = partial(self._denoise, condition=condition, first_frame=first_frame)
            return led(denoise, context)(x, t)

        return guided

    def _through_time(self, num_frames: int, loop: bool) -> Windows:
        window = min(num_frames, self.config["frames"])
        return windows(num_frames, window, window // 2, circular=loop)

    def _over_windows(
        self,
        guided: Sequence[WindowDenoiser],
        time: Windows,
        places: Sequence[Windows] = (),
        encoded: EncodedCondition | None = None,
    ) -> Denoiser:
        """A denoiser of the whole clip, of however many windows, that are told what is given.

        Args:
            guided: denoisers of each window of the frame, row by row.
            places: the windows along the height and along the width.
        """
        aligned = () if encoded is None else (encoded.channels,)
        denoiser = _tiled(guided, dict(enumerate((time, *places), TIME)), *aligned)
        if len(time.starts) == 1:
            denoiser = _unshared(denoiser)
        return denoiser

    def _denoise(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        condition: Tensor | None = None,
        first_frame: int = 0,
    ) -> Tensor:
        # Schedulers step in float32 whatever the net computes in.
        x = x.to(self.unet.dtype)
        if condition is not None:
            condition = condition.to(x).repeat(len(x) // len(condition), 1, 1, 1, 1)
        context = context.to(self.unet.dtype)
        prediction = self.unet(
            x, t, encoder_hidden_states=context, condition=condition, first_frame=first_frame
        ).sample
        # A learned variance (DeepFloyd-IF) comes after it; no sampler here has a use for that.
        return prediction[:, : self.codec.channels].float()

    def _decode(self, latents: Tensor) -> Tensor:
        return self.codec.decode(latents[None].to(self.codec.dtype))[0].float()

    def memory_bytes(
        self,
        num_frames: int,
        height: int,
        width: int,
        batch_size: int = 1,
        guided: bool = True,
        larger: float = 1.0,
    ) -> int:
        """Bytes that sampling and decoding will take at their highest, over what the weights take.

        Extrapolated from what 8 frames on a grid of 8 x 8 take.

        Args:
            larger: how many times as large as one window all of them are together.
        """
        factor = self.codec.factor
        net, decoding, latents = self._probe()
        ratio = (height // factor) * (width // factor) / 64 * batch_size
        window = min(num_frames, self.config["frames"])
        # Copies of the clip live at once: noise, sample, past predictions; decoded slices and their union.
        sampling = ratio / 8 * (window * net * (2 if guided else 1) + num_frames * 6 * latents * larger)
        ratio *= larger
        video = 4 * 3 * num_frames * height * width * batch_size * larger
        # A codec decodes a clip in slices, so that what it takes does not grow with the clip.
        at_once = getattr(self.codec, "frames_at_once", num_frames)
        decoded = decoding * ratio / batch_size * min(num_frames, at_once) / min(8, at_once) + 3 * video
        return int(OVERHEAD * max(sampling, decoded))

    def _probe(self) -> tuple[int, int, int]:
        """Bytes that the net, decoding, and the sample itself take for 8 frames on a grid of 8 x 8."""
        device = self._execution_device
        key = (id(self.unet), id(self.codec), self.unet.dtype, device)
        if key not in self._probed:
            x = torch.zeros(1, self.codec.channels, 8, 8, 8, device=device)
            context = torch.zeros(1, self.text_encoder.length, self.text_encoder.dim, device=device)
            t = torch.zeros((), dtype=torch.long, device=device)
            net = peak_bytes(self.unet, lambda: self._denoise(x, t, context))
            self._probed = {key: (net, peak_bytes(self.codec, lambda: self._decode(x[0])), x.nbytes)}
        return self._probed[key]

    def _check_memory(
        self, num_frames: int, height: int, width: int, batch_size: int, guided: bool, larger: float = 1.0
    ) -> None:
        def need(frames: int) -> int:
            return self.memory_bytes(frames, height, width, batch_size, guided, larger)

        needed, free = need(num_frames), available_bytes(self._execution_device)
        if needed <= free:
            return
        fitting = bisect_right(range(1, num_frames + 1), free, key=need)
        if fitting >= 1:
            would_fit = f"{fitting} frames of this size would fit"
        else:
            side = self.codec.factor
            smaller = (free / need(1)) ** 0.5
            fit_height, fit_width = (int(length * smaller) // side * side for length in (height, width))
            would_fit = (
                f"one frame of {fit_width}x{fit_height} would fit"
                if fit_height and fit_width
                else "not one frame would fit; free some memory"
            )
        raise InputError(
            f"{batch_size} x {num_frames} frames of {width}x{height} need"
            f" about {_gigabytes(needed)} of memory and {_gigabytes(free)} are free; {would_fit}"
        )


def to_uint8(video: Float[Tensor, "3 t h w"]) -> np.ndarray:
    """A video in [-1, 1] as frames, uint8 t h w 3."""
    return ((video + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 3, 0).cpu().numpy()


def changes_round(frames: np.ndarray) -> np.ndarray:
    """How much each frame of a loop differs from the one before it, the first from the last: float, t.

    Args:
        frames: uint8, t x h x w x 3.
    """
    return np.asarray(np.abs(frames.astype(np.int16) - np.roll(frames, 1, axis=0)).mean((1, 2, 3)))


def _batches(layouts: Sequence[Layout], size: int) -> Iterator[slice]:
    """Which clips are sampled together: neighbours, up to ``size`` of them, of the same number of windows."""
    end = 0
    for _, alike in itertools.groupby(layouts, key=lambda layout: layout.shape):
        start, end = end, end + len(list(alike))
        yield from (slice(first, min(first + size, end)) for first in range(start, end, size))


def _tiled(denoisers: Sequence[WindowDenoiser], axes: Mapping[int, Windows], *aligned: Tensor) -> Denoiser:
    """A denoiser of the whole from those of its windows; the last axes' windows have each their own."""
    parted = {axis: along for axis, along in axes.items() if len(along.starts) > 1}
    if not parted:
        return lambda x, t: denoisers[0](x, t, *aligned)
    chosen = tiles(parted, "cosine")
    return multidiffusion([*denoisers] * (len(chosen) // len(denoisers)), chosen, *aligned)


def _unshared(denoiser: Denoiser) -> Denoiser:
    """The denoiser, of which other processes, at other prompts maybe, take no part."""

    def unshared(x: Tensor, t: Tensor) -> Tensor:
        with single_process():
            return denoiser(x, t)

    return unshared


def _unled(denoise: ContextDenoiser, context: Tensor) -> Denoiser:
    """The denoiser without guidance."""
    return lambda x, t: denoise(x, t, context)


def _default(value: T | None, default: T) -> T:
    return default if value is None else value


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2g} GB"
