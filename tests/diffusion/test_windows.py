from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st

from lumiere.diffusion.windows import WEIGHTS, Windows, tiles, windows
from lumiere.errors import InputError


@st.composite
def any_windows(draw, longest=400, circular=None):
    size = draw(st.integers(1, 420))
    return windows(
        draw(st.integers(1, longest)),
        size,
        draw(st.integers(0, size - 1)),
        circular=draw(st.booleans()) if circular is None else circular,
    )


def covered(each: Windows, start: int) -> list[int]:
    """The positions of a window, in its order."""
    places = dict.fromkeys(range(each.size), -1)
    for there, here in each.spans(start):
        places |= dict(zip(range(each.size)[here], range(each.length)[there], strict=True))
    return list(places.values())


@given(any_windows())
def test_windows_are_equal_lie_within_the_axis_and_cover_it(each):
    seen = [covered(each, start) for start in each.starts]
    assert all(len(set(window)) == each.size and -1 not in window for window in seen)
    assert set().union(*seen) == set(range(each.length))
    assert list(each.starts) == sorted(set(each.starts))


@given(st.integers(1, 400), st.integers(1, 420), st.data())
def test_neighbours_share_the_overlap(length, size, data):
    overlap = data.draw(st.integers(0, size - 1))
    circular = data.draw(st.booleans())
    each = windows(length, size, overlap, circular=circular)
    seen = [set(covered(each, start)) for start in each.starts]
    pairs = list(itertools.pairwise(seen))
    if circular and len(seen) > 1:
        pairs.append((seen[-1], seen[0]))
    assert all(len(first & second) >= min(overlap, each.size - 1) for first, second in pairs)


@given(any_windows(circular=False))
def test_on_a_line_every_window_is_one_slice(each):
    for start in each.starts:
        assert each.spans(start) == [(slice(start, start + each.size), slice(0, each.size))]


@given(st.integers(2, 60), st.integers(2, 60), st.data())
def test_no_fewer_windows_would_do(length, size, data):
    assume(size < length)
    overlap = data.draw(st.integers(0, size - 1))
    for circular, least in ((False, length - overlap), (True, length)):
        count = len(windows(length, size, overlap, circular=circular).starts)
        assert count == -(-least // (size - overlap))


@given(any_windows(longest=90), st.sampled_from(sorted(WEIGHTS)))
@example(windows(80, 80, 0), "cosine")
def test_weights_are_positive_and_sum_to_one_everywhere(each, kind):
    rows = each.weights(kind)
    assert (rows > 0).all()
    total = torch.zeros(each.length, dtype=torch.float64)
    for start, row in zip(each.starts, rows, strict=True):
        total.index_add_(0, torch.tensor(covered(each, start)), row)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_a_window_alone_counts_exactly_one():
    for kind in WEIGHTS:
        assert (windows(7, 7, 3).weights(kind) == 1).all()


@pytest.mark.parametrize(
    ("kind", "row"), [("flat", [1, 1, 1, 1]), ("pyramid", [1, 2, 2, 1]), ("cosine", [0.1464, 0.8536] * 2)]
)
def test_the_shapes_of_weights(kind, row):
    expected = torch.tensor(sorted(row) if kind == "cosine" else row, dtype=torch.float64)
    got = WEIGHTS[kind](4)
    torch.testing.assert_close(got.sort().values if kind == "cosine" else got, expected, atol=1e-4, rtol=0)
    assert torch.allclose(got, got.flip(0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 4, 1), "length is 0"),
        ((8, 0, 0), "window is 0"),
        ((8, 4, 4), "overlap is 4 and window 4; give an overlap from 0 to 3"),
        ((8, 4, -1), "overlap is -1"),
    ],
)
def test_impossible_geometry_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        windows(*arguments)


def test_an_unknown_weight_is_refused():
    with pytest.raises(InputError, match="weights is 'gauss'; choose one of flat, pyramid, cosine"):
        tiles({0: windows(8, 4, 2)}, "gauss")


@given(any_windows(longest=40), any_windows(longest=12), st.sampled_from(sorted(WEIGHTS)))
def test_crops_of_a_picture_add_up_to_it_again(rows, columns, kind):
    picture = torch.randn(2, rows.length, 3, columns.length, dtype=torch.float64)
    again = torch.zeros_like(picture)
    chosen = tiles({1: rows, 3: columns}, kind)
    assert len(chosen) == len(rows.starts) * len(columns.starts)
    for tile in chosen:
        crop = tile.crop(picture)
        assert crop.shape == (2, rows.size, 3, columns.size)
        tile.add(again, crop)
    torch.testing.assert_close(again, picture)


def test_a_window_over_the_end_goes_on_at_the_beginning():
    _, _, last = tiles({0: windows(6, 4, 2, circular=True)})
    assert last.crop(torch.arange(6)).tolist() == [4, 5, 0, 1]
