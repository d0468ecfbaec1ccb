"""``lumiere loop``: generate a seamless loop from a prompt."""

from __future__ import annotations

from typing import Any

import click

from lumiere.cli.generate import generate_options, make_clips, sampling_options
from lumiere.cli.options import with_lora


@click.command()
@generate_options(*sampling_options)
def command(**arguments: Any) -> None:
    """Generate a seamless loop from PROMPT, whose last frame leads into its first, and print its path.

    \b
    lumiere loop "a frog on a purple background" --out frog.gif
    lumiere loop "a crab on a blue background" --frames 160
    """
    make_clips(**with_lora(arguments), loop=True)
