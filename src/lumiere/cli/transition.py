"""``lumiere transition``: interpolate between a first and a last frame."""

from __future__ import annotations

from pathlib import Path

import click

from lumiere.cli.conditioned import ConditionedOptions, conditioned_options, frames_option
from lumiere.cli.options import path_type


@click.command()
@click.argument("first", type=path_type)
@click.argument("last", type=path_type)
@click.argument("prompt", default="")
@frames_option
@conditioned_options()
def command(first: Path, last: Path, prompt: str, frames: int | None, options: ConditionedOptions) -> None:
    """Interpolate between the images FIRST and LAST, following PROMPT, and print the clip's path.

    \b
    lumiere transition small.png large.png "a frog growing on a purple background" --out frog.mp4
    """
    path = options.output(first, "transition")
    from lumiere.conditions import from_frames

    options.make(from_frames({0: first, -1: last}, frames), prompt, path)
