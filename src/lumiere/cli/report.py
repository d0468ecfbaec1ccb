"""``lumiere report``: everything that was measured, as one page."""

from __future__ import annotations

from pathlib import Path

import click

from lumiere.cli.options import overwrite_option, path_type


@click.command()
@click.argument("figures", metavar="FIGURES...", nargs=-1, required=True, type=path_type)
@click.option(
    "--out", type=path_type, default=Path("out/report.html"), show_default=True, help="Page to write, .html."
)
@click.option("--title", default="What was measured", show_default=True, help="Of the page.")
@click.option(
    "--clips",
    type=click.IntRange(0),
    default=6,
    show_default=True,
    help="Prompts whose clips are shown, of each section; evenly spaced, never picked.",
)
@overwrite_option
def command(figures: tuple[Path, ...], out: Path, title: str, clips: int, overwrite: bool) -> None:
    """Put FIGURES into one HTML page: tables, plots, clips, and where each number comes from.

    FIGURES are recognised by what they hold: folders of `lumiere evaluate` and of `lumiere ablate`; studies,
    or what `lumiere study report --json` printed; files of `lumiere metrics --json`; what `lumiere xt-slice
    --json` printed, and its pictures. A folder is searched. The same figures of several models stand beside
    each other. The page needs no other file and no network; the same input gives the same bytes.

    \b
    lumiere report out/evaluate-emoji --out report.html
    lumiere report out/evaluate-emoji out/evaluate-other out/ablate-multidiffusion study metrics.json
    """
    from lumiere.research.report.page import check_page, write_page
    from lumiere.research.report.reading import read

    check_page(out, overwrite)
    sections = read(figures)
    write_page(sections, out, title, clips, overwrite)
    tables = sum(len(section.tables) for section in sections)
    click.echo(f"tables: {tables}; size: {out.stat().st_size / 1e6:.2f} MB", err=True)
    click.echo(out)
