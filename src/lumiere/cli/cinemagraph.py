"""``lumiere cinemagraph``: animate a region of an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lumiere.cli.conditioned import (
    ConditionedOptions,
    conditioned_options,
    frames_option,
    read_region,
    region_options,
)
from lumiere.cli.options import path_type


@click.command()
@click.argument("image", type=path_type)
@click.argument("prompt", default="")
@region_options
@frames_option
@conditioned_options()
def command(image: Path, prompt: str, frames: int | None, options: ConditionedOptions, **region: Any) -> None:
    """Animate a region of IMAGE (cinemagraph), and print the clip's path.

    Give the region as a --mask, a --box or a --polygon. The rest of the image stays still.

    \b
    lumiere cinemagraph frog.png --mask region.png
    lumiere cinemagraph frog.png "a frog on a purple background" --box 32,32,96,96 --feather 4
    """
    path = options.output(image, "cinemagraph")
    from lumiere.conditions import cinemagraph
    from lumiere.io.pictures import read_picture

    picture = read_picture(image)
    moving = read_region(*picture.shape[:2], **region)
    options.make(cinemagraph(picture, moving, frames), prompt, path)
