"""What a report shows: sections of tables, pictures and clips, whatever they were measured by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cell:
    """A number with its 95 % interval and the number of cases behind it, both None where they are not known.

    All are in the column's unit; a share is 0 to 1.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    of: int | None = None


@dataclass(frozen=True)
class Column:
    """What is measured.

    Attributes:
        unit: "share" is printed in percent, "p" as a probability of a test; any other as it is named.
        reference: where a plot has a line, such as the share that chance would give.
        plotted: whether it is worth a plot.
    """

    title: str
    unit: str = ""
    reference: float | None = None
    plotted: bool = True


@dataclass(frozen=True)
class Row:
    """A method's cells, one a column; None is what was not asked.

    Attributes:
        clips: how many it was measured on.
        is_reference: it is what the methods are to be like, and stands after all of them.
    """

    method: str
    cells: tuple[Cell | None, ...]
    clips: int | None = None
    is_reference: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of figures; ``methods`` says what the rows are, ``counts`` what their ``clips`` count.

    The only table of a section needs no title.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    methods: str = "method"
    counts: str = "clips"


@dataclass(frozen=True)
class Picture:
    """``folded``: it is long, and shown when it is asked for."""

    file: Path
    caption: str
    folded: bool = False


@dataclass(frozen=True)
class ShownClip:
    """A clip, and its x-t slice where there is one."""

    file: Path
    method: str
    prompt: str
    xt_slice: Path | None = None


@dataclass(frozen=True)
class Source:
    """A file of figures: its name, and what is known of how they came about."""

    name: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class Section:
    """What belongs together.

    Attributes:
        comparable: sections of this title show the same figures of other methods: they become one.
    """

    title: str
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    clips: tuple[ShownClip, ...] = ()
    sources: tuple[Source, ...] = ()
    comparable: bool = False


def merged(sections: Iterable[Section]) -> list[Section]:
    """The sections in their order, comparable ones joined: their methods stand beside each other."""
    groups: dict[object, list[Section]] = {}
    for number, section in enumerate(sections):
        groups.setdefault(section.title if section.comparable else number, []).append(section)
    return [group[0] if len(group) == 1 else _joined(group) for group in groups.values()]


def _joined(group: Sequence[Section]) -> Section:
    group = _told_apart(group)
    tables: dict[str, Table] = {}
    clips: dict[tuple[str, str], ShownClip] = {}
    for section in group:
        for table in section.tables:
            there = tables.get(table.title)
            tables[table.title] = table if there is None else _both(there, table)
        for clip in section.clips:
            clips.setdefault((clip.method, clip.prompt), clip)
    return replace(
        group[0],
        tables=tuple(tables.values()),
        pictures=tuple(picture for section in group for picture in section.pictures),
        clips=tuple(clips.values()),
        sources=tuple(source for section in group for source in section.sources),
    )


def _told_apart(group: Sequence[Section]) -> list[Section]:
    """Methods of one name that were not measured alike get the names of their sources."""
    measured: dict[str, list[object]] = {}
    for section in group:
        for method in {row.method for table in section.tables for row in table.rows}:
            rows = [row for table in section.tables for row in table.rows if row.method == method]
            measured.setdefault(method, []).append(rows)
    clashing = {method for method, rows in measured.items() if any(each != rows[0] for each in rows)}

    def named(method: str, section: Section) -> str:
        return f"{method} ({section.sources[0].name})" if method in clashing else method

    return [
        replace(
            section,
            tables=tuple(
                replace(
                    table,
                    rows=tuple(replace(row, method=named(row.method, section)) for row in table.rows),
                )
                for table in section.tables
            ),
            clips=tuple(replace(clip, method=named(clip.method, section)) for clip in section.clips),
        )
        for section in group
    ]


def _both(one: Table, other: Table) -> Table:
    columns = {column.title: column for table in (one, other) for column in table.columns}
    rows: dict[str, Row] = {}
    for table in (one, other):
        titles = [column.title for column in table.columns]
        for row in table.rows:
            cells = dict(zip(titles, row.cells, strict=True))
            rows.setdefault(row.method, replace(row, cells=tuple(cells.get(title) for title in columns)))
    return replace(
        one,
        columns=tuple(columns.values()),
        rows=tuple(sorted(rows.values(), key=lambda row: row.is_reference)),
        notes=tuple(dict.fromkeys((*one.notes, *other.notes))),
    )
