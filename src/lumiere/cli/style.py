"""``lumiere style``: a style is fitted to pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lumiere.cli.options import (
    device_option,
    model_option,
    overwrite_option,
    path_type,
    pick_device,
)
from lumiere.errors import InputError

if TYPE_CHECKING:
    from lumiere.pipelines.text_to_video import LumierePipeline
    from lumiere.style import Style

caption_option = click.option(
    "--caption",
    "captions",
    multiple=True,
    help="What a reference shows, without its style; once for all, or one each.  [default: the file's name]",
)


@click.group()
def command() -> None:
    """Fit a style to pictures."""


@command.command()
@click.argument("references", metavar="REFERENCE...", nargs=-1, required=True, type=path_type)
@click.option("--out", required=True, type=path_type, help="The folder to write.")
@caption_option
@click.option("--steps", type=click.IntRange(1), default=400, show_default=True, help="Training steps.")
@click.option(
    "--rank", type=click.IntRange(1), default=16, show_default=True, help="Of the low-rank weights."
)
@click.option("--seed", type=click.IntRange(0, 2**53), default=0, show_default=True)
@model_option
@device_option
@overwrite_option
def fit(
    references: tuple[Path, ...],
    out: Path,
    captions: tuple[str, ...],
    steps: int,
    rank: int,
    seed: int,
    model: str,
    device: str | None,
    overwrite: bool,
) -> None:
    """Fit a style to one REFERENCE or a few, and print the name of its folder.

    A style is a low-rank change of the image model's weights, of under 5 MB, for this model alone. Pictures
    that are cut out (PNGs with transparency) fit best: the style then leaves the backgrounds alone. Ctrl-C
    ends the fitting early, and what was fitted is kept.

    \b
    lumiere style fit fox.png owl.png crab.png --out line-art
    lumiere generate "a frog on a yellow background" --style line-art
    """
    from lumiere.pipelines.text_to_video import LumierePipeline
    from lumiere.style import check_folder

    check_folder(out, overwrite)
    fitted = stylist(references, captions, steps=steps, rank=rank, seed=seed, keep_partial=True)
    pipe = LumierePipeline.from_pretrained(model).to(pick_device(device))
    style = fitted(pipe)
    click.echo(style.save_pretrained(out, overwrite))
    if style.about["steps"] < steps:
        raise KeyboardInterrupt


def stylist(
    references: tuple[Path, ...], captions: tuple[str, ...], **options: Any
) -> Callable[[LumierePipeline], Style]:
    """What fits a style to a model, once it is loaded. The references are read at once.

    Args:
        captions: none, one, or as many as references.
        options: of :func:`lumiere.train.style.fit`.

    Raises:
        InputError: a reference is no picture, or the captions are not as many.
    """
    from lumiere.conditions import read_cutout

    pictures = [read_cutout(reference) for reference in references]
    if len(captions) not in (0, 1, len(references)):
        counts = f"{len(captions)} captions for {len(references)} references"
        raise InputError(f"there are {counts}; give one for all, or one each")
    said = list(captions) * (len(references) if len(captions) == 1 else 1)
    said = said or [reference.stem.replace("-", " ").replace("_", " ") for reference in references]

    def fitted(pipe: LumierePipeline) -> Style:
        from lumiere.emoji.data.scenes import STYLE_BACKGROUNDS
        from lumiere.io.bundle import shipped
        from lumiere.train.style import BACKGROUNDS, fit

        backgrounds = STYLE_BACKGROUNDS if pipe.model_name in shipped() else BACKGROUNDS
        return fit(pipe, pictures, said, backgrounds=backgrounds, **options)

    return fitted
