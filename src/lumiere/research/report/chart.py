"""A number as a dot and its interval as a bar, drawn as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from lumiere.research.report.numbers import ROUNDING
from lumiere.research.report.section import Cell, Column

# a width of 4 is marked in ones, one of 1 to 3 in tenths
_COARSER = 0.5
_CHART = (
    '<svg role="img" aria-label="{label}"><line class="axis" x1="0%" x2="100%" y1="50%" y2="50%"/>'
    '{reference}{interval}<circle class="dot" cx="{mean:.2f}%" cy="50%" r="5"/></svg>'
)
_REFERENCE = '<line class="reference" x1="{at:.2f}%" x2="{at:.2f}%" y1="0" y2="100%"/>'
_INTERVAL = '<line class="interval" x1="{low:.2f}%" x2="{high:.2f}%" y1="50%" y2="50%"/>'


@dataclass(frozen=True)
class Scale:
    """What the left and the right end of a plot stand for, and how these are printed."""

    left: float
    right: float
    labels: tuple[str, str]

    @classmethod
    def of(cls, column: Column, cells: Sequence[Cell]) -> Scale:
        """0 to 1 of shares; else round numbers around the numbers, their intervals and the reference."""
        ends = [end for cell in cells for end in (cell.mean, cell.low, cell.high) if end is not None]
        if column.reference is not None:
            ends.append(column.reference)
        factor, sign = (100, " %") if column.unit == "share" else (1, "")
        if column.unit == "share" and min(ends) >= 0 and max(ends) <= 1:
            ends = [0.0, 1.0]
        low, high = factor * min(ends), factor * max(ends)
        width, largest = high - low, max(abs(low), abs(high))
        if width <= ROUNDING * largest:
            width = largest or 1.0
        exponent = math.floor(math.log10(width)) - (math.log10(width) % 1 < _COARSER)
        step = 10.0**exponent
        left, right = math.floor(low / step), math.ceil(high / step)
        left, right = left - (left == right), right + (left == right)
        printed = [f"{end * step:.{max(0, -exponent)}f}{sign}" for end in (left, right)]
        return cls(left * step / factor, right * step / factor, (printed[0], printed[1]))

    def percent(self, number: float) -> float:
        return 100 * (number - self.left) / (self.right - self.left)


def draw(cell: Cell, scale: Scale, label: str, reference: float | None = None) -> str:
    """One number as SVG; ``label`` says it to who cannot see it."""
    interval = ""
    if cell.low is not None and cell.high is not None:
        interval = _INTERVAL.format(low=scale.percent(cell.low), high=scale.percent(cell.high))
    line = "" if reference is None else _REFERENCE.format(at=scale.percent(reference))
    return _CHART.format(
        label=escape(label), reference=line, interval=interval, mean=scale.percent(cell.mean)
    )
