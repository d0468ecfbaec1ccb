"""``lumiere generate``: a prompt becomes a clip in a file."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lumiere.cli.options import (
    device_option,
    guidance_option,
    model_option,
    negative_option,
    overwrite_option,
    parse_size,
    path_type,
    pick_device,
    seed_option,
    steps_option,
    upscaler_option,
)
from lumiere.errors import InputError

SLUG_LENGTH = 60
SCHEDULERS = ["ddim", "dpm++", "euler"]


_OPTIONS = (
    click.option(
        "--out",
        type=path_type,
        help="File to write (.mp4, .webm, .gif or .webp), or a folder for PNGs.  [default: PROMPT-SEED.mp4]",
    ),
    click.option(
        "--frames", type=click.IntRange(min=1), default=80, show_default=True, help="Frames of the clip."
    ),
    click.option(
        "--fps",
        type=click.FloatRange(0, 1000, min_open=True),
        help="Frames per second.  [default: the model's]",
    ),
    click.option("--size", help="Side in pixels, or WIDTHxHEIGHT.  [default: the model's]"),
    upscaler_option,
    steps_option,
    guidance_option,
    negative_option,
    seed_option,
    click.option(
        "--count",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Clips, of seeds SEED, SEED+1, ...",
    ),
    model_option,
    click.option("--scheduler", type=click.Choice(SCHEDULERS), help="[default: the model's]"),
    device_option,
    overwrite_option,
)


def generate_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the prompt and the options of :func:`make_clips`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return click.argument("prompt")(function)


@click.command()
@generate_options
def command(**arguments: Any) -> None:
    """Make a clip of what PROMPT says, and print the name of its file.

    The settings that made it are in the file: lumiere show FILE.

    \b
    lumiere generate "a frog growing on a purple background" --out frog.mp4
    lumiere generate "a crab on a blue background" --size 1024
    lumiere generate "an owl moving left" --seed 7 --count 3 --out owl.webp
    """
    make_clips(**arguments, loop=False)


def make_clips(
    *,
    prompt: str,
    out: Path | None,
    frames: int,
    fps: float | None,
    size: str | None,
    upscaler: str | None,
    steps: int | None,
    guidance: float | None,
    negative: str,
    seed: int | None,
    count: int,
    model: str,
    scheduler: str | None,
    device: str | None,
    overwrite: bool,
    loop: bool,
) -> None:
    """Make the clips that the options ask for, and print the names of their files."""
    if not prompt.strip():
        raise InputError("the prompt is empty; say what is to be seen")
    target = parse_size(size)[::-1] if size is not None else None
    if upscaler is not None and target is None:
        raise InputError("--upscaler needs a --size to make, such as --size 1024")
    seed = secrets.randbelow(2**32) if seed is None else seed
    seeds = range(seed, seed + count)
    paths = [output_path(out, prompt, each, count) for each in seeds]

    from lumiere.files import check_output
    from lumiere.video.clip import ENDINGS

    for path in paths:
        check_output(path, overwrite, ENDINGS)

    from lumiere.diffusion.sampling import make_scheduler
    from lumiere.models import bundle
    from lumiere.pipeline import LumierePipeline, base_size, check_request

    place = pick_device(device)
    folder = bundle.resolve(model)
    bundle.verify(folder)
    codec = bundle.load_component(folder, "codec")  # small, and knows which sizes there can be
    height, width = target or (None, None)
    larger = None
    if target is not None:
        height, width = base_size(*target, bundle.index(folder)["size"], codec.factor)
        check_request([prompt], frames, height, width, codec.factor)
        if (height, width) != target:
            from lumiere.superres import UpscalePipeline, target_size

            target_size(height, width, target)
            larger = UpscalePipeline.from_pretrained(upscaler or "emoji-upscaler").to(place)
    pipe = LumierePipeline.from_pretrained(folder, codec=codec).to(place)
    if scheduler is not None:
        pipe.scheduler = make_scheduler(scheduler, pipe.scheduler.config)

    for number, (path, each) in enumerate(zip(paths, seeds, strict=True), 1):
        which = f" {number} of {count}" if count > 1 else ""
        pipe.set_progress_bar_config(desc=f"sampling{which}", unit="step")
        clip = pipe(
            prompt,
            num_frames=frames,
            height=height,
            width=width,
            fps=fps,
            num_inference_steps=steps,
            guidance_scale=guidance,
            negative_prompt=negative,
            seed=each,
            loop=loop,
        )
        if larger is None:
            click.echo(clip.save(path, overwrite=overwrite))
        else:
            larger.set_progress_bar_config(desc=f"upscaling{which}", unit="window")
            footage = clip.frames, len(clip), target, clip.fps, clip.metadata
            click.echo(larger.write(path, *footage, seed=each, overwrite=overwrite))


def output_path(out: Path | None, prompt: str, seed: int, count: int) -> Path:
    """Where the clip of ``seed`` goes: ``out``, with the seed in its name if there are several clips."""
    if out is None:
        slug = re.sub(r"[\W_]+", "-", prompt.lower()).strip("-")[:SLUG_LENGTH].rstrip("-")
        return Path(f"{slug or 'clip'}-{seed}.mp4")
    return out if count == 1 else out.with_name(f"{out.stem}-{seed}{out.suffix}")
