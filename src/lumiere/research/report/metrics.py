"""Output of ``lumiere metrics --json``: figures of clips, and nearest neighbours in another set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lumiere.research.report.fields import cell, number, objects, text
from lumiere.research.report.section import Cell, Column, Row, Section, Table

_PAIRS = 10
_ARROWS = {"+": " ↑", "-": " ↓"}
_NOTE = "↑ is better when larger, ↓ when smaller. Intervals, of 95 %, are bootstrapped over the clips."
_NEAREST_NOTE = (
    "Distance: of features, in standard deviations of the other set; a copy is at 0. Closer than: the share"
    " of that set's own clips that have no neighbour in it as near; of a copy 100 %."
)


def read(content: Any, file: Path) -> Section | None:
    """The section of a file of metrics; None if it is none."""
    if not isinstance(content, dict) or "lumiere" not in content:
        return None
    if "values" in content:
        return _values(objects(content["values"]), file.stem)
    return _nearest(objects(content["pairs"]), file.stem) if "pairs" in content else None


def _values(values: list[dict[str, Any]], method: str) -> Section:
    columns = tuple(Column(_title(text(value["title"]))) for value in values)
    cells = tuple(cell(value, "value", value["clips"]) for value in values)
    doubts = [
        f"{method}, {text(value['title']).strip(' +-')}: {text(doubt)}."
        for value in values
        for doubt in value["warnings"]
    ]
    table = Table("", columns, (Row(method, cells),), (_NOTE, *doubts), "clips")
    return Section("Metrics of clips", (table,), comparable=True)


def _title(title: str) -> str:
    sign = re.search(r" ([+-])$", title)
    return title.strip(" +-") + (_ARROWS[sign[1]] if sign else "")


def _nearest(pairs: list[dict[str, Any]], name: str) -> Section:
    rows = tuple(
        Row(
            f"{text(pair['clip'])}, nearest {text(pair['nearest'])}",
            (Cell(number(pair["distance"])), Cell(number(pair["closer_than"]))),
        )
        for pair in pairs[:_PAIRS]
    )
    columns = (Column("distance", plotted=False), Column("closer than", "share", plotted=False))
    title = f"The {len(rows)} closest of {len(pairs)} pairs"
    table = Table(title, columns, rows, (_NEAREST_NOTE,), "clip")
    return Section(f"Nearest clips, {name}", (table,))
