"""``lumiere cinemagraph``: a region of an image begins to move."""

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
def command(image: Path, prompt: str, frames: int, options: ConditionedOptions, **region: Any) -> None:
    """Make a clip of IMAGE in which a region moves and the rest stands still, and print the name of its file.

    The region is white in a --mask, or inside a --box or a --polygon.

    \b
    lumiere cinemagraph frog.png --mask region.png
    lumiere cinemagraph frog.png "a frog on a purple background" --box 32,32,96,96 --feather 4
    """
    path = options.output(image, "cinemagraph")
    from lumiere.conditions import cinemagraph, read_picture

    picture = read_picture(image)
    moving = read_region(*picture.shape[:2], **region)
    options.make(cinemagraph(picture, moving, frames), prompt, path)
