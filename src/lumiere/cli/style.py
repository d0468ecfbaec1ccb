"""``lumiere style``: fit a style to reference images."""

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
    help="Caption of a reference, without its style; one for all, or one each.  [default: the file name]",
)


@click.group()
def command() -> None:
    """Fit a style to reference images."""


@command.command()
@click.argument("references", metavar="REFERENCE...", nargs=-1, required=True, type=path_type)
@click.option("--out", required=True, type=path_type, help="Folder to write.")
@caption_option
@click.option("--steps", type=click.IntRange(1), default=400, show_default=True, help="Training steps.")
@click.option(
    "--rank", type=click.IntRange(1), default=16, show_default=True, help="Rank of the LoRA weights."
)
@click.option("--seed", type=click.IntRange(0, 2**53), default=0, show_default=True, help="Training seed.")
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
    """Fit a style to one or a few REFERENCE images, and print its folder.

    A style is a LoRA of the image model, under 5 MB, for this model only. Cut-out images (PNGs with
    transparency) work best: the style then leaves backgrounds unchanged. Ctrl-C ends training early and saves
    the style.

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
    """Read the references, and return a function that fits a style of a loaded model to them.

    Args:
        captions: none, one, or one per reference.
        options: keyword arguments of :func:`lumiere.train.style.fit`.

    Raises:
        InputError: a reference cannot be read as an image, or is too small, or the number of captions does
            not match.
    """
    from lumiere.io.pictures import read_cutout
    from lumiere.train.style import check_references

    pictures = [read_cutout(reference) for reference in references]
    check_references(pictures)
    if len(captions) not in (0, 1, len(references)):
        counts = f"{len(captions)} captions for {len(references)} references"
        raise InputError(f"{counts}; give one caption for all, or one each")
    said = list(captions) * (len(references) if len(captions) == 1 else 1)
    said = said or [reference.stem.replace("-", " ").replace("_", " ") for reference in references]

    def fitted(pipe: LumierePipeline) -> Style:
        from lumiere.emoji.data.scenes import STYLE_BACKGROUNDS
        from lumiere.io.bundle import shipped
        from lumiere.train.style import BACKGROUNDS, fit

        pipe.set_progress_bar_config(desc="fitting", unit="step", disable=None)
        backgrounds = STYLE_BACKGROUNDS if pipe.model_name in shipped() else BACKGROUNDS
        return fit(pipe, pictures, said, backgrounds=backgrounds, **options)

    return fitted
