"""``lumiere sticker``: a clip as an animated sticker of a messenger."""

from __future__ import annotations

from pathlib import Path

import click

from lumiere.cli.options import overwrite_option, path_type
from lumiere.cli.transparent import cut_out
from lumiere.errors import InputError

#: of lumiere.io.video.stickers, which is imported late
MESSENGERS = ("telegram", "whatsapp", "signal", "discord")


@click.command()
@click.argument("clip", type=path_type)
@click.option(
    "--for", "messenger", type=click.Choice(MESSENGERS), required=True, help="Messenger whose limits to meet."
)
@click.option("--out", type=path_type, help="Write to this file.  [default: CLIP-MESSENGER.ENDING]")
@click.option("--keep-background", is_flag=True, help="Keep the background of a clip without alpha.")
@overwrite_option
def command(clip: Path, messenger: str, out: Path | None, keep_background: bool, overwrite: bool) -> None:
    """Convert CLIP to a looping sticker, print its path, and say what it had to give up.

    The background of a clip without alpha is removed; it must be plain, or fade evenly.

    \b
    lumiere sticker frog.mp4 --for telegram
    lumiere sticker frog.webp --for whatsapp --out sticker.webp
    """
    from lumiere.io.files import check_output
    from lumiere.io.video.reading import read
    from lumiere.io.video.stickers import MESSENGERS as LIMITS
    from lumiere.io.video.stickers import write_sticker

    ending = LIMITS[messenger].ending
    path = out or clip.parent / f"{clip.resolve().stem}-{messenger}{ending}"
    if path.resolve() == clip.resolve():
        raise InputError(f"{path} is the source itself; choose another name")
    check_output(path, overwrite, (ending,))
    frames, fps, _ = read(clip, alpha=True)
    if not keep_background:
        frames = cut_out(frames)
    for lost in write_sticker(path, frames, fps, messenger, overwrite):
        click.echo(f"given up: {lost}", err=True)
    click.echo(path)
