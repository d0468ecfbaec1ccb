"""``lumiere show``: show a clip's properties and generation settings."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from lumiere.cli.options import overwrite_option, path_type
from lumiere.io.text import printable


@click.command()
@click.argument("file", type=path_type)
@click.option("--sheet", type=path_type, help="Write a contact sheet of eight frames to this image.")
@click.option(
    "--xt-slice", "slice_", type=path_type, help="Write the x-t slice of the middle row to this image."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@overwrite_option
def command(file: Path, sheet: Path | None, slice_: Path | None, as_json: bool, overwrite: bool) -> None:
    """Show the size, frame count, frame rate, duration and generation settings of FILE.

    FILE is any video, or a folder of PNG frames that lumiere wrote. Images are .png, .jpg or .webp.

    \b
    lumiere show frog.mp4
    lumiere show frog.mp4 --sheet sheet.png --xt-slice slice.png
    """
    from lumiere.io.files import check_output
    from lumiere.io.sheet import contact_sheet
    from lumiere.io.video import PICTURE_ENDINGS, Clip, probe, save_picture
    from lumiere.metrics.xt_slice import xt_slice

    for picture in filter(None, (sheet, slice_)):
        check_output(picture, overwrite, PICTURE_ENDINGS)
    info = probe(file)
    if sheet is not None:
        save_picture(contact_sheet([Clip.load(file)]), sheet, overwrite)
    if slice_ is not None:
        save_picture(xt_slice(file), slice_, overwrite)

    facts: dict[str, Any] = {
        "file": str(file),
        "width": info.width,
        "height": info.height,
        "frames": info.frames,
        "fps": float(info.fps),
        "duration": info.duration,
        "settings": info.metadata,
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    lines: list[tuple[str, Any]] = [
        ("size", f"{info.width}x{info.height}"),
        ("frames", info.frames),
        ("fps", _rate(info.fps)),
        ("duration", f"{info.duration:.6g} s"),
    ]
    measured = {name for name, _ in lines}
    for key, value in info.metadata.items():
        # A setting of the same name stands beside what was measured, not in its place.
        lines.append((f"setting {key}" if key in measured else printable(key), value))
    click.echo(printable(file))
    column = max(len(name) for name, _ in lines)
    for name, value in lines:
        shown = value if isinstance(value, str) and value.isprintable() else json.dumps(value)
        click.echo(f"  {name:<{column}}  {shown}")
    if not info.metadata:
        click.echo("  no settings: not written by lumiere, or rewritten by another program")


def _rate(fps: Fraction) -> str:
    return str(fps) if fps.denominator == 1 else f"{float(fps):.6g} ({fps})"
