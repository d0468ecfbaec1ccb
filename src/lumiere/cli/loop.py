"""``lumiere loop``: a prompt becomes a clip without a seam."""

from __future__ import annotations

from typing import Any

import click

from lumiere.cli.generate import generate_options, make_clips, style_option


@click.command()
@generate_options(style_option)
def command(**arguments: Any) -> None:
    """Make a clip of what PROMPT says whose last frame leads into its first, and print the name of its file.

    \b
    lumiere loop "a frog on a purple background" --out frog.gif
    lumiere loop "a crab on a blue background" --frames 160
    """
    make_clips(**arguments, loop=True)
