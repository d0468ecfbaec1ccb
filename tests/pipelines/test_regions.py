"""Several windows in one frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumiere.errors import InputError
from lumiere.pipelines.regions import OVERLAP, Regions, change_windows, framed, shrunk


def grid(rows, columns):
    return Regions(tuple(tuple(f"{row} {column}" for column in range(columns)) for row in range(rows)))


@given(st.integers(1, 4), st.integers(1, 4))
def test_a_layout_is_read_as_it_is_written(rows, columns):
    regions = grid(rows, columns)
    assert Regions.parse(str(regions)) == regions
    assert regions.shape == (rows, columns) and len(regions.prompts) == rows * columns
    assert regions.changed(str.upper).changed(str.lower) == regions


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a cat | ", r"the regions 'a cat \| ' have an empty prompt; give each region one"),
        ("a cat | a dog / a fish", "the rows of regions have 2, 1 prompts; give each as many, from 1"),
    ],
)
def test_layouts_that_are_none_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        Regions.parse(text)
    with pytest.raises(InputError, match="the rows of regions have no prompts"):
        Regions(())


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 20), st.integers(1, 20), st.integers(1, 8))
def test_windows_are_as_large_as_asked_for_and_overlap(rows, columns, height, width, factor):
    regions = grid(rows, columns)
    for count, size, along in zip(
        (rows, columns), (height, width), regions.windows(height, width, factor), strict=True
    ):
        assert along.size == size * factor and len(along.starts) == count
        stride = (size - min(OVERLAP, size // 2)) * factor
        assert along.starts == tuple(range(0, count * stride, stride))
    assert regions.canvas(height, width) == tuple(each.length for each in regions.windows(height, width))


@given(st.integers(1, 3), st.integers(1, 3), st.integers(4, 12), st.integers(0, 2**32 - 1))
def test_parts_that_are_left_alone_make_the_whole(rows, columns, size, seed):
    places = grid(rows, columns).windows(size, size)
    picture = np.random.default_rng(seed).integers(0, 256, (*(each.length for each in places), 3), np.uint8)
    np.testing.assert_array_equal(change_windows(picture, places, lambda part: part), picture)
    sizes = []
    change_windows(picture, places, lambda part: sizes.append(part.shape) or part)
    assert sizes == [(size, size, 3)] * (rows * columns)


def test_each_part_is_changed_about_its_own_middle():
    places = grid(1, 2).windows(8, 8)
    picture = np.zeros((8, 14, 3), np.uint8)
    picture[:, 2:5] = picture[:, 9:12] = 200
    small = change_windows(picture, places, lambda part: shrunk(part, 0.5))
    bright = np.flatnonzero(small[4, :, 0] > 100)
    assert bright.tolist() == [3, 10]


def test_parts_are_blended_towards_their_middles():
    places = grid(1, 2).windows(8, 8)
    values = iter((0, 200))
    blended = change_windows(
        np.zeros((8, 14, 3), np.uint8), places, lambda part: part + np.uint8(next(values))
    )
    row = blended[0, :, 0].astype(int)
    assert (row[:6] == 0).all() and (row[8:] == 200).all() and 0 < row[6] < 100 < row[7] < 200


@given(st.integers(4, 40), st.integers(4, 40), st.sampled_from([0.5, 0.7, 0.8, 1.0]))
def test_a_shrunk_picture_has_its_edges_around_it(height, width, scale):
    picture = np.full((height, width, 3), (10, 20, 30), np.uint8)
    np.testing.assert_array_equal(shrunk(picture, scale), picture)
    picture[1:-1, 1:-1] = 200
    small = shrunk(picture, scale)
    assert small.shape == picture.shape and small.dtype == np.uint8
    assert (small > 100).sum() <= (picture > 100).sum()


@pytest.mark.parametrize(
    ("canvas", "inner"), [((32, 60), (17, 32)), ((60, 32), (32, 17)), ((48, 48), (32, 32))]
)
def test_a_canvas_fits_into_the_frame_in_its_proportions(canvas, inner):
    frames = np.zeros((2, *canvas, 3), np.uint8)
    frames[:] = 50
    frames[:, 2:-2, 2:-2] = 200
    fitted = framed(frames, 32, 32)
    assert fitted.shape == (2, 32, 32, 3)
    bright = fitted[0, :, :, 0] > 100
    for axis, length in enumerate(inner):
        assert abs(bright.any(1 - axis).sum() - length) <= 3
    assert (fitted[:, [0, -1]] < 100).all() and (fitted[:, :, [0, -1]] >= 50).all()


def test_what_is_left_over_fades_into_a_plain_edge_and_continues_a_pattern():
    frames = np.full((2, 16, 64, 3), (200, 40, 40), np.uint8)
    frames[:, :, 10:14] += np.uint8(18)
    plain = framed(frames, 64, 64)
    np.testing.assert_array_equal(plain[:, 24:40], frames)
    assert (plain[:, [0, 15, -16, -1]] == (200, 40, 40)).all()
    assert (plain[:, 23, 11, 0] == 216).all() and (plain[:, 40, 11, 0] == 216).all()
    tall = framed(frames.swapaxes(1, 2), 64, 64)
    np.testing.assert_array_equal(tall, plain.swapaxes(1, 2))
    frames[:, :, ::2] = 0
    striped = framed(frames, 64, 64)
    assert (striped == frames[:, :1]).all()


def test_a_frame_that_fits_is_left_alone():
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 24, 3), np.uint8)
    np.testing.assert_array_equal(framed(frames, 16, 24), frames)
