"""A call of the text-to-video pipeline with its defaults filled in, checked before any work is done."""

from __future__ import annotations

import itertools
import math
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from lumiere import conditions
from lumiere.conditions import Condition, VideoInput, read_video
from lumiere.diffusion.freeinit import check_schedule
from lumiere.diffusion.guidance import check_interval
from lumiere.diffusion.sampling import check_scheduler
from lumiere.errors import InputError
from lumiere.io.video import Clip
from lumiere.pipelines.first_frame import FirstFrame, choose_first_frames
from lumiere.pipelines.inputs import check_request, check_seed, check_text, fitted_size
from lumiere.pipelines.outputs import OUTPUT_TYPES
from lumiere.pipelines.regions import Regions
from lumiere.pipelines.travel import Frames, Travel
from lumiere.style import Style

if TYPE_CHECKING:
    from lumiere.pipelines.text_to_video import LumierePipeline

T = TypeVar("T")
Prompt = str | Mapping[Frames, str] | Travel
#: how much of an edited video's noise schedule is run if ``strength`` is not given
EDIT_STRENGTH = 0.6
#: of FreeInit, whose authors use 3 to 5
MOST_ITERATIONS = 20


@dataclass(frozen=True)
class Request:
    """What to sample. Lists have an entry for each clip; see the arguments of the pipeline's call."""

    prompts: list[str]
    #: of the prompts that change over time
    travels: list[Travel | None]
    negative_prompts: list[str]
    regions: list[Regions]
    first_frames: list[FirstFrame]
    seeds: list[int]
    generators: list[torch.Generator]
    condition: Condition | None
    source: np.ndarray | None
    strength: float | int
    composite: bool
    resample: int
    style: Style | None
    alpha: float | int
    loop: bool
    free_noise: bool
    free_init: int
    frame_offset: int
    num_frames: int
    height: int
    width: int
    #: height and width of a region's window, in latents
    window: tuple[int, int]
    fps: float | int | Fraction
    steps: int
    guidance: float | int
    rescale: float | int
    interval: Sequence[float]
    latents: Tensor | None
    prompt_embeds: Tensor | None
    negative_prompt_embeds: Tensor | None
    output_type: str
    #: clips that are sampled together
    batches: list[slice]


