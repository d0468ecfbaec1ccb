"""``lumiere inpaint``: inpaint a masked region of a video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lumiere.cli.conditioned import ConditionedOptions, conditioned_options, read_region, region_options
from lumiere.cli.options import path_type


@click.command()
@click.argument("video", type=path_type)
@click.argument("prompt", default="")
@region_options
@click.option(
    "--padding-mask-crop",
    type=click.IntRange(0),
    metavar="PIXELS",
    help="Crop to the mask and this many pixels around it, for more detail; the video's size is kept.",
)
@conditioned_options()
def command(
    video: Path, prompt: str, padding_mask_crop: int | None, options: ConditionedOptions, **region: Any
) -> None:
    """Inpaint a masked region of VIDEO, following PROMPT, and print the clip's path.

    Give the region as a --mask, a --box or a --polygon. Pixels outside it are kept.

    \b
    lumiere inpaint frog.mp4 "a crab on a purple background" --box 32,32,96,96
    lumiere inpaint pond.mp4 "a frog on a green background" --box 16,64,80,128 --padding-mask-crop 8
    lumiere inpaint frog.mp4 --mask mask.png --size source --out clean.mp4
    """
    path = options.output(video, "inpainted")
    from lumiere.conditions import inpaint
    from lumiere.io.video import Clip

    clip = Clip.load(video)
    mask = read_region(clip.height, clip.width, **region)
    options.make(inpaint(clip, mask), prompt, path, clip.fps, sound=video, padding=padding_mask_crop)
