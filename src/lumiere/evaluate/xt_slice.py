"""x-t slices: one row of pixels of every frame, stacked over time.

What moves smoothly draws smooth lines, what jumps between frames breaks them; the paper compares methods by
such slices (section 4, figure 7).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from lumiere.errors import InputError
from lumiere.video import Clip
from lumiere.video.reading import read


def xt_slice(
    clip: Clip | str | os.PathLike[str], row: int | None = None, column: int | None = None
) -> np.ndarray:
    """The row (or column) of every frame as one picture, time going down.

    ``clip`` is a clip or the path of any video; of a file no more than the slice is kept in memory. Rows
    count from the top, columns from the left, from 0; with neither it is the middle row.

    Returns uint8, T x W x 3 for a row, T x H x 3 for a column.
    Raises :class:`InputError` for both a row and a column, one outside the frame, and a file that is no
    video.
    """
    if row is not None and column is not None:
        raise InputError(f"row {row} and column {column} are both given; give one of them")

    def cut(picture: np.ndarray) -> np.ndarray:
        """... x H x W x 3 -> ... x (W or H) x 3"""
        height, width = picture.shape[-3:-1]
        if column is None:
            line = picture[..., height // 2 if row is None else _inside(row, height, "row"), :, :]
        else:
            line = picture[..., _inside(column, width, "column"), :]
        return np.asarray(line)

    if isinstance(clip, Clip):
        return cut(clip.frames).copy()
    return read(Path(clip), cut)[0]


def _inside(index: int, size: int, name: str) -> int:
    if not 0 <= index < size:
        raise InputError(f"{name} {index} is outside the frame; its {name}s are 0 to {size - 1}")
    return index
