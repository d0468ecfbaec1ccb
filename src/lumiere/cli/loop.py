"""``lumiere loop``: generate a seamless loop from a prompt."""

from __future__ import annotations

from typing import Any

import click

from lumiere.cli.generate import generate_options, make_clips, style_option


@click.command()
@generate_options(style_option)
def command(**arguments: Any) -> None:
    """Generate a seamless loop from PROMPT, whose last frame leads into its first, and print its path.

    \b
    lumiere loop "a frog on a purple background" --out frog.gif
    lumiere loop "a crab on a blue background" --frames 160
    """
    make_clips(**arguments, loop=True)
