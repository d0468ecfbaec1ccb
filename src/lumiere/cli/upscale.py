"""``lumiere upscale``: upscale a video with MultiDiffusion."""

from __future__ import annotations

from pathlib import Path

import click

from lumiere.batch.note import noted
from lumiere.cli.loading import load
from lumiere.cli.options import (
    FloatRange,
    check_offload,
    device_option,
    dtype_option,
    offload_option,
    overwrite_option,
    parse_size,
    path_type,
    steps_option,
)
from lumiere.errors import InputError

WEIGHTS = ["flat", "pyramid", "cosine"]


@click.command()
@click.argument("file", type=path_type)
@click.option(
    "--model",
    default="emoji-upscaler",
    show_default=True,
    help="Shipped super-resolution model, or a model's folder.",
)
@click.option("--size", default="1024", show_default=True, help="Longer side in pixels, or WIDTHxHEIGHT.")
@click.option(
    "--out",
    type=path_type,
    help="Write to this file (.mp4, .webm, .gif or .webp), or to a folder for PNG frames.  "
    "[default: FILE-SIZE.mp4]",
)
@click.option("--window", type=click.IntRange(1), help="Frames per window.  [default: the model's]")
@click.option(
    "--overlap", type=click.IntRange(0), help="Overlap of windows, in frames.  [default: the model's]"
)
@click.option(
    "--weights",
    type=click.Choice(WEIGHTS),
    default="flat",
    show_default=True,
    help="Weights that average overlapping predictions.",
)
@click.option(
    "--tile",
    type=click.IntRange(1),
    help="Longest side of a spatial tile in pixels; smaller tiles need less memory.  [default: the model's]",
)
@steps_option
@click.option("--prompt", help="Prompt, for a text-conditioned model.  [default: from the file's metadata]")
@click.option(
    "--noise-level",
    type=FloatRange(0, 1),
    help="Noise added to the source (noise conditioning augmentation).  [default: the model's]",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**53), default=0, show_default=True, help="Seed of the noise."
)
@device_option
@offload_option
@dtype_option
@overwrite_option
def command(
    file: Path,
    model: str,
    size: str,
    out: Path | None,
    window: int | None,
    overlap: int | None,
    weights: str,
    tile: int | None,
    steps: int | None,
    prompt: str | None,
    noise_level: float | None,
    seed: int,
    device: str | None,
    offload: str | None,
    dtype: str,
    overwrite: bool,
) -> None:
    """Upscale the video FILE with MultiDiffusion, and print the new path.

    Frames are streamed, so that memory does not grow with the length. The frame rate is kept, and so is the
    sound in .mp4 and .webm.

    \b
    lumiere upscale frog.mp4 --size 1024 --out large.mp4
    lumiere upscale holiday.mov --size 1920x1080 --steps 2
    """
    from lumiere.io.files import check_output
    from lumiere.io.video import ENDINGS, stream, usable_sound
    from lumiere.pipelines.superres import UpscalePipeline, target_size

    check_offload(offload, device)
    width, height = parse_size(size)
    info, frames = stream(file)
    target = target_size(info.height, info.width, (height, width) if "x" in size.lower() else width)
    path = out or file.parent / f"{file.resolve().stem}-{max(target)}.mp4"
    if path.resolve() == file.resolve():
        raise InputError(f"{path} is the source itself; choose another name")
    check_output(path, overwrite, ENDINGS)
    sound = usable_sound(file, path)
    pipe = load(UpscalePipeline, model, device, dtype, offload)
    pipe.set_progress_bar_config(desc="upscaling", unit="window")
    written = pipe.write(
        path,
        frames,
        info.frames,
        target,
        info.fps,
        noted(info.metadata),
        sound=sound,
        overwrite=overwrite,
        seed=seed,
        num_inference_steps=steps,
        window=window,
        overlap=overlap,
        weights=weights,
        tile=tile,
        noise_level=noise_level,
        **({} if prompt is None else {"prompt": prompt}),
    )
    click.echo(written)
