"""Numbers as they are printed: those of a column with as many digits as their intervals bear."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from lumiere.research.report.section import Cell

NOTHING = "-"
# What differs by a smaller share is the same number, computed in another order.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Format:
    """How a column's numbers are printed."""

    unit: str
    decimals: int

    @classmethod
    def of(cls, unit: str, cells: Sequence[Cell | None]) -> Format:
        """Two digits of the intervals' half width, or four of the largest number where there are none."""
        there = [cell for cell in cells if cell is not None]
        widths = [
            (cell.high - cell.low) / 2
            for cell in there
            if cell.low is not None
            and cell.high is not None
            and cell.high - cell.low > ROUNDING * abs(cell.mean)
        ]
        largest = max((abs(cell.mean) for cell in there), default=0.0)
        if widths:
            decimals = 1 - math.floor(math.log10(median(widths)))
        elif largest > 0 and not all(cell.mean.is_integer() for cell in there):
            decimals = 3 - math.floor(math.log10(largest))
        else:
            decimals = 0
        return cls(unit, min(6, max(0, decimals)))

    def value(self, number: float) -> str:
        """``95.7 %``, ``< 0.001`` or ``37.21``."""
        if self.unit == "share":
            return f"{100 * number:.1f} %"
        if self.unit == "p":
            return "< 0.001" if number < 0.001 else f"{number:.3f}"
        return f"{number:.{self.decimals}f}"

    def interval(self, cell: Cell) -> str:
        """``[85, 99]``; empty where there is none."""
        if cell.low is None or cell.high is None:
            return ""
        if self.unit == "share":
            return f"[{100 * cell.low:.0f}, {100 * cell.high:.0f}]"
        return f"[{self.value(cell.low)}, {self.value(cell.high)}]"
