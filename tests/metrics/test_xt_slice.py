"""A slice holds one row or column of every frame, in order."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lumiere.errors import InputError
from lumiere.io.video import Clip
from lumiere.metrics.xt_slice import Line, marked, xt_slice

T, H, W = 5, 6, 8


@pytest.fixture
def clip() -> Clip:
    """Every pixel names its frame, row and column."""
    t, y, x = np.mgrid[:T, :H, :W]
    return Clip(np.stack([t, y, x], axis=-1).astype(np.uint8), 16)


def test_a_row_over_time(clip: Clip) -> None:
    picture = xt_slice(clip, row=2)
    t, x = np.mgrid[:T, :W]
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, np.stack([t, np.full_like(t, 2), x], axis=-1))


def test_a_column_over_time(clip: Clip) -> None:
    t, y = np.mgrid[:T, :H]
    assert np.array_equal(xt_slice(clip, column=7), np.stack([t, y, np.full_like(t, 7)], axis=-1))


def test_the_middle_row_is_the_default(clip: Clip) -> None:
    assert np.array_equal(xt_slice(clip), xt_slice(clip, row=3))


@pytest.mark.parametrize(
    ("line", "same"),
    [((0, 2, 7, 2), {"row": 2}), ((7, 2, 0, 2), {"row": 2}), ((4, 0, 4, 5), {"column": 4})],
)
def test_a_line_along_pixels_is_their_row_or_column(clip: Clip, line: Line, same: dict[str, int]) -> None:
    backwards = line[0] > line[2]
    assert np.array_equal(xt_slice(clip, line=line)[:, :: -1 if backwards else 1], xt_slice(clip, **same))


def test_between_pixels_a_line_is_their_mean() -> None:
    clip = Clip(np.repeat(np.mgrid[:1, :6, :8][2][..., None] * 20, 3, -1).astype(np.uint8), 16)
    assert (
        xt_slice(clip, line=(0.5, 0.5, 5.5, 4.5))[0, :, 0].tolist()
        == np.linspace(10, 110, 7).round().tolist()
    )


def test_the_mark_lies_on_the_line(clip: Clip) -> None:
    red = (marked(clip.frames[0], line=(0, 0, 5, 5)) == (255, 0, 0)).all(-1)
    assert np.array_equal(np.argwhere(red), [[i, i] for i in range(6)])


@pytest.mark.parametrize("place", [{}, {"row": 0}, {"column": 5}, {"line": (0, 0, 7, 5)}])
def test_a_file_is_sliced_as_its_clip(clip: Clip, tmp_path: Path, place: dict[str, Any]) -> None:
    path = clip.save(tmp_path / "clip")
    assert np.array_equal(xt_slice(path, **place), xt_slice(clip, **place))


@pytest.mark.parametrize(
    ("place", "complaint"),
    [
        ({"row": H}, "rows are 0 to 5"),
        ({"row": -1}, "row -1 is outside"),
        ({"column": W}, "columns are 0 to 7"),
        ({"row": 0, "column": 0}, "give one of them"),
        ({"row": 0, "line": (0, 0, 5, 5)}, "give one of them"),
        ({"line": (0, 0, 8, 5)}, "x goes from 0 to 7, y from 0 to 5"),
        ({"line": (3, 3, 3.5, 3)}, "is a point"),
    ],
)
def test_places_outside_are_refused(clip: Clip, place: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        xt_slice(clip, **place)
