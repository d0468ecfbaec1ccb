"""Cells of an ablation's tables: a figure with its 95 % interval, as JSON and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lumiere.metrics import bootstrap
from lumiere.metrics.intervals import wilson

Cell = dict[str, Any]


def share_cell(answers: Sequence[bool]) -> Cell | None:
    """The share that is true, with Wilson's interval; None of none."""
    if not answers:
        return None
    low, high = wilson(sum(answers), len(answers))
    return value_cell(sum(answers) / len(answers), low, high, "share")


def mean_cell(values: Sequence[float], unit: str) -> Cell:
    """The mean, with the bootstrap's interval."""
    array = np.array(values, float)
    return value_cell(float(array.mean()), *bootstrap.mean_interval(array), unit)


def median_cell(values: Sequence[float], unit: str) -> Cell | None:
    """The median, with a percentile interval of 1,000 resamples; None of none."""
    if not values:
        return None
    array, rng = np.array(values, float), np.random.default_rng(0)
    drawn = np.median(array[rng.integers(len(array), size=(1000, len(array)))], axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return value_cell(float(np.median(array)), float(low), float(high), unit)


def value_cell(mean: float, low: float, high: float, unit: str) -> Cell:
    """``unit`` is "share" of what is printed in percent."""
    return {"mean": mean, "low": low, "high": high, "unit": unit}


def table(figures: Mapping[str, Any]) -> str:
    """A table of figures.json as text: a block for each column, a line for each row."""
    width = max(len(row["method"]) for row in figures["rows"])
    lines = [f"{figures['title']}. {figures['note']}"]
    for place, column in enumerate(figures["columns"][2:]):
        lines.append(f"  {column}")
        for row in figures["rows"]:
            if (cell := row["cells"][place]) is not None:
                lines.append(f"    {row['method']:<{width}}  {_said(cell)}")
    return "\n".join(lines)


def _said(cell: Cell) -> str:
    mean, low, high = cell["mean"], cell["low"], cell["high"]
    if cell["unit"] == "share":
        return f"{100 * mean:5.1f} % [{100 * low:.0f}, {100 * high:.0f}]"
    return f"{mean:7.4g} [{low:.4g}, {high:.4g}]"
