"""``lumiere stylize``: generate a clip in the style of a reference image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lumiere.cli.generate import generate_options, make_clips
from lumiere.cli.options import path_type
from lumiere.cli.style import caption_option, stylist

if TYPE_CHECKING:
    from lumiere.pipelines.text_to_video import LumierePipeline
    from lumiere.style import Style


@click.command()
@generate_options(
    click.option(
        "--reference",
        "references",
        multiple=True,
        required=True,
        type=path_type,
        help="Reference image of the style; repeatable.",
    ),
    caption_option,
    click.option(
        "--fit-steps",
        type=click.IntRange(1),
        default=400,
        show_default=True,
        help="Training steps of the style.",
    ),
    click.option("--keep", metavar="STYLE", type=path_type, help="Save the style to this folder."),
)
def command(
    references: tuple[Path, ...],
    captions: tuple[str, ...],
    fit_steps: int,
    keep: Path | None,
    overwrite: bool,
    **arguments: Any,
) -> None:
    """Generate a clip from PROMPT in the style of a reference image, and print its path.

    Same as `lumiere style fit` followed by `lumiere generate --style`. Fitting takes a few minutes.

    \b
    lumiere stylize "a frog on a yellow background" --reference fox.png
    lumiere stylize "a frog on a yellow background" --reference fox.png --alpha-sweep sweep.png
    """
    if keep is not None:
        from lumiere.style import check_folder

        check_folder(keep, overwrite)
    name = keep.name if keep is not None else "+".join(reference.stem for reference in references)
    fitted = stylist(references, captions, steps=fit_steps, name=name)

    def style(pipe: LumierePipeline) -> Style:
        made = fitted(pipe)
        if keep is not None:
            click.echo(made.save_pretrained(keep, overwrite), err=True)
        return made

    make_clips(**arguments, style=style, overwrite=overwrite, loop=False)
