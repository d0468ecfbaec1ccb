"""Choice of clips, digits and scales, for any numbers."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lumiere.research.report.chart import Scale
from lumiere.research.report.fields import distinct
from lumiere.research.report.media import comparisons
from lumiere.research.report.numbers import Format
from lumiere.research.report.section import Cell, Column, ShownClip

finite = st.floats(-1e6, 1e6).filter(lambda number: number == 0 or abs(number) > 1e-6)


@st.composite
def cells(draw: st.DrawFn) -> list[Cell]:
    ends = st.lists(finite, min_size=3, max_size=3).map(sorted)
    return [Cell(mean, low, high) for low, mean, high in draw(st.lists(ends, min_size=1, max_size=5))]


@settings(deadline=None)
@given(prompts=st.integers(1, 60), count=st.integers(0, 70), more=st.integers(0, 60))
def test_clips_are_evenly_spaced(prompts: int, count: int, more: int) -> None:
    """Of the prompts that both methods have; ``more`` are one method's alone."""
    clips = [ShownClip(Path("a.mp4"), "one", str(number)) for number in range(prompts + more)]
    clips += [ShownClip(Path("b.mp4"), "other", str(number)) for number in range(prompts)]
    shown = comparisons(clips, count)
    places = [int(prompt) for prompt in shown]
    assert len(places) == min(count, prompts) and all(0 <= place < prompts for place in places)
    assert all([clip.method for clip in each] == ["one", "other"] for each in shown.values())
    steps = [after - before for before, after in zip([-1, *places], [*places, prompts], strict=False)][1:-1]
    assert not steps or (min(steps) >= 1 and max(steps) - min(steps) <= 1)
    if places:
        assert abs(places[0] - (prompts - 1 - places[-1])) <= 1


@settings(deadline=None)
@given(numbers=cells(), reference=st.none() | finite)
def test_a_scale_holds_all_that_is_drawn(numbers: list[Cell], reference: float | None) -> None:
    scale = Scale.of(Column("", reference=reference), numbers)
    ends = [end for cell in numbers for end in (cell.low, cell.mean, cell.high)] + [reference]
    places = [scale.percent(end) for end in ends if end is not None]
    assert min(places) >= -1e-6 and max(places) <= 100 + 1e-6
    assert max(places) - min(places) >= 20 or max(places) - min(places) <= 1e-3
    assert float(scale.labels[0]) < float(scale.labels[1])


def test_a_scale_of_shares_is_whole_unless_they_are_differences() -> None:
    share = Column("", "share")
    assert Scale.of(share, [Cell(0.9, 0.8, 0.95)]) == Scale(0.0, 1.0, ("0 %", "100 %"))
    assert Scale.of(share, [Cell(-0.031, -0.052, 0.012)]).labels == ("-6 %", "2 %")


@settings(deadline=None)
@given(numbers=cells())
def test_digits_tell_an_interval_from_its_mean(numbers: list[Cell]) -> None:
    form = Format.of("", numbers)
    for cell in numbers:
        assert abs(float(form.value(cell.mean)) - cell.mean) <= 0.5 * 10**-form.decimals + 1e-9


def test_numbers_are_printed_as_their_unit_asks() -> None:
    share = Format.of("share", [])
    assert share.value(0.957) == "95.7 %" and share.interval(Cell(0.957, 0.854, 0.988)) == "[85, 99]"
    p = Format.of("p", [])
    assert (p.value(0.0004), p.value(0.04)) == ("< 0.001", "0.040")
    decibels = [Cell(37.2083, 34.42, 40.01), None]
    assert Format.of("dB", decibels).value(37.2083) == "37.2"
    assert Format.of("", [Cell(0.98601), Cell(0.98156)]).value(0.98601) == "0.9860"
    assert Format.of("", [Cell(3.0), Cell(12.0)]).value(12.0) == "12"
    assert share.interval(Cell(0.5)) == ""


def test_files_are_named_by_what_tells_them_apart() -> None:
    assert distinct([Path("/a/b/c/x.mp4"), Path("/a/b/d/x.mp4")]) == ["c/x.mp4", "d/x.mp4"]
    assert distinct([Path("/a/b/x.mp4")]) == ["x.mp4"]
    assert distinct([Path("/a"), Path("/a/b/c")]) == ["a", "a/b/c"]