def prepare_request(
    pipe: LumierePipeline,
    *,
    prompt: Prompt | Sequence[Prompt] | None,
    image: Any,
    video: VideoInput | None,
    mask_image: Any,
    strength: float | int | None,
    condition: Condition | None,
    composite: bool,
    resample: int,
    first_frame_prompt: str | None,
    regions: Regions | str | None,
    style: Style | str | os.PathLike[str] | None,
    alpha: float | int | None,
    loop: bool,
    free_noise: bool,
    free_init: int,
    frame_offset: int,
    num_frames: int | None,
    height: int | None,
    width: int | None,
    fps: float | int | Fraction | None,
    num_inference_steps: int | None,
    guidance_scale: float | int | None,
    guidance_rescale: float | int | None,
    guidance_interval: Sequence[float] | None,
    negative_prompt: str | Sequence[str] | None,
    num_videos_per_prompt: int,
    seed: Any,
    generator: Any,
    batch_size: int,
    latents: Tensor | None,
    prompt_embeds: Tensor | None,
    negative_prompt_embeds: Tensor | None,
    output_type: str,
) -> Request:
    """Check a call and fill in its defaults.

    Raises:
        InputError: an argument is out of its range, contradicts another, or memory would not suffice.
    """
    check_scheduler(pipe.scheduler)
    config, factor = pipe.config, pipe.codec.factor
    given = _prompts(prompt, prompt_embeds, num_videos_per_prompt)
    prompts = list(map(str, given))
    travels = [each if isinstance(each, Travel) else None for each in given]
    negatives = _negatives(negative_prompt, len(prompts), num_videos_per_prompt)
    for text in (*prompts, *negatives, first_frame_prompt or "", str(regions or "")):
        check_text(text)
    if output_type not in OUTPUT_TYPES:
        raise InputError(f"output_type is {output_type!r}; choose one of {', '.join(OUTPUT_TYPES)}")
    condition, video = _condition(condition, image, video, mask_image)
    if strength is not None and video is None:
        raise InputError(f"strength is {strength}, but there is no video to edit")
    if style is None and alpha is not None:
        raise InputError(f"alpha is {alpha}, but there is no style")
    conditioned = condition is not None or video is not None
    if first_frame_prompt and conditioned:
        raise InputError(
            f"first_frame_prompt is {first_frame_prompt!r}, but the call has a condition or a video already"
        )
    if regions and any(travels):
        raise InputError(f"regions is {str(regions)!r}, but the prompt changes over time; give one of them")
    begin = [each.prompts[0] if isinstance(each, Travel) else each for each in given]
    one_window = bool(first_frame_prompt) or conditioned or any(travels)
    by_clip = _regions(pipe, begin, regions, one_window, prompt_embeds)
    style = style if style is None or isinstance(style, Style) else Style.from_pretrained(style)
    if video is not None and not isinstance(video, Clip | np.ndarray):
        video = Clip.load(video)
    source = None if video is None else read_video(video)
    like = condition or (None if source is None else Clip(source, 1))
    own_length = condition.num_frames if condition is not None else None
    if own_length is None and source is not None:
        own_length = len(source)
    num_frames = default(num_frames, default(own_length, config["frames"]))
    height, width = _size(pipe, height, width, like)
    fps = default(fps, video.fps if isinstance(video, Clip) else config["fps"])
    interval = default(guidance_interval, config["guidance_interval"])
    check_interval(interval)
    texts = itertools.chain(prompts, *(each.prompts for each in by_clip))
    for travel in filter(None, travels):
        travel.check(num_frames)
    check_embeds(prompt_embeds, num_frames)
    may_be_empty = condition is not None or prompt_embeds is not None
    check_request(None if may_be_empty else list(texts), num_frames, height, width, factor)
    from_text = not conditioned and prompt_embeds is None
    first_frames = choose_first_frames(pipe, by_clip, first_frame_prompt, not from_text, frame_offset)
    if condition is not None:
        condition = condition.at(num_frames, height, width)
    elif resample != 1:
        raise InputError(f"resample is {resample}, but there is no condition; leave it out")
    if source is not None and len(source) != num_frames:
        raise InputError(f"the video has {len(source)} frames and the clip {num_frames}; make them alike")
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; give at least 1")
    check_noise_options(pipe, free_noise, free_init, latents is not None, source is not None)
    seeds, generators = _generators(seed, generator, len(prompts), num_videos_per_prompt)
    window = height // factor, width // factor
    canvases = [each.canvas(*window) for each in by_clip]
    if output_type != "clip" and len(set(canvases)) > 1:
        raise InputError(
            f"output_type is {output_type!r}, one tensor, but the prompts' regions differ in number;"
            ' give regions="", or one prompt at a time'
        )
    check_latents(latents, (len(prompts), pipe.codec.channels, num_frames, *canvases[0]))
    guidance = default(guidance_scale, config["guidance"])
    if not guidance >= 0:
        raise InputError(f"guidance is {guidance}; give a number of at least 0 (up to 1 switches it off)")
    if condition is not None and prompt_embeds is None and {*prompts, *negatives} == {prompts[0]}:
        guidance = 1.0  # both predictions would be the same
    batch_size = min(batch_size, len(prompts))
    larger = max(map(math.prod, canvases)) / math.prod(window)
    pipe.check_memory(num_frames, height, width, batch_size, guidance > 1, larger)
    return Request(
        prompts=prompts,
        travels=travels,
        negative_prompts=negatives,
        regions=by_clip,
        first_frames=first_frames,
        seeds=seeds,
        generators=generators,
        condition=condition,
        source=source,
        strength=default(strength, EDIT_STRENGTH),
        composite=composite,
        resample=resample,
        style=style,
        alpha=default(alpha, 1.0),
        loop=loop,
        free_noise=free_noise,
        free_init=free_init,
        frame_offset=frame_offset,
        num_frames=num_frames,
        height=height,
        width=width,
        window=window,
        fps=fps,
        steps=default(num_inference_steps, config["steps"]),
        guidance=max(guidance, 1.0),
        rescale=default(guidance_rescale, config["guidance_rescale"]),
        interval=interval,
        latents=latents,
        prompt_embeds=repeated(prompt_embeds, num_videos_per_prompt),
        negative_prompt_embeds=repeated(negative_prompt_embeds, num_videos_per_prompt),
        output_type=output_type,
        batches=list(_batches(by_clip, batch_size)),
    )


