"""A table as HTML, its plots, and where its figures come from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from lumiere.research.report.chart import Scale, draw
from lumiere.research.report.numbers import NOTHING, Format
from lumiere.research.report.section import Cell, Column, Row, Source, Table

#: the class of each method's colour, by its name
Colours = Mapping[str, str]


def table_html(table: Table, sources: Sequence[Source], colours: Colours) -> str:
    """Methods go down; but where there are many figures of few methods, the figures do."""
    formats = [
        Format.of(column.unit, [row.cells[index] for row in table.rows])
        for index, column in enumerate(table.columns)
    ]
    heads = [_head(column) for column in table.columns]
    cells = [
        [_cell(cell, form, row.clips) for cell, form in zip(row.cells, formats, strict=True)]
        for row in table.rows
    ]
    names = [name_html(row.method, colours) for row in table.rows]
    corner = table.methods
    if any(row.clips is not None for row in table.rows):
        heads.insert(0, escape(table.counts))
        for row, printed in zip(table.rows, cells, strict=True):
            printed.insert(0, NOTHING if row.clips is None else str(row.clips))
    if len(names) <= 3 and len(heads) > 4:
        heads, names, cells = names, heads, [list(column) for column in zip(*cells, strict=True)]
        corner = ""
    top = "".join(f'<th scope="col">{head}</th>' for head in (escape(corner), *heads))
    rows = "".join(
        f'<tr><th scope="row">{name}</th>' + "".join(f"<td>{cell}</td>" for cell in printed) + "</tr>"
        for name, printed in zip(names, cells, strict=True)
    )
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in table.notes)
    plots = "".join(
        _plot(column, form, [(row, row.cells[index]) for row in table.rows], colours)
        for index, (column, form) in enumerate(zip(table.columns, formats, strict=True))
    )
    return (
        (f"<h3>{escape(table.title)}</h3>\n" if table.title else "")
        + f'<div class="table"><table><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>\n'
        + (f'<div class="plots">{plots}</div>\n' if plots else "")
        + f"{notes}\n{_provenance(sources)}"
    )


def _head(column: Column) -> str:
    unit = "" if column.unit in ("", "share", "p") else f" <small>{escape(column.unit)}</small>"
    return escape(column.title) + unit


def name_html(method: str, colours: Colours) -> str:
    return f'<span class="name {colours[method]}">{escape(method)}</span>'


def _cell(cell: Cell | None, form: Format, clips: int | None) -> str:
    if cell is None:
        return NOTHING
    of = f"of {cell.of}" if cell.of is not None and cell.of != clips else ""
    said = " ".join(filter(None, (form.interval(cell), of)))
    return form.value(cell.mean) + (f" <small>{said}</small>" if said else "")


def _plot(column: Column, form: Format, rows: Iterable[tuple[Row, Cell | None]], colours: Colours) -> str:
    """The column's numbers on one scale; nothing where there is nothing to compare."""
    shown = [(row.method, cell) for row, cell in rows if cell is not None]
    if not column.plotted or not shown or (len(shown) == 1 and column.unit != "share"):
        return ""
    scale = Scale.of(column, [cell for _, cell in shown])
    bars = "".join(
        f"{name_html(method, colours)}"
        f'<span class="{colours[method]}">'
        + draw(
            cell, scale, f"{method}: {form.value(cell.mean)} {form.interval(cell)}".strip(), column.reference
        )
        + f'</span><span class="value">{form.value(cell.mean)}</span>'
        for method, cell in shown
    )
    ends = "".join(f"<span>{label}</span>" for label in scale.labels)
    return (
        f'<figure class="plot"><figcaption>{_head(column)}</figcaption><div class="bars">{bars}'
        f'<span class="ends">{ends}</span></div></figure>'
    )


def _provenance(sources: Sequence[Source]) -> str:
    """What is known of how the figures came about, folded; a column for each file of figures."""
    keys = dict.fromkeys(key for source in sources for key in source.facts)
    if not keys:
        return ""
    head = "".join(f'<th scope="col">{escape(source.name)}</th>' for source in sources)
    rows = "".join(
        f'<tr><th scope="row">{escape(key)}</th>'
        + "".join(f"<td>{_fact(source.facts.get(key))}</td>" for source in sources)
        + "</tr>"
        for key in keys
    )
    return (
        '<details><summary>Where these figures come from</summary><div class="table"><table>'
        f'<thead><tr><th scope="col"></th>{head}</tr></thead><tbody>{rows}</tbody></table></div></details>'
    )


def _fact(value: Any) -> str:
    return escape(value if isinstance(value, str) else NOTHING if value is None else json.dumps(value))
