"""Contact sheets show the frames that they say, in order, under their labels."""

import numpy as np
import pytest

from lumiere.errors import InputError
from lumiere.io.sheet import CELL_HEIGHT, GAP, LABEL_HEIGHT, contact_sheet, side_by_side
from lumiere.io.video import Clip

ROW = LABEL_HEIGHT + CELL_HEIGHT


def grey_clip(count: int, height: int = 64, width: int = 64, **metadata: str) -> Clip:
    """Frame number i is filled with the value i."""
    values = np.arange(count, dtype=np.uint8)[:, None, None, None]
    return Clip(np.broadcast_to(values, (count, height, width, 3)).copy(), 16, metadata)


def middles(sheet: np.ndarray, row: int, count: int, cell_width: int = CELL_HEIGHT) -> list[int]:
    y = row * (ROW + GAP) + LABEL_HEIGHT + CELL_HEIGHT // 2
    return [int(sheet[y, index * (cell_width + GAP) + cell_width // 2, 0]) for index in range(count)]


def test_frames_are_taken_from_first_to_last() -> None:
    sheet = contact_sheet([grey_clip(80), grey_clip(15)], frames=8, labels=["a", "b"])
    assert sheet.dtype == np.uint8
    assert sheet.shape == (2 * ROW + GAP, 8 * CELL_HEIGHT + 7 * GAP, 3)
    assert middles(sheet, 0, 8) == [0, 11, 23, 34, 45, 56, 68, 79]
    assert middles(sheet, 1, 8) == [0, 2, 4, 6, 8, 10, 12, 14]


def test_a_short_clip_repeats_no_frame() -> None:
    sheet = contact_sheet([grey_clip(3), grey_clip(8)], frames=8)
    assert middles(sheet, 0, 4) == [0, 1, 2, 255]


@pytest.mark.parametrize(("height", "width", "cell"), [(32, 16, 64), (1024, 1024, 128), (20, 200, 256)])
def test_sizes_are_fitted_to_the_cell(height: int, width: int, cell: int) -> None:
    sheet = contact_sheet([grey_clip(2, height, width)], frames=2)
    assert sheet.shape[1] == 2 * cell + GAP


def test_labels_are_written_and_long_ones_cut() -> None:
    clip = grey_clip(1, prompt="a black cat")
    plain, long = contact_sheet([clip], labels=[""]), contact_sheet([clip], labels=["a long prompt " * 40])
    assert plain[:LABEL_HEIGHT].min() == 255
    assert contact_sheet([clip])[:LABEL_HEIGHT].min() < 100
    assert np.array_equal(contact_sheet([clip]), contact_sheet([clip], labels=["a black cat"]))
    assert long.shape == plain.shape
    assert np.array_equal(long[LABEL_HEIGHT:], plain[LABEL_HEIGHT:])


def test_pictures_stand_side_by_side_unscaled() -> None:
    left, right = np.zeros((10, 30, 3), np.uint8), np.full((20, 50, 3), 7, np.uint8)
    picture = side_by_side([left, right], ["ours", "theirs"])
    assert picture.shape == (LABEL_HEIGHT + 20, 30 + GAP + 50, 3)
    assert np.array_equal(picture[LABEL_HEIGHT : LABEL_HEIGHT + 10, :30], left)
    assert np.array_equal(picture[LABEL_HEIGHT:, 30 + GAP :], right)
    assert (picture[LABEL_HEIGHT + 10 :, :30] == 255).all()


def test_bad_input_is_refused() -> None:
    for clips, frames, labels in ([], 8, None), ([grey_clip(1)], 0, None), ([grey_clip(1)], 8, ["a", "b"]):
        with pytest.raises(InputError):
            contact_sheet(clips, frames, labels)
    with pytest.raises(InputError):
        side_by_side([], [])