def default(value: T | None, otherwise: T) -> T:
    return otherwise if value is None else value


def repeated(embeds: Tensor | None, count: int) -> Tensor | None:
    return None if embeds is None else embeds.repeat_interleave(count, 0)


def _prompts(
    prompt: Prompt | Sequence[Prompt] | None, embeds: Tensor | None, count: int
) -> list[str | Travel]:
    if count < 1:
        raise InputError(f"num_videos_per_prompt is {count}; give at least 1")
    if (prompt is None) == (embeds is None):
        found = "neither" if prompt is None else "both"
        raise InputError(f"{found} of prompt and prompt_embeds are given; give one of them")
    if embeds is not None:
        return [""] * (len(embeds) * count)
    prompts: list[Any] = [prompt] if isinstance(prompt, str | Mapping | Travel) else list(prompt or ())
    return [Travel.of(each) or each for each in prompts for _ in range(count)]


def _negatives(negative: str | Sequence[str] | None, clips: int, count: int) -> list[str]:
    if negative is None or isinstance(negative, str):
        return [negative or ""] * clips
    if len(negative) * count != clips:
        raise InputError(
            f"there are {len(negative)} negative prompts for {clips // count} prompts; give one, or one each"
        )
    return [each for each in negative for _ in range(count)]


def _condition(
    condition: Condition | None, image: Any, video: VideoInput | None, mask_image: Any
) -> tuple[Condition | None, VideoInput | None]:
    """The condition that the shorthands mean, and the video to edit."""
    if image is not None or mask_image is not None:
        if condition is not None:
            raise InputError("both a condition and image or mask_image are given; give one of them")
        if image is not None and video is not None:
            raise InputError("both image and video are given; give one of them")
        if image is None and video is None:
            raise InputError("mask_image is given without an image or a video; give what it masks")
    if image is not None:
        if mask_image is None:
            return conditions.from_image(image), None
        return conditions.cinemagraph(image, region=mask_image), None
    if mask_image is not None and video is not None:
        return conditions.inpaint(video, mask=mask_image), None
    return condition, video


def _regions(
    pipe: LumierePipeline,
    prompts: Sequence[str],
    regions: Regions | str | None,
    one_window: bool,
    embeds: Tensor | None,
) -> list[Regions]:
    """The regions of each clip. Raises :class:`InputError` for several where there can be but one."""
    if regions and (one_window or embeds is not None):
        what = "prompt_embeds" if embeds is not None else "a condition, a video or a first_frame_prompt"
        raise InputError(f"regions is {str(regions)!r}, but the call has {what} already")
    if regions:
        return [regions if isinstance(regions, Regions) else Regions.parse(regions)] * len(prompts)
    if regions == "" or one_window or embeds is not None or pipe.prompt_parser is None:
        return list(map(Regions.of, prompts))
    return [Regions(pipe.prompt_parser.split_objects(text)) for text in prompts]


