"""``lumiere upscale``: upscale a video with MultiDiffusion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
from lumiere.cli.transparent import clip_endings, cut_out, default_ending
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
    "[default: FILE-SIZE.mp4, or .webp with --transparent]",
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
@click.option(
    "--transparent",
    is_flag=True,
    help="Upscale alpha too, and remove the background of a FILE without alpha; write .webp, .png (APNG), "
    ".webm or .gif.",
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
    transparent: bool,
    device: str | None,
    offload: str | None,
    dtype: str,
    overwrite: bool,
) -> None:
    """Upscale the video FILE with MultiDiffusion, and print the new path.

    Frames are streamed, so that memory does not grow with the length, unless they are transparent. The frame
    rate is kept, and so is the sound in .mp4 and .webm.

    \b
    lumiere upscale frog.mp4 --size 1024 --out large.mp4
    lumiere upscale holiday.mov --size 1920x1080 --steps 2
    lumiere upscale frog.webp --size 512 --transparent
    """
    from lumiere.io.files import check_output
    from lumiere.io.video import check_rate, stream, usable_sound
    from lumiere.io.video.reading import read
    from lumiere.pipelines.superres import UpscalePipeline, target_size

    check_offload(offload, device)
    width, height = parse_size(size)
    info, frames = stream(file)
    target = target_size(info.height, info.width, (height, width) if "x" in size.lower() else width)
    path = out or file.parent / f"{file.resolve().stem}-{max(target)}{default_ending(transparent)}"
    if path.resolve() == file.resolve():
        raise InputError(f"{path} is the source itself; choose another name")
    check_output(path, overwrite, clip_endings(transparent))
    if transparent:
        check_rate(path, float(info.fps))
    cutout = cut_out(read(file, alpha=True)[0]) if transparent else None
    sound = usable_sound(file, path)
    pipe = load(UpscalePipeline, model, device, dtype, offload)
    pipe.set_progress_bar_config(desc="upscaling", unit="window")
    options: dict[str, Any] = {
        "seed": seed,
        "num_inference_steps": steps,
        "window": window,
        "overlap": overlap,
        "weights": weights,
        "tile": tile,
        "noise_level": noise_level,
        **({} if prompt is None else {"prompt": prompt}),
    }
    metadata = noted(info.metadata)
    if cutout is None:
        click.echo(
            pipe.write(
                path,
                frames,
                info.frames,
                target,
                info.fps,
                metadata,
                sound=sound,
                overwrite=overwrite,
                **options,
            )
        )
        return
    from lumiere.io.video.transparent import save_transparent
    from lumiere.pipelines.superres_alpha import upscale_transparent

    large, note = upscale_transparent(pipe, cutout, target, metadata, **options)
    click.echo(save_transparent(path, large, info.fps, note, overwrite))
