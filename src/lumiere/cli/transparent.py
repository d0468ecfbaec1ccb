"""``--transparent``, of the verbs that make a clip: the clip without its background."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lumiere.errors import InputError

if TYPE_CHECKING:
    from lumiere.io.video import Clip

transparent_option = click.option(
    "--transparent",
    is_flag=True,
    help="Remove a background that is plain or fades evenly; write .webp, .png (APNG), .webm or .gif.",
)
DEFAULT_ENDING = ".webp"


def default_ending(transparent: bool) -> str:
    return DEFAULT_ENDING if transparent else ".mp4"


def clip_endings(transparent: bool) -> tuple[str, ...]:
    """The endings that a clip can be written with."""
    from lumiere.io.video import ENDINGS
    from lumiere.io.video.transparent import TRANSPARENT_ENDINGS

    return TRANSPARENT_ENDINGS if transparent else ENDINGS


def save_clip(
    clip: Clip, path: Path, transparent: bool, overwrite: bool = False, sound: Path | None = None
) -> Path:
    """Save a clip; without its background if ``transparent``, and with it, after a warning, if that fails."""
    if not transparent:
        return clip.save(path, overwrite=overwrite, sound=sound)
    from fractions import Fraction

    import numpy as np

    from lumiere.io.video.transparent import save_transparent
    from lumiere.matting import take_away_background

    try:
        frames = take_away_background(clip.frames)
    except InputError as error:
        click.echo(f"warning: {path} keeps its background: {error}", err=True)
        opaque = np.full((*clip.frames.shape[:3], 1), 255, np.uint8)
        frames = np.concatenate([clip.frames, opaque], axis=-1)
    return save_transparent(path, frames, Fraction(clip.fps), clip.metadata, overwrite)
