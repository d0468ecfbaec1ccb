from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumiere.data.videos.buckets import LONGEST, Size, fill, fit, make_buckets, nearest

sides = st.integers(1, 4000)


def test_the_buckets_of_the_base_model():
    assert [str(size) for size in make_buckets(128, 32)] == ["96x160", "128x128", "160x96"]


@given(st.integers(8, 1024), st.sampled_from([8, 16, 32, 64]))
def test_buckets_are_multiples_of_the_step_and_no_larger_than_the_square(side, step):
    buckets = make_buckets(side, step)
    assert bool(buckets) == (side >= step)
    for width, height in buckets:
        assert width % step == height % step == 0 and width * height <= side * side
        assert max(width, height) <= LONGEST * min(width, height)
        assert Size(height, width) in buckets
        assert width >= height or width * (height + step) > side * side  # as high as it can be


@given(sides, sides)
def test_a_picture_fills_the_bucket_whose_shape_is_its_own(width, height):
    size, buckets = Size(width, height), make_buckets(256, 32)
    bucket = nearest(size, buckets)
    scale, kept = fit(size, bucket)
    assert scale * width >= bucket.width * 0.999 and scale * height >= bucket.height * 0.999
    assert kept <= 1.0001
    assert kept >= max(fit(size, other).kept for other in buckets) * 0.999


@pytest.mark.parametrize(("width", "height"), [(64, 32), (33, 49), (48, 32), (17, 90)])
def test_the_middle_is_kept(width, height):
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, :, 0] = np.linspace(0, 250, width)[None]
    picture[:, :, 1] = np.linspace(0, 250, height)[:, None]
    filled = fill(picture, Size(16, 16))
    assert filled.shape == (16, 16, 3)
    assert np.abs(filled[:, :, :2].mean((0, 1)) - 125).max() < 3
    assert fill(picture, Size(width, height)) is picture
