"""Options of the verbs that condition a clip on an image or a video, and sampling it into a file."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lumiere.batch.note import noted
from lumiere.cli.loading import load
from lumiere.cli.options import (
    MOST_FRAMES,
    FloatRange,
    check_offload,
    check_style,
    device_option,
    dtype_option,
    guidance_option,
    lora_options,
    model_option,
    negative_option,
    offload_option,
    overwrite_option,
    parse_size,
    path_type,
    seed_option,
    steps_option,
    style_options,
    tiling_option,
    upscaler_option,
    with_lora,
)
from lumiere.cli.prompts import model_prompt, rewrite_option, with_user_prompt
from lumiere.cli.transparent import clip_endings, default_ending, save_clip, transparent_option
from lumiere.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from lumiere.conditions import Condition
    from lumiere.io.video import Clip
    from lumiere.pipelines.text_to_video import LumierePipeline

frames_option = click.option(
    "--frames", type=click.IntRange(2, MOST_FRAMES), help="Frames of the clip.  [default: the model's]"
)
_OUT = click.option(
    "--out",
    type=path_type,
    help="Write to this file (.mp4, .webm, .gif or .webp), or to a folder for PNG frames.  "
    "[default: NAME-VERB.mp4]",
)
_OPTIONS = (
    upscaler_option,
    click.option(
        "--fps",
        type=FloatRange(0, 1000, min_open=True),
        help="Frame rate in frames per second.  [default: the source's, or the model's]",
    ),
    steps_option,
    guidance_option,
    negative_option,
    seed_option,
    *style_options,
    *lora_options,
    click.option(
        "--resample",
        type=click.IntRange(1, 100),
        default=1,
        show_default=True,
        help="Take each step so many times (RePaint), for a model that was not trained on conditions.",
    ),
    click.option(
        "--no-composite",
        is_flag=True,
        help="Keep the model's output in the known region, instead of compositing the source over it.",
    ),
    model_option,
    rewrite_option,
    device_option,
    offload_option,
    tiling_option,
    dtype_option,
    transparent_option,
    overwrite_option,
)


@dataclass(frozen=True)
class ConditionedOptions:
    """The options that these verbs share."""

    out: Path | None
    size: str | None
    upscaler: str | None
    fps: float | None
    steps: int | None
    guidance: float | None
    negative: str
    seed: int | None
    style: Path | None
    alpha: float | None
    extrapolate: bool
    resample: int
    no_composite: bool
    model: str
    no_rewrite: bool
    device: str | None
    offload: str | None
    vae_tiling: bool
    dtype: str
    transparent: bool
    overwrite: bool

    def __post_init__(self) -> None:
        check_style(self.style, self.alpha, self.extrapolate)
        check_offload(self.offload, self.device)

    def output(self, source: Path, verb: str) -> Path:
        """The output path. Raises :class:`InputError`, before any work, if it cannot be written."""
        from lumiere.io import bundle
        from lumiere.io.files import check_output
        from lumiere.io.video import check_rate

        path = self.out or Path(f"{source.resolve().stem}-{verb}{default_ending(self.transparent)}")
        if path.resolve() == source.resolve():
            raise InputError(f"{path} is the source itself; choose another name")
        check_output(path, self.overwrite, clip_endings(self.transparent))
        check_rate(path, self.fps)
        if self.size not in (None, "source"):
            parse_size(self.size)
        if self.upscaler is not None:
            if self.size is None:
                raise InputError(f"--upscaler {self.upscaler} needs a --size above the base model's")
            bundle.resolve(self.upscaler)
        return path

    def load(self) -> LumierePipeline:
        """Load the model. Raises :class:`InputError` if there is none."""
        from lumiere.pipelines.text_to_video import LumierePipeline

        pipe = load(LumierePipeline, self.model, self.device, self.dtype, self.offload, self.vae_tiling)
        pipe.set_progress_bar_config(desc="sampling", unit="step")
        return pipe

    def sampling(self) -> dict[str, Any]:
        """Keyword arguments of the pipeline's call."""
        return {
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
            "negative_prompt": self.negative,
            "seed": self.seed,
            "style": self.style,
            "alpha": self.alpha,
            "composite": not self.no_composite,
            "resample": self.resample,
        }

    def make(
        self,
        condition: Condition,
        prompt: str,
        path: Path,
        fps: Any = None,
        sound: Path | None = None,
        padding: int | None = None,
    ) -> None:
        """Sample a conditioned clip, save it, and print its path.

        Args:
            fps: frame rate without --fps.
            sound: a file whose sound is copied.
            padding: sample only the unknown region and this many pixels around it, at the model's full size.
        """
        from lumiere.io.video import usable_sound

        sound = None if self.fps else usable_sound(sound, path)
        part, box = (condition, None) if padding is None else condition.crop_to_unknown(padding)
        pipe = self.load()
        clip = self.sample(pipe, self.model_prompt(prompt), condition=part, fps=fps)
        if box is not None:
            frames = condition.paste(clip.frames, box)
            clip = replace(clip, frames=frames if self.no_composite else condition.composite(frames))
        if (psnr := clip.metadata["known_psnr"]) is not None:
            click.echo(f"PSNR of the known region before compositing: {psnr:.1f} dB", err=True)
        self.write(self.at_size(clip, condition), path, prompt, sound)

    def sample(self, pipe: LumierePipeline, prompt: str, fps: Any = None, **options: Any) -> Clip:
        """Sample a clip at the model's size.

        Args:
            fps: frame rate without --fps.
            options: keyword arguments of the pipeline's call.
        """
        if options.get("condition") is not None:
            self.note_clamping(pipe)
        clip: Clip = pipe(prompt, fps=self.fps or fps, **self.sampling(), **options)
        return clip

    def note_clamping(self, pipe: LumierePipeline) -> None:
        """Tell the user of a model that was not trained on conditions what is done instead."""
        if not pipe.unet.config.condition_channels:
            click.echo(
                f"note: {self.model} was not trained on conditions: known latents are clamped at every step;"
                " --resample 4 fits the rest to them",
                err=True,
            )

    def model_prompt(self, prompt: str) -> str:
        """The prompt that the model gets; see :func:`lumiere.cli.prompts.model_prompt`."""
        return model_prompt(prompt, self.model, rewrite=not self.no_rewrite, source=True)

    def write(self, clip: Clip, path: Path, prompt: str, sound: Path | None = None) -> None:
        """Save a clip and print its path; the sound of a file is copied unless --fps changes the rate.

        Args:
            prompt: as the user wrote it.
        """
        clip = replace(clip, metadata=noted(with_user_prompt(clip.metadata, prompt)))
        copied = None if self.fps else sound
        click.echo(save_clip(clip, path, self.transparent, self.overwrite, copied))

    def at_size(self, clip: Clip, condition: Condition) -> Clip:
        """Resize the clip to --size, and composite the known region at that size."""
        from lumiere.io import bundle
        from lumiere.io.video import resize
        from lumiere.pipelines.superres import UpscalePipeline

        height, width = self._target(clip, condition)
        if (height, width) == (clip.height, clip.width):
            return clip
        if height >= clip.height and width >= clip.width:
            upscaler = self.upscaler or bundle.index(bundle.resolve(self.model)).get("upscaler")
            if upscaler is None:
                click.echo(f"{self.model} has no upscaler: resizing to {width}x{height}", err=True)
            else:
                larger = load(UpscalePipeline, upscaler, self.device, self.dtype, self.offload)
                clip = larger(clip, (height, width))
        frames = resize(clip.frames, height, width)
        if not self.no_composite:
            frames = condition.resized(height, width).composite(frames)
        return replace(clip, frames=frames)

    def _target(self, clip: Clip, condition: Condition) -> tuple[int, int]:
        if self.size is None:
            return clip.height, clip.width
        if self.size == "source":
            return condition.height, condition.width
        width, height = parse_size(self.size)
        if "x" in self.size.lower():
            return height, width
        scale = width / max(condition.height, condition.width)
        return max(1, round(condition.height * scale)), max(1, round(condition.width * scale))


