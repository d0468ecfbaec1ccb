"""The report as a page: one file, with a chart of the preferences and their intervals."""

from __future__ import annotations

from html import escape
from itertools import groupby
from pathlib import Path

from lumiere.evaluate.study.report import Preference, Report, figures_line, raters_line
from lumiere.files import check_output, replacing

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>User study: {method}</title>
<style>
:root {{ color-scheme: light dark; --page: #f3f3f1; --ink: #1b1b1a; --soft: #5f5f5b; --line: #d3d3ce;
  --accent: #2f5bd0; font: 400 1rem/1.5 system-ui, sans-serif; }}
@media (prefers-color-scheme: dark) {{ :root {{ --page: #191918; --ink: #efefec; --soft: #a9a9a3;
  --line: #4a4a46; --accent: #8caaff; }} }}
body {{ max-width: 52rem; margin: 0 auto; padding: 2rem 1rem; background: var(--page); color: var(--ink); }}
h1 {{ letter-spacing: -0.02em; line-height: 1.2; }}
h2 {{ margin: 2.5rem 0 0.5rem; font-size: 1.15rem; }}
p {{ color: var(--soft); }}
table {{ width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 0.5rem 0.6rem 0.5rem 0; text-align: left; font-weight: 400; white-space: nowrap; }}
th {{ font-weight: 600; }}
td.chart {{ width: 45%; min-width: 9rem; }}
td.figures {{ color: var(--soft); font-size: 0.875rem; white-space: pre-wrap; }}
svg {{ display: block; width: 100%; height: 1.5rem; overflow: visible; }}
.half {{ stroke: var(--line); stroke-dasharray: 3 3; }}
.axis {{ stroke: var(--line); }}
.interval {{ stroke: var(--accent); stroke-width: 3; stroke-linecap: round; }}
.share {{ fill: var(--accent); }}
</style>
</head>
<body>
<h1>{method} beside {rivals}</h1>
<p>{raters}.</p>
{questions}
<p>Dots: how often {method} was preferred, on a scale from 0 to 100 %; bars: 95 % intervals (Wilson); p: exact
binomial test against a coin, two-sided, not corrected for the number of comparisons; alpha: Krippendorff's,
of the raters' agreement. Interval and p take all answers as independent of each other.</p>
</body>
</html>
"""
_QUESTION = "<h2>{text}</h2>\n<table>\n{rows}\n</table>"
_ROW = '<tr><th scope="row">{rival}</th><td class="chart">{chart}</td><td class="figures">{figures}</td></tr>'
_CHART = (
    '<svg role="img" aria-label="{share:.0f} %"><line class="axis" x1="0%" x2="100%" y1="50%" y2="50%"/>'
    '<line class="half" x1="50%" x2="50%" y1="0" y2="100%"/>'
    '<line class="interval" x1="{low:.1f}%" x2="{high:.1f}%" y1="50%" y2="50%"/>'
    '<circle class="share" cx="{share:.1f}%" cy="50%" r="6"/></svg>'
)


def check_page(path: Path, overwrite: bool) -> None:
    """Raises :class:`InputError` if a page cannot be written there."""
    check_output(path, overwrite, (".html",))


def write_page(report: Report, path: Path, overwrite: bool = False) -> None:
    """Write the report as one HTML file, whole or not at all; raises as :func:`check_page` does."""
    check_page(path, overwrite)
    rivals = dict.fromkeys(preference.rival for preference in report.preferences)
    questions = groupby(report.preferences, lambda preference: preference.question)
    page = _PAGE.format(
        method=escape(report.method),
        rivals=escape(", ".join(rivals)),
        raters=escape(raters_line(report)),
        questions="\n".join(
            _QUESTION.format(text=escape(text), rows="\n".join(map(_row, rows))) for text, rows in questions
        ),
    )
    with replacing(path) as part:
        part.write_text(page, "utf-8")


def _row(preference: Preference) -> str:
    chart = ""
    if preference.share is not None:
        chart = _CHART.format(
            share=100 * preference.share, low=100 * preference.low, high=100 * preference.high
        )
    return _ROW.format(rival=escape(preference.rival), chart=chart, figures=escape(figures_line(preference)))
