"""``lumiere animate``: animate an image."""

from __future__ import annotations

from pathlib import Path

import click

from lumiere.cli.conditioned import ConditionedOptions, conditioned_options, frames_option
from lumiere.cli.options import path_type


@click.command()
@click.argument("image", type=path_type)
@click.argument("prompt", default="")
@frames_option
@conditioned_options()
def command(image: Path, prompt: str, frames: int | None, options: ConditionedOptions) -> None:
    """Animate IMAGE (first-frame conditioning), following PROMPT, and print the clip's path.

    \b
    lumiere animate frog.png
    lumiere animate frog.png "a frog moving left on a purple background" --size source --out frog.mp4
    """
    path = options.output(image, "animated")
    from lumiere.conditions import from_image

    options.make(from_image(image, frames), prompt, path)