def conditioned_options(size: str | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a verb with the shared options, which it receives as a :class:`ConditionedOptions`.

    Args:
        size: default of --size.
    """
    names = {field.name for field in fields(ConditionedOptions)}
    size_option = click.option(
        "--size",
        default=size,
        help="Longer side in pixels, WIDTHxHEIGHT, or source: the size of the input."
        + f"  [default: {size or 'the size of the model'}]",
    )

    def decorated(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def called(**arguments: Any) -> None:
            arguments = with_lora(arguments)
            own = {name: value for name, value in arguments.items() if name not in names}
            function(**own, options=ConditionedOptions(**{name: arguments[name] for name in names}))

        for option in reversed((_OUT, size_option, *_OPTIONS)):
            called = option(called)
        return called

    return decorated


_REGION_OPTIONS = (
    click.option(
        "--mask",
        type=path_type,
        help="Mask of the region, white or opaque inside: an image, or a video of as many frames.",
    ),
    click.option("--box", help="Region as a rectangle: LEFT,TOP,RIGHT,BOTTOM in pixels."),
    click.option("--polygon", help="Region as a polygon: corners in pixels, X,Y X,Y X,Y ..."),
    click.option(
        "--feather", type=FloatRange(0), default=0.0, help="Width of the region's soft edge, in pixels."
    ),
)


def region_options(function: Callable[..., None]) -> Callable[..., None]:
    """Decorate a verb with the options of :func:`read_region`."""
    for option in reversed(_REGION_OPTIONS):
        function = option(function)
    return function


def read_region(
    height: int, width: int, *, mask: Path | None, box: str | None, polygon: str | None, feather: float
) -> np.ndarray:
    """The mask of a region: float32, h x w or t x h x w, 1 inside.

    A mask with the frame's aspect ratio is resized to it.

    Raises:
        InputError: not exactly one of mask, box and polygon is set, or it does not fit the frame.
    """
    from lumiere import conditions

    chosen = sum(each is not None for each in (mask, box, polygon))
    if chosen != 1:
        raise InputError(f"{chosen} of --mask, --box and --polygon are set; give exactly one")
    if mask is not None:
        region = conditions.fit_mask(conditions.read_mask(mask), height, width)
    elif box is not None:
        numbers = _numbers(box, "box", "LEFT,TOP,RIGHT,BOTTOM")
        if len(numbers) != 4:
            raise InputError(f"--box is {box!r}; give LEFT,TOP,RIGHT,BOTTOM, such as 32,32,96,96")
        region = conditions.rectangle(height, width, tuple(numbers))  # type: ignore[arg-type]
    else:
        corners = [_numbers(corner, "polygon", "X,Y X,Y X,Y") for corner in str(polygon).split()]
        region = conditions.polygon(height, width, corners)
    return conditions.feather(region, feather)


def _numbers(text: str, option: str, example: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--{option} is {text!r}; give whole numbers, {example}") from None
