from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumiere.data.videos.scenes import Frame, mark_cuts, resample, thaw
from movies import smooth_frames

rates = st.fractions(Fraction(8), Fraction(60), max_denominator=1001)


def _frames(count: int, begins: set[int]) -> list[Frame]:
    return [Frame(n, np.full((1, 1, 3), n % 256, np.uint8), n in begins) for n in range(count)]


@given(st.integers(1, 60), rates, rates)
@settings(deadline=None)
def test_a_tick_shows_what_is_on_the_screen_in_its_middle(count, source, fps):
    ticks = list(resample(_frames(count, {0}), source, fps))
    assert [tick.number for tick in ticks] == list(range(len(ticks)))
    assert abs(len(ticks) - count * fps / source) <= Fraction(1, 2)
    for tick in ticks:
        assert int(tick.pixels[0, 0, 0]) == (tick.number + Fraction(1, 2)) / fps * source // 1


@given(st.integers(2, 60), rates, rates, st.data())
@settings(deadline=None)
def test_a_shot_that_begins_with_a_frame_left_out_begins_with_the_next(count, source, fps, data):
    begins = data.draw(st.sets(st.integers(1, count - 1)))
    ticks = list(resample(_frames(count, begins), source, fps))
    shown = [int(tick.pixels[0, 0, 0]) for tick in ticks]
    for before, tick, now in zip([-1, *shown], ticks, shown, strict=False):
        assert tick.begins == any(before < cut <= now for cut in begins)


def test_the_same_rate_changes_nothing():
    frames = _frames(9, {0, 4})
    assert list(resample(frames, Fraction(30000, 1001), Fraction(30000, 1001))) == frames


def test_a_picture_that_stays_ends_the_shot():
    a, b = np.zeros((1, 1, 3), np.uint8), np.ones((1, 1, 3), np.uint8)
    shown = list(thaw([a, *[b] * 30, a, a], Fraction(10)))
    assert [frame.number for frame in shown] == [*range(11), 31, 32]
    assert [frame.number for frame in shown if frame.begins] == [0, 31]


@pytest.mark.parametrize("places", [[], [12], [10, 20, 23]])
def test_cuts_are_found_where_they_are(places):
    frames = smooth_frames(40)
    for n, place in enumerate(places):
        frames[place:] = np.roll(255 - frames[place:], n + 1, -1)
    marked = list(mark_cuts(thaw(list(frames), Fraction(25)), Fraction(25)))
    assert [frame.number for frame in marked if frame.begins] == [0, *places]
    assert all(np.array_equal(frame.pixels, frames[n]) for n, frame in enumerate(marked))
