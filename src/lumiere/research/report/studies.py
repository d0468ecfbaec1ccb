"""A user study: its folder, or what ``lumiere study report --json`` printed."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lumiere.research.report.section import Cell, Column, Row, Section, Table

if TYPE_CHECKING:
    from lumiere.research.study.report import Preference, Report

_NOTE = (
    "Preference rate of the method with 95 % intervals (Wilson), against 50 % by chance; p: exact "
    "binomial test, two-sided, not corrected for multiple comparisons; alpha: Krippendorff's, of the raters' "
    "agreement. Interval and p assume independent answers."
)


def read(content: Any, file: Path) -> Section | None:
    """The section of a ``study.json``, or of a printed report; None if it is neither."""
    if not isinstance(content, dict):
        return None
    if str(content.get("format")).startswith("lumiere-study/"):
        from lumiere.research.study.report import Report

        return section(Report.of(file.parent))
    if not content.keys() >= {"method", "raters", "preferences"}:
        return None
    from lumiere.research.study.report import Preference, Report

    preferences = tuple(Preference(**preference) for preference in content["preferences"])
    return section(Report(**{**content, "preferences": preferences}))


def section(report: Report) -> Section:
    """A study's figures, a table for each question."""
    from lumiere.research.study.report import raters_line

    columns = (
        Column(f"{report.method} preferred", "share", reference=0.5),
        Column("p", "p", plotted=False),
        Column("alpha", plotted=False),
    )
    tables = [
        Table(
            question, columns, tuple(map(_row, rows)), (f"{raters_line(report)}.", _NOTE), "rival", "answers"
        )
        for question, rows in groupby(report.preferences, lambda preference: preference.question)
    ]
    rivals = dict.fromkeys(preference.rival for preference in report.preferences)
    return Section(f"User study: {report.method} against {', '.join(rivals)}", tuple(tables))


def _row(preference: Preference) -> Row:
    share, alpha = preference.share, preference.alpha
    cells = (
        None if share is None else Cell(share, preference.low, preference.high),
        None if share is None else Cell(preference.p),
        None if alpha is None else Cell(alpha),
    )
    return Row(preference.rival, cells, preference.answers)
