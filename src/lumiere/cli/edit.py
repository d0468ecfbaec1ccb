"""``lumiere edit``: edit a video with a prompt (SDEdit)."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from lumiere.cli.conditioned import ConditionedOptions, conditioned_options, read_region, region_options
from lumiere.cli.options import FloatRange, path_type
from lumiere.errors import InputError

SWEEP = (0.2, 0.4, 0.6, 0.8, 1.0)


@click.command()
@click.argument("video", type=path_type)
@click.argument("prompt")
@click.option(
    "--strength",
    type=FloatRange(0, 1, min_open=True),
    default=0.6,
    show_default=True,
    help="Share of the noise schedule that is resampled; 1 ignores VIDEO.",
)
@click.option(
    "--strength-sweep",
    metavar="SHEET",
    type=path_type,
    help="Write a contact sheet (.png, .jpg or .webp) of strengths from 0.2 to 1 instead of a video.",
)
@region_options
@conditioned_options(size="source")
def command(
    video: Path,
    prompt: str,
    strength: float,
    strength_sweep: Path | None,
    options: ConditionedOptions,
    **region: Any,
) -> None:
    """Edit VIDEO with PROMPT (SDEdit), and print the clip's path.

    Noise is added to the whole clip up to --strength, and denoised with PROMPT. The noise follows the motion
    of VIDEO. Frame rate, length and size are kept. A --mask, --box or --polygon limits the edit to a region.

    \b
    lumiere edit frog.mp4 "a frog jumping on a blue background" --strength 0.7
    lumiere edit frog.mp4 "a crab on a purple background" --box 32,32,96,96
    lumiere edit frog.mp4 "a crab on a purple background" --strength-sweep sweep.png
    """
    import numpy as np

    from lumiere.conditions import Condition, inpaint
    from lumiere.io.files import check_output
    from lumiere.io.sheet import contact_sheet
    from lumiere.io.video import PICTURE_ENDINGS, Clip, save_picture, usable_sound

    path = strength_sweep or options.output(video, "edited")
    if strength_sweep is not None:
        if path.resolve() == video.resolve():
            raise InputError(f"{path} is the source itself; choose another name")
        if options.out is not None:
            raise InputError(
                f"--strength-sweep writes {path} instead of a video; leave out --out {options.out}"
            )
        check_output(path, options.overwrite, PICTURE_ENDINGS)
        options = replace(options, seed=secrets.randbelow(2**32) if options.seed is None else options.seed)
    clip = Clip.load(video)
    if len(clip) < 2:
        raise InputError(f"{video} has 1 frame; give a video of 2 or more")
    masked = any(region[name] is not None for name in ("mask", "box", "polygon"))
    if masked:
        kept = inpaint(clip, read_region(clip.height, clip.width, **region))
    else:
        kept = Condition(clip.frames, np.zeros(clip.frames.shape[:3]))
    sound = None if options.fps or strength_sweep else usable_sound(video, path)
    pipe, asked = options.load(), options.model_prompt(prompt)

    def edited(strength: float) -> Clip:
        condition = kept if masked else None
        return options.sample(pipe, asked, video=clip, strength=strength, condition=condition)

    if strength_sweep is None:
        options.write(options.at_size(edited(strength), kept), path, prompt, sound)
    else:
        labels = ["source", *(f"strength {each}" for each in SWEEP)]
        sheet = contact_sheet([clip, *map(edited, SWEEP)], labels=labels)
        save_picture(sheet, path, options.overwrite)
        click.echo(f"seed {options.seed}", err=True)
        click.echo(path)
