"""``lumiere report``: collect measured figures into one HTML page."""

from __future__ import annotations

from pathlib import Path

import click

from lumiere.cli.options import overwrite_option, path_type


@click.command()
@click.argument("figures", metavar="FIGURES...", nargs=-1, required=True, type=path_type)
@click.option(
    "--out", type=path_type, default=Path("out/report.html"), show_default=True, help="HTML page to write."
)
@click.option("--title", default="Evaluation report", show_default=True, help="Title of the page.")
@click.option(
    "--clips",
    type=click.IntRange(0),
    default=6,
    show_default=True,
    help="Prompts per section whose clips are shown; evenly spaced, not cherry-picked.",
)
@overwrite_option
def command(figures: tuple[Path, ...], out: Path, title: str, clips: int, overwrite: bool) -> None:
    """Collect FIGURES into one HTML page: tables, plots, clips, and the source of each number.

    FIGURES are any of: folders of `lumiere evaluate` and `lumiere ablate`; studies, or the output of `lumiere
    study report --json`; files of `lumiere metrics --json`; the output and images of `lumiere xt-slice`.
    Folders are searched. The same figures of several models share a table. The page is self-contained, and
    the same input gives the same bytes.

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
