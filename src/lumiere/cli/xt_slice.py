"""``lumiere xt-slice``: plot and measure an x-t slice of videos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lumiere.cli.options import overwrite_option, path_type
from lumiere.errors import InputError
from lumiere.io.text import printable

if TYPE_CHECKING:
    import numpy as np

COLUMNS = {
    "change": "change",
    "roughness": "roughness",
    "jitter": "jitter px",
    "speed": "speed px",
    "period": "period",
    "phase": "phase",
}


@click.command()
@click.argument("videos", metavar="VIDEO...", nargs=-1, required=True, type=path_type)
@click.option("--out", type=path_type, help="Image to write: .png, .jpg or .webp.  [default: none]")
@click.option("--row", type=click.IntRange(min=0), help="Row of pixels, from the top.  [default: the middle]")
@click.option("--column", type=click.IntRange(min=0), help="Column of pixels, from the left.")
@click.option("--line", metavar="X0,Y0,X1,Y1", help="Line between two points, in pixels.")
@click.option(
    "--mark", is_flag=True, help="Add each video's middle frame beside its slice, with the line in red."
)
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
@overwrite_option
def command(
    videos: tuple[Path, ...],
    out: Path | None,
    row: int | None,
    column: int | None,
    line: str | None,
    mark: bool,
    as_json: bool,
    overwrite: bool,
) -> None:
    """Stack one line of pixels of every frame, with time running down, and measure it.

    Smooth motion draws smooth lines; flicker and jumps break them. Slices of several videos are stacked, each
    under its file name. Lay the line along the motion: motion across it cannot be measured.

    Prints the change from frame to frame; its roughness, the residual after motion compensation (both root
    mean squares, of 255); the jitter, the distance from the smooth path; the speed along the slice, in pixels
    per frame; and for periodic motion the period in frames, and the phase as a share of it.

    \b
    lumiere xt-slice frog.mp4 --out slice.png
    lumiere xt-slice ours.mp4 theirs.mp4 --row 64 --out compared.png
    lumiere xt-slice frog.mp4 --line 0,0,127,127 --mark --out diagonal.png
    lumiere xt-slice frog.mp4 --json
    """
    import dataclasses
    import json

    from lumiere.io.files import check_output
    from lumiere.io.sheet import abreast, stacked
    from lumiere.io.video import PICTURE_ENDINGS, save_picture
    from lumiere.metrics.slice_motion import slice_figures
    from lumiere.metrics.xt_slice import marked, xt_slice

    if mark and out is None:
        raise InputError("--mark needs an image to write; give --out")
    if out is not None:
        check_output(out, overwrite, PICTURE_ENDINGS)
    place: dict[str, Any] = {"row": row, "column": column, "line": _parse_line(line) if line else None}
    slices = [xt_slice(video, **place) for video in videos]
    figures = [dataclasses.asdict(slice_figures(each)) for each in slices]
    if out is not None:
        shown = slices
        if mark:
            marks = [marked(_middle_frame(video), **place) for video in videos]
            shown = [abreast(pair) for pair in zip(marks, slices, strict=True)]
        picture = shown[0] if len(shown) == 1 else stacked(shown, [video.name for video in videos])
        save_picture(picture, out, overwrite)
    if as_json:
        about = [
            {"video": str(video), "frames": len(each), "pixels": each.shape[1], **figure}
            for video, each, figure in zip(videos, slices, figures, strict=True)
        ]
        click.echo(json.dumps(about, indent=2))
        return
    width = max(len(video.name) for video in videos)
    click.echo(" " * width + "".join(f"{name:>11}" for name in COLUMNS.values()))
    for video, figure in zip(videos, figures, strict=True):
        cells = (_cell(key, figure[key]) for key in COLUMNS)
        click.echo(f"{printable(video.name):<{width}}" + "".join(f"{cell:>11}" for cell in cells))
    if out is not None:
        click.echo(out)


def _cell(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{round(value, 2) % 1 if key == 'phase' else value:.2f}"


def _middle_frame(video: Path) -> np.ndarray:
    import itertools

    from lumiere.io.video import stream

    info, frames = stream(video)
    return next(itertools.islice(frames, info.frames // 2, None))


def _parse_line(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4:
        raise InputError(f"--line is {text!r}; give two points in pixels, X0,Y0,X1,Y1, such as 0,0,127,127")
    return numbers
