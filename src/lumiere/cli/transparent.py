"""``--transparent``, of the verbs that make a clip: the clip without its background."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lumiere.errors import InputError

if TYPE_CHECKING:
    import numpy as np

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


def cut_out(frames: np.ndarray) -> np.ndarray:
    """Frames with alpha, uint8 t x h x w x 4; opaque ones without their background.

    Raises:
        InputError: their background cannot be removed.
    """
    from lumiere.matting import take_away_background

    return frames if frames[..., 3].min() < 255 else take_away_background(frames[..., :3])


def save_clip(
    clip: Clip, path: Path, transparent: bool, overwrite: bool = False, sound: Path | None = None
) -> Path:
    """Save a clip; without its background if ``transparent``, and with it, after a warning, if that fails."""
    if not transparent:
        return clip.save(path, overwrite=overwrite, sound=sound)
    from fractions import Fraction

    from lumiere.io.pictures import opaque
    from lumiere.io.video.transparent import save_transparent
    from lumiere.matting import take_away_background

    try:
        frames = take_away_background(clip.frames)
    except InputError as error:
        click.echo(f"warning: {path} keeps its background: {error}", err=True)
        frames = opaque(clip.frames)
    return save_transparent(path, frames, Fraction(clip.fps), clip.metadata, overwrite)
