"""``lumiere extend``: extend a video."""

from __future__ import annotations

from pathlib import Path

import click

from lumiere.cli.conditioned import ConditionedOptions, conditioned_options
from lumiere.cli.options import MOST_FRAMES, path_type


@click.command()
@click.argument("video", type=path_type)
@click.argument("prompt", default="")
@click.option(
    "--frames",
    type=click.IntRange(2, MOST_FRAMES),
    help="Frames of the extended video.  [default: the video's and the model's together]",
)
@click.option(
    "--given",
    type=click.IntRange(1, MOST_FRAMES),
    help="Known frames at the start of each window.  [default: 16, at most half of the model's]",
)
@conditioned_options()
def command(
    video: Path, prompt: str, frames: int | None, given: int | None, options: ConditionedOptions
) -> None:
    """Extend VIDEO to --frames frames, following PROMPT, and print the clip's path.

    The video is extended in windows as long as the model's clips, each conditioned on the last --given frames
    before it.

    \b
    lumiere extend frog.mp4 --frames 400
    lumiere extend frog.mp4 "a frog on a purple background" --frames 240 --out longer.mp4
    """
    path = options.output(video, "extended")
    from lumiere.conditions import continue_from
    from lumiere.io.video import Clip

    clip = Clip.load(video)
    pipe = options.load()
    asked = options.model_prompt(prompt)
    options.note_clamping(pipe)
    frames = min(len(clip) + pipe.config["frames"], MOST_FRAMES) if frames is None else frames
    longer = pipe.extend(clip, frames, asked, known_frames=given, fps=options.fps, **options.sampling())
    options.write(options.at_size(longer, continue_from(clip, len(clip), frames)), path, prompt)
