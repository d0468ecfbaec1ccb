"""``lumiere xt-slice``: one row or column of pixels over time, as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from lumiere.cli.options import overwrite_option, path_type


@click.command()
@click.argument("videos", metavar="VIDEO...", nargs=-1, required=True, type=path_type)
@click.option("--out", required=True, type=path_type, help="Picture to write: .png, .jpg or .webp.")
@click.option("--row", type=click.IntRange(min=0), help="Row of pixels, from the top.  [default: the middle]")
@click.option("--column", type=click.IntRange(min=0), help="Column of pixels, from the left.")
@overwrite_option
def command(
    videos: tuple[Path, ...], out: Path, row: int | None, column: int | None, overwrite: bool
) -> None:
    """Stack one row or column of pixels of every frame over time, which goes down.

    Smooth motion draws smooth lines; flicker and jumps break them. Slices of several videos stand side by
    side, each under the name of its file.

    \b
    lumiere xt-slice frog.mp4 --out slice.png
    lumiere xt-slice ours.mp4 theirs.mp4 --row 64 --out compared.png
    """
    from lumiere.evaluate.sheet import side_by_side
    from lumiere.evaluate.xt_slice import xt_slice
    from lumiere.files import check_output
    from lumiere.video import PICTURE_ENDINGS, save_picture

    check_output(out, overwrite, PICTURE_ENDINGS)
    slices = [xt_slice(video, row=row, column=column) for video in videos]
    picture = slices[0] if len(slices) == 1 else side_by_side(slices, [video.name for video in videos])
    save_picture(picture, out, overwrite)
    click.echo(out)
