"""x-t slices: one line of pixels of every frame, stacked over time.

What moves smoothly draws smooth lines, what jumps between frames breaks them; the paper compares methods by
such slices (section 4, figure 7). :mod:`lumiere.metrics.slice_motion` measures what they show.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lumiere.errors import InputError
from lumiere.io.video import Clip
from lumiere.io.video.reading import read

#: ends of a drawn line, in pixels from the left and the top: x0, y0, x1, y1
Line = tuple[int | float, int | float, int | float, int | float]
_MARK = (255, 0, 0)


def xt_slice(
    clip: Clip | str | os.PathLike[str],
    row: int | None = None,
    column: int | None = None,
    line: Line | None = None,
) -> np.ndarray:
    """The row, the column or the drawn line of every frame as one picture, time going down.

    ``clip`` is a clip or the path of any video; of a file no more than the slice is kept in memory. Rows
    count from the top, columns from the left, from 0; with none of the three it is the middle row. A line
    from (x0, y0) to (x1, y1) is read at steps of about a pixel, both ends included, between pixels by
    bilinear interpolation.

    Returns uint8, T x N x 3; N is the width for a row, the height for a column.
    Raises :class:`InputError` for more than one of the three, a place outside the frame, a line whose ends
    are less than a pixel apart, and a file that is no video.
    """
    cut = _cut(row, column, line)
    if isinstance(clip, Clip):
        return cut(clip.frames).copy()
    return read(Path(clip), cut)[0]


def marked(
    frame: np.ndarray, row: int | None = None, column: int | None = None, line: Line | None = None
) -> np.ndarray:
    """A frame (uint8, H x W x 3) with the slice's pixels in red. Raises as :func:`xt_slice` does."""
    height, width = frame.shape[:2]
    x, y = _points(height, width, row, column, line)
    picture = frame.copy()
    picture[y.round().astype(int), x.round().astype(int)] = _MARK
    return picture


def _cut(row: int | None, column: int | None, line: Line | None) -> Callable[[np.ndarray], np.ndarray]:
    def cut(pictures: np.ndarray) -> np.ndarray:
        """... x H x W x 3 -> ... x N x 3"""
        height, width = pictures.shape[-3:-1]
        x, y = _points(height, width, row, column, line)
        left, top = x.astype(int), y.astype(int)
        right, below = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
        if not ((x - left).any() or (y - top).any()):
            return np.asarray(pictures[..., top, left, :])
        across, down = (x - left)[:, None], (y - top)[:, None]
        upper = pictures[..., top, left, :] * (1 - across) + pictures[..., top, right, :] * across
        lower = pictures[..., below, left, :] * (1 - across) + pictures[..., below, right, :] * across
        return np.asarray((upper * (1 - down) + lower * down).round().astype(np.uint8))

    return cut


def _points(
    height: int, width: int, row: int | None, column: int | None, line: Line | None
) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the slice's pixels."""
    given = {"row": row, "column": column, "line": line}
    named = [f"{name} {place}" for name, place in given.items() if place is not None]
    if len(named) > 1:
        raise InputError(f"{' and '.join(named)} are both given; give one of them")
    if column is not None:
        _check(column, width, "column")
        line = (column, 0, column, height - 1)
    elif line is None:
        row = height // 2 if row is None else row
        _check(row, height, "row")
        line = (0, row, width - 1, row)
    x0, y0, x1, y1 = line
    if not (0 <= min(x0, x1) <= max(x0, x1) <= width - 1 and 0 <= min(y0, y1) <= max(y0, y1) <= height - 1):
        raise InputError(
            f"line {x0:g},{y0:g},{x1:g},{y1:g} leaves the frame; x goes from 0 to {width - 1}, "
            f"y from 0 to {height - 1}"
        )
    length = math.hypot(x1 - x0, y1 - y0)
    if given["line"] is not None and length < 1:
        raise InputError(f"line {x0:g},{y0:g},{x1:g},{y1:g} is a point; give ends a pixel or more apart")
    count = round(length) + 1
    return np.linspace(x0, x1, count), np.linspace(y0, y1, count)


def _check(index: int, size: int, name: str) -> None:
    if not 0 <= index < size:
        raise InputError(f"{name} {index} is outside the frame; its {name}s are 0 to {size - 1}")
