"""``lumiere transition``: a clip from one image to another."""

from __future__ import annotations

from pathlib import Path

import click

from lumiere.cli.conditioned import Making, frames_option, making_options
from lumiere.cli.options import path_type


@click.command()
@click.argument("first", type=path_type)
@click.argument("last", type=path_type)
@click.argument("prompt", default="")
@frames_option
@making_options()
def command(first: Path, last: Path, prompt: str, frames: int, making: Making) -> None:
    """Make a clip that begins with the image FIRST and ends with LAST, and print the name of its file.

    \b
    lumiere transition small.png large.png "a frog growing on a purple background" --out frog.mp4
    """
    path = making.output(first, "transition")
    from lumiere.conditions import from_frames

    making.make(from_frames({0: first, frames - 1: last}, frames), prompt, path)
