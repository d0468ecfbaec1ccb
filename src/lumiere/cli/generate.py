"""``lumiere generate``: generate a clip from a prompt."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lumiere.batch.note import noted
from lumiere.cli.loading import kept, load
from lumiere.cli.options import (
    MOST_FRAMES,
    FloatRange,
    check_alpha,
    check_offload,
    check_style,
    device_option,
    dtype_option,
    guidance_option,
    interval_option,
    lora_options,
    model_option,
    negative_option,
    offload_option,
    overwrite_option,
    parse_size,
    path_type,
    pick_device,
    pick_dtype,
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
from lumiere.io.files import slug

if TYPE_CHECKING:
    from lumiere.pipelines.text_to_video import LumierePipeline
    from lumiere.style import Style

SCHEDULERS = ["ddim", "dpm++", "euler"]
SWEEP = (0.0, 0.25, 0.5, 0.75, 1.0)

style_option, *_alpha_options = style_options
#: of the verbs that sample with a finished style
sampling_options = (style_option, *lora_options, offload_option)
_OPTIONS = (
    click.option(
        "--out",
        type=path_type,
        help="Write to this file (.mp4, .webm, .gif or .webp), or to a folder for PNG frames.  "
        "[default: PROMPT-SEED.mp4]",
    ),
    click.option(
        "--frames", type=click.IntRange(1, MOST_FRAMES), help="Frames of the clip.  [default: the model's]"
    ),
    click.option(
        "--fps",
        type=FloatRange(0, 1000, min_open=True),
        help="Frame rate in frames per second.  [default: the model's]",
    ),
    click.option("--size", help="Side in pixels, or WIDTHxHEIGHT.  [default: the model's]"),
    upscaler_option,
    steps_option,
    guidance_option,
    interval_option,
    negative_option,
    seed_option,
    click.option(
        "--first-frame-prompt",
        metavar="TEXT",
        help='Prompt for a generated first frame that conditions the clip; "" to disable.  '
        "[default: PROMPT without its motion, with the shipped model]",
    ),
    click.option(
        "--regions",
        metavar="TEXTS",
        help='Prompts of regions, side by side "LEFT | RIGHT" or stacked "TOP / BOTTOM"; "" for one region.  '
        "[default: with the shipped model, one region per object of PROMPT]",
    ),
    click.option(
        "--free-noise",
        is_flag=True,
        help="Reuse the noise of the first window in a clip longer than the model's (FreeNoise).",
    ),
    click.option(
        "--free-init",
        type=click.IntRange(1, 20),
        default=1,
        show_default=True,
        help="Sample so many times, each from the low frequencies of the last result (FreeInit).",
    ),
    *_alpha_options,
    click.option(
        "--alpha-sweep",
        metavar="SHEET",
        type=path_type,
        help="Write a contact sheet (.png, .jpg or .webp) of alphas from 0 to 1 instead of a video.",
    ),
    click.option(
        "--count",
        type=click.IntRange(1, 100_000),
        default=1,
        show_default=True,
        help="Number of clips, with seeds SEED, SEED+1, ...",
    ),
    model_option,
    rewrite_option,
    click.option(
        "--scheduler", type=click.Choice(SCHEDULERS), help="Noise scheduler.  [default: the model's]"
    ),
    device_option,
    dtype_option,
    transparent_option,
    tiling_option,
    overwrite_option,
)


def generate_options(*others: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a verb with PROMPT, the options of :func:`make_clips`, and others."""

    def decorated(function: Callable[..., None]) -> Callable[..., None]:
        for option in reversed((*others, *_OPTIONS)):
            function = option(function)
        return click.argument("prompt")(function)

    return decorated


@click.command()
@generate_options(*sampling_options)
def command(**arguments: Any) -> None:
    """Generate a clip from PROMPT, and print its path.

    The file's metadata holds the generation settings: lumiere show FILE.

    \b
    lumiere generate "a frog growing on a purple background" --out frog.mp4
    lumiere generate "a crab on a blue background" --size 1024
    lumiere generate "an owl moving left" --seed 7 --count 3 --out owl.webp
    lumiere generate "a cat to the left of an owl on a green background"
    lumiere generate "an owl on a yellow background" --style line-art --alpha 0.8
    """
    make_clips(**with_lora(arguments), loop=False)


