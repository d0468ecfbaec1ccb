"""``lumiere outpaint``: outpaint a video onto a larger canvas."""

from __future__ import annotations

import re
from pathlib import Path

import click

from lumiere.cli.conditioned import ConditionedOptions, conditioned_options
from lumiere.cli.options import parse_size, path_type
from lumiere.errors import InputError


@click.command()
@click.argument("video", type=path_type)
@click.argument("prompt", default="")
@click.option("--canvas", required=True, help="Size of the canvas: WIDTHxHEIGHT, in pixels of the video.")
@click.option("--at", help="Position of the video's top left corner: X,Y.  [default: centred]")
@conditioned_options()
def command(video: Path, prompt: str, canvas: str, at: str | None, options: ConditionedOptions) -> None:
    """Outpaint VIDEO onto a larger canvas, following PROMPT, and print the clip's path.

    \b
    lumiere outpaint frog.mp4 "a frog on a purple background" --canvas 192x128
    lumiere outpaint frog.mp4 --canvas 192x192 --at 0,64 --size source --out wide.mp4
    """
    path = options.output(video, "outpainted")
    width, height = parse_size(canvas)
    match = re.fullmatch(r"(\d+),(\d+)", at) if at is not None else None
    if at is not None and match is None:
        raise InputError(f"--at is {at!r}; give X,Y in whole pixels, such as 0,64")
    from lumiere.conditions import outpaint
    from lumiere.io.video import Clip

    clip = Clip.load(video)
    column, row = (
        map(int, match.groups()) if match else ((width - clip.width) // 2, (height - clip.height) // 2)
    )
    options.make(outpaint(clip, (height, width), (row, column)), prompt, path, clip.fps, sound=video)