def _size(
    pipe: LumierePipeline, height: int | None, width: int | None, like: Condition | Clip | None
) -> tuple[int, int]:
    trained = pipe.config["size"]
    if like is None:
        return default(height, trained), default(width, trained)
    fitted = fitted_size(like.height, like.width, trained, pipe.codec.factor)
    return default(height, fitted[0]), default(width, fitted[1])


def _generators(
    seed: Any,
    generator: Any,
    clips: int,
    per_prompt: int,
) -> tuple[list[int], list[torch.Generator]]:
    """The seed and the generator of each clip; of a prompt's several clips the seeds are consecutive."""
    if generator is not None:
        if seed is not None:
            raise InputError("both seed and generator are given; give one of them")
        if isinstance(generator, torch.Generator):
            return [generator.initial_seed()] * clips, [generator] * clips
        generators = list(generator) if isinstance(generator, list | tuple) else [generator]
        if odd := [each for each in generators if not isinstance(each, torch.Generator)]:
            raise InputError(f"generator is {odd[0]!r:.80}; give a torch.Generator, or a list of one each")
        if len(generators) != clips:
            raise InputError(
                f"there are {len(generators)} generators for {clips} clips; give one, or one each"
            )
        return [each.initial_seed() for each in generators], generators
    if seed is None:
        seeds = [secrets.randbelow(2**32) for _ in range(clips)]
    elif isinstance(seed, list | tuple | range) or (isinstance(seed, np.ndarray | Tensor) and seed.ndim):
        if len(seed) * per_prompt != clips:
            raise InputError(
                f"there are {len(seed)} seeds for {clips // per_prompt} prompts; give one, or one each"
            )
        seeds = [check_seed(each) + number for each in seed for number in range(per_prompt)]
    else:
        seeds = [
            check_seed(seed) + number for _ in range(clips // per_prompt) for number in range(per_prompt)
        ]
    return seeds, [torch.Generator().manual_seed(each) for each in seeds]


def check_noise_options(
    pipe: LumierePipeline, free_noise: bool, free_init: int, latents: bool, video: bool
) -> None:
    """Raise :class:`InputError` for FreeNoise or FreeInit where they cannot help.

    Args:
        latents, video: whether the call has initial noise of its own, or a video to edit.
    """
    if not 1 <= free_init <= MOST_ITERATIONS:
        raise InputError(f"free_init is {free_init}; give 1 (none) to {MOST_ITERATIONS} iterations")
    name = "free_noise" if free_noise else "free_init"
    if free_noise or free_init > 1:
        if video:
            raise InputError(f"{name} is given with a video to edit, whose noise is its own; leave it out")
        if latents:
            raise InputError(f"both {name} and latents are given; give one of them")
    if free_noise and (smoothness := pipe.config["noise_smoothness"]):
        raise InputError(
            f"free_noise shuffles frames of noise; this model's is smooth over {smoothness:g} frames; leave"
            " it out"
        )
    if free_init > 1:
        check_schedule(pipe.scheduler.alphas_cumprod)


def check_embeds(embeds: Tensor | None, num_frames: int) -> None:
    """Raise :class:`InputError` unless contexts of each frame are as many as the clip's frames."""
    if embeds is not None and embeds.ndim == 4 and embeds.shape[1] != num_frames:
        raise InputError(f"prompt_embeds are of {embeds.shape[1]} frames; the clip has {num_frames}")


def check_latents(latents: Tensor | None, shape: tuple[int, ...]) -> None:
    """Raise :class:`InputError` unless initial noise has the shape of the clips' latents."""
    if latents is not None and tuple(latents.shape) != shape:
        raise InputError(f"latents are {tuple(latents.shape)}; these clips' are {shape}")


def _batches(regions: Sequence[Regions], size: int) -> Iterator[slice]:
    """Which clips are sampled together: neighbours, up to ``size`` of them, of the same number of regions."""
    end = 0
    for _, alike in itertools.groupby(regions, key=lambda each: each.shape):
        start, end = end, end + len(list(alike))
        yield from (slice(first, min(first + size, end)) for first in range(start, end, size))