def make_clips(
    *,
    prompt: str,
    out: Path | None,
    frames: int | None,
    fps: float | None,
    size: str | None,
    upscaler: str | None,
    steps: int | None,
    guidance: float | None,
    guidance_interval: tuple[float, float] | None,
    negative: str,
    seed: int | None,
    first_frame_prompt: str | None,
    regions: str | None,
    style: Path | Callable[[LumierePipeline], Style] | None,
    free_noise: bool,
    free_init: int,
    alpha: float | None,
    extrapolate: bool,
    alpha_sweep: Path | None,
    count: int,
    model: str,
    no_rewrite: bool,
    scheduler: str | None,
    device: str | None,
    dtype: str,
    transparent: bool,
    vae_tiling: bool,
    overwrite: bool,
    loop: bool,
    offload: str | None = None,
) -> None:
    """Generate clips, and print their paths.

    Args:
        style: path of a style, or a function that fits one to the model.
    """
    if not prompt.strip():
        raise InputError("the prompt is empty; describe the clip")
    target = parse_size(size)[::-1] if size is not None else None
    if upscaler is not None and target is None:
        raise InputError(f"--upscaler {upscaler} needs a --size, such as --size 1024")
    if callable(style):
        check_alpha(alpha, extrapolate)
    else:
        check_style(style, alpha, extrapolate)
    check_offload(offload, device)
    seed = secrets.randbelow(2**32) if seed is None else seed
    seeds = range(seed, seed + count)

    from lumiere.io.files import check_output
    from lumiere.io.video import PICTURE_ENDINGS, check_rate

    if alpha_sweep is None:
        paths = [output_path(out, prompt, each, count, default_ending(transparent)) for each in seeds]
    else:
        useless = {"--out": out, "--count": count > 1, "--size": size, "--alpha": alpha is not None}
        _check_sweep(alpha_sweep, style is not None, useless)
        paths = [alpha_sweep]
    for path in paths:
        check_output(path, overwrite, clip_endings(transparent) if alpha_sweep is None else PICTURE_ENDINGS)
        check_rate(path, fps)

    from lumiere.diffusion.sampling import make_scheduler
    from lumiere.io import bundle
    from lumiere.pipelines.inputs import base_size, check_request
    from lumiere.pipelines.regions import Regions
    from lumiere.pipelines.text_to_video import LumierePipeline
    from lumiere.style import Style

    by_region = Regions.parse(regions) if regions else regions
    place = pick_device(device)
    folder = bundle.resolve(model)
    asked = model_prompt(prompt, folder, rewrite=not (no_rewrite or regions))
    codec = kept(
        "codec", (folder, place, dtype, offload, vae_tiling), lambda: _codec(folder, pick_dtype(dtype, place))
    )  # small, and its factor decides which sizes are possible
    height, width = target or (None, None)
    larger = None
    if target is not None:
        settings = bundle.index(folder)
        frames = frames or settings["frames"]
        upscaler = upscaler or settings.get("upscaler")
        # Without a super-resolution model of its own, a model samples at the size itself.
        height, width = base_size(*target, settings["size"], codec.factor) if upscaler else target
        check_request([asked], frames, height, width, codec.factor)
        if upscaler is not None and (height, width) != target:
            from lumiere.pipelines.superres import UpscalePipeline, target_size

            target_size(height, width, target)
            larger = load(UpscalePipeline, upscaler, place, dtype, offload)
            larger.check_memory(frames, target)
    pipe = load(LumierePipeline, folder, place, dtype, offload, vae_tiling, codec=codec)
    if scheduler is not None:
        pipe.scheduler = make_scheduler(scheduler, pipe.scheduler.config)
    applied_style = Style.from_pretrained(style) if isinstance(style, Path) else style and style(pipe)
    sampled = partial(
        pipe,
        asked,
        num_frames=frames,
        height=height,
        width=width,
        fps=fps,
        num_inference_steps=steps,
        guidance_scale=guidance,
        guidance_interval=guidance_interval,
        negative_prompt=negative,
        first_frame_prompt=first_frame_prompt,
        regions=by_region,
        loop=loop,
        free_noise=free_noise,
        free_init=free_init,
        style=applied_style,
    )

    if alpha_sweep is not None:
        from lumiere.io.sheet import contact_sheet
        from lumiere.io.video import save_picture

        clips = []
        for each in SWEEP:
            pipe.set_progress_bar_config(desc=f"alpha {each:g}", unit="step")
            clips.append(sampled(alpha=each, seed=seed))
        sheet = contact_sheet(clips, labels=[f"alpha {each:g}" for each in SWEEP])
        save_picture(sheet, alpha_sweep, overwrite)
        click.echo(f"seed {seed}", err=True)
        click.echo(alpha_sweep)
        return
    for number, (path, each) in enumerate(zip(paths, seeds, strict=True), 1):
        which = f" {number} of {count}" if count > 1 else ""
        pipe.set_progress_bar_config(desc=f"sampling{which}", unit="step")
        clip = sampled(alpha=alpha, seed=each)
        clip = replace(clip, metadata=noted(with_user_prompt(clip.metadata, prompt)))
        if larger is None or target is None:
            click.echo(save_clip(clip, path, transparent, overwrite))
        elif transparent:
            click.echo(save_clip(larger(clip, target, seed=each), path, transparent, overwrite))
        else:
            larger.set_progress_bar_config(desc=f"upscaling{which}", unit="window")
            footage: tuple[Any, ...] = clip.frames, len(clip), target, clip.fps, clip.metadata
            click.echo(larger.write(path, *footage, seed=each, overwrite=overwrite))


def _codec(folder: Path, dtype: Any) -> Any:
    from lumiere.io import bundle

    bundle.verify(folder)
    bundle.check_index(folder, "LumierePipeline")
    return bundle.load_component(folder, "codec", dtype)


def _check_sweep(sheet: Path, styled: bool, useless: Mapping[str, Any]) -> None:
    """Raise :class:`InputError` for a missing style, or options that a sweep over alpha does not use."""
    if not styled:
        raise InputError("--alpha-sweep needs a --style")
    for option, given in useless.items():
        if given:
            raise InputError(f"--alpha-sweep writes {sheet} instead of a video; leave out {option}")


def output_path(out: Path | None, prompt: str, seed: int, count: int, ending: str = ".mp4") -> Path:
    """The path of the clip of ``seed``: ``out``, with the seed in its name if there are several clips."""
    if out is None:
        return Path(f"{slug(prompt)}-{seed}{ending}")
    return out if count == 1 else out.with_name(f"{out.stem}-{seed}{out.suffix}")
