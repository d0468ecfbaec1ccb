"""Output of ``lumiere evaluate``: text to video on held-out prompts, and the other tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lumiere.metrics.bootstrap import mean_interval
from lumiere.research.report.fields import cell, count, lines, number, text
from lumiere.research.report.section import Cell, Column, Picture, Row, Section, ShownClip, Table

_SHARES = "Intervals of shares are 95 % Wilson intervals."
_MEANS = "Those of means are bootstrapped over the cases; PSNR is that of the mean error."


def read(content: Any, file: Path) -> Section | None:
    """The section of a ``figures.json``; None if it is none of these."""
    if not isinstance(content, dict) or not content.keys() >= {"figures", "titles", "settings", "prompts"}:
        return None
    figures = content["figures"]
    if not figures:
        raise ValueError("it holds no figures")
    is_task = all("mean" in row for row in figures.values())
    return _task(content, file) if is_task else _text_to_video(content, file)


def _text_to_video(content: dict[str, Any], file: Path) -> Section:
    figures, titles = content["figures"], content["titles"]
    asked = list(dict.fromkeys(question for summary in figures.values() for question in summary))
    names = {"model": text(content["settings"].get("model", "model"))}
    rows = tuple(
        Row(
            names.get(method, method),
            tuple(
                cell(summary[question], "share", summary[question]["of"]) if question in summary else None
                for question in asked
            ),
            is_reference=method == "real",
        )
        for method, summary in figures.items()
    )
    columns = tuple(Column(text(titles[question]), "share") for question in asked)
    clips = (
        *_judged(names["model"], file.with_name("results.jsonl"), file.with_name("clips")),
        *_judged("real", file.with_name("real.jsonl"), file.with_name("real-clips")),
    )
    table = Table("", columns, rows, (_SHARES,))
    return Section("Text to video on held-out prompts", (table,), (), clips, comparable=True)


def _judged(method: str, results: Path, folder: Path) -> Iterator[ShownClip]:
    for line in lines(results):
        clip = folder / Path(line["clip"]).name
        drawn = folder / "xt-slices" / f"{clip.stem}.png"
        if clip.is_file():
            yield ShownClip(clip, method, text(line["prompt"]), drawn if drawn.is_file() else None)


def _task(content: dict[str, Any], file: Path) -> Section:
    figures, titles, model = content["figures"], content["titles"], text(content["settings"]["model"])
    cases = lines(file.with_name("results.jsonl"))
    columns, cells = [], []
    for name, row in figures.items():
        columns.append(Column(text(titles[name]), "share" if "low" in row else ""))
        found = cell(row, of=row["of"])
        cells.append(found and _with_interval(name, found, [case["figures"].get(name) for case in cases]))
    clips = tuple(
        ShownClip(clip, model, text(case["prompt"]))
        for place, case in enumerate(cases)
        if (clip := file.with_name(f"{place:03d}.mp4")).is_file()
    )
    sheet = file.with_name("sheet.png")
    pictures = (Picture(sheet, f"{model}: frames of more cases", folded=True),) if sheet.is_file() else ()
    rows = (Row(model, tuple(cells), count(content["prompts"])),)
    table = Table("", tuple(columns), rows, (f"{_SHARES} {_MEANS}",))
    return Section(f"Task: {file.absolute().parent.name}", (table,), pictures, clips, comparable=True)


def _with_interval(name: str, mean: Cell, found: Sequence[Any]) -> Cell:
    """A mean with the interval that its cases give, if they are those that it is of."""
    values = np.array([number(value) for value in found if value is not None and not isinstance(value, bool)])
    if mean.low is not None or len(values) != mean.of or len(values) < 2:
        return mean
    if not name.endswith("psnr"):
        low, high = mean_interval(values)
    else:
        high, low = (-10 * np.log10(error) for error in mean_interval(10 ** (-values / 10)))
    return replace(mean, low=float(low), high=float(high))
