"""A slice holds one row or column of every frame, in order."""

from pathlib import Path

import numpy as np
import pytest

from lumiere.errors import InputError
from lumiere.evaluate.xt_slice import xt_slice
from lumiere.video import Clip

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


@pytest.mark.parametrize("place", [{}, {"row": 0}, {"column": 5}])
def test_a_file_is_sliced_as_its_clip(clip: Clip, tmp_path: Path, place: dict[str, int]) -> None:
    path = clip.save(tmp_path / "clip")
    assert np.array_equal(xt_slice(path, **place), xt_slice(clip, **place))


@pytest.mark.parametrize(
    ("place", "complaint"),
    [
        ({"row": H}, "rows are 0 to 5"),
        ({"row": -1}, "row -1 is outside"),
        ({"column": W}, "columns are 0 to 7"),
        ({"row": 0, "column": 0}, "give one of them"),
    ],
)
def test_places_outside_are_refused(clip: Clip, place: dict[str, int], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        xt_slice(clip, **place)
