"""Output of ``lumiere ablate``: MultiDiffusion, and tables of any other ablation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from lumiere.metrics.bootstrap import mean_interval
from lumiere.research.report.fields import cell, count, lines, number, objects, optional, text
from lumiere.research.report.section import Cell, Column, Picture, Row, Section, ShownClip, Table

_MEANS = {
    "psnr": Column("PSNR", "dB"),
    "ssim": Column("SSIM"),
    "warped": Column("flow-warped error", "of 255"),
    "change": Column("error of change", "of 255"),
}
_COSTS = (Column("seam"), Column("control"), Column("time"), Column("work"), Column("peak memory", "GB"))
_TRUTH, _WHOLE = "truth", "one window"
_NOTE = (
    "Flow-warped error: difference from the previous frame, warped along the true clip's optical flow. Error "
    "of change: error of the frame-to-frame change. Seam: its ratio between window borders and elsewhere; "
    "control: the same ratio for one window over all frames, which has no borders. Time and work (frames "
    "that the network runs on) are relative to one window over all frames. 95 % intervals are bootstrapped "
    "over clips."
)
_PAIRED_NOTE = (
    "Difference from one window over all frames, per clip, which removes the differences between clips; "
    "mean and 95 % interval, bootstrapped over the clips."
)


def read(content: Any, file: Path) -> Section | None:
    """The section of a ``figures.json``; None if it is of no ablation."""
    if not isinstance(content, dict):
        return None
    if content.get("kind") == "ablation":
        return _tables(content, file.parent)
    rows = content.get("figures")
    is_multidiffusion = isinstance(rows, list) and rows and all("way" in row for row in rows)
    return _multidiffusion(objects(rows), file) if is_multidiffusion else None


def _tables(content: dict[str, Any], folder: Path) -> Section:
    """Title, tables, pictures and clips as the file says; ``unit`` stands in each cell."""
    clips = tuple(
        ShownClip(_inside(folder, clip["file"]), text(clip["method"]), text(clip["prompt"]))
        for clip in objects(content.get("clips", []))
    )
    pictures = tuple(
        Picture(_inside(folder, picture["file"]), text(picture["caption"]))
        for picture in objects(content.get("pictures", []))
    )
    return Section(text(content["title"]), tuple(map(_table, objects(content["tables"]))), pictures, clips)


def _table(table: dict[str, Any]) -> Table:
    methods, clips, *titles = map(text, table["columns"])
    if clips != "clips":
        raise ValueError(f"the second column is {clips!r}, not 'clips'")
    found = objects(table["rows"])
    for line in found:
        if len(line["cells"]) != len(titles):
            raise ValueError(f"{line['method']!r} has {len(line['cells'])} cells for {len(titles)} columns")
    columns = []
    for index, title in enumerate(titles):
        units = {text(line["cells"][index].get("unit", "")) for line in found if line["cells"][index]}
        if len(units) > 1:
            raise ValueError(f"the column {title!r} has several units: {', '.join(sorted(units))}")
        columns.append(Column(title, units.pop() if units else ""))
    rows = tuple(
        Row(
            text(line["method"]),
            tuple(None if each is None else cell(each) for each in line["cells"]),
            count(line["clips"]),
        )
        for line in found
    )
    notes = (text(table["note"]),) if table.get("note") else ()
    return Table(text(table["title"]), tuple(columns), rows, notes, methods)


def _inside(folder: Path, name: Any) -> Path:
    """A file of the folder: a page is passed on, and must not carry others."""
    path = PurePosixPath(text(name))
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name!r} is not in its folder")
    return folder / path


def _multidiffusion(figures: list[dict[str, Any]], file: Path) -> Section:
    whole = next(row for row in figures if row["way"] == _WHOLE)
    by_way: dict[str, list[dict[str, Any]]] = {}
    for line in lines(file.with_name("results.jsonl")):
        by_way.setdefault(line["way"], []).append(line)
    rows, differences = [], []
    for row in figures:
        way, clips = text(row["way"]), count(row["clips"])
        measured = by_way.get(way, [])
        known = measured if len(measured) == clips else []
        rows.append(Row(way, (*_means(row, known), *_costs(row, whole)), clips))
        if known and way not in (_TRUTH, _WHOLE):
            differences.append(Row(way, _differences(known, by_way[_WHOLE]), clips))
    tables = [Table("Compared with the reference clips", (*_MEANS.values(), *_COSTS), tuple(rows), (_NOTE,))]
    if differences:
        columns = tuple(Column(column.title, column.unit, reference=0.0) for column in _MEANS.values())
        tables.append(
            Table("Difference from one window, per clip", columns, tuple(differences), (_PAIRED_NOTE,))
        )
    slices = file.with_name("slices.png")
    caption = "X-t slices of the first clip's middle row, time running down, methods side by side"
    pictures = (Picture(slices, caption),) if slices.is_file() else ()
    title = f"Ablation: MultiDiffusion, {file.absolute().parent.name}"
    return Section(title, tuple(tables), pictures)


def _means(row: dict[str, Any], measured: Sequence[dict[str, Any]]) -> list[Cell | None]:
    """The means of a way, with the intervals that its clips give; the truth is without an error."""
    return [
        None
        if row["way"] == _TRUTH and name != "warped"
        else _mean(number(row[name]), [_value(each, name) for each in measured])
        for name in _MEANS
    ]


def _differences(
    measured: Sequence[dict[str, Any]], whole: Sequence[dict[str, Any]]
) -> tuple[Cell | None, ...]:
    beside = {each["clip"]: each for each in whole}
    paired = [
        [_value(each, name) - _value(beside[each["clip"]], name) for each in measured] for name in _MEANS
    ]
    return tuple(_mean(float(np.mean(values)), values) for values in paired)


def _costs(row: dict[str, Any], whole: dict[str, Any]) -> list[Cell | None]:
    memory = optional(row["memory"])
    costs = (
        optional(row["seam"]),
        optional(row["control"]),
        _over(row["seconds"], whole["seconds"]),
        _over(row["frames_denoised"], whole["frames_denoised"]),
        None if memory is None else memory / 1e9,
    )
    return [None if cost is None else Cell(cost) for cost in costs]


def _value(line: dict[str, Any], name: str) -> float:
    if name == "change":
        return float(np.mean([number(each) for each in line["changes"]]))
    return number(line[name])


def _mean(mean: float, values: Sequence[float]) -> Cell:
    return Cell(mean, *mean_interval(np.array(values))) if len(values) > 1 else Cell(mean)


def _over(cost: Any, whole: Any) -> float | None:
    return None if cost is None else number(cost) / number(whole)
