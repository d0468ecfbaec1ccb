"""The time grid of a video: a uniform frame rate, and which picture is on the screen at each tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from statistics import fmean, median_low
from typing import Any

from lumiere.io.limits import check_length
from lumiere.io.video.note import FASTEST, Note

_STILL_RATE = Fraction(25)
#: share of the pairs of times that may be out of order for the others to mean something
_DISORDER = 0.1


@dataclass
class Track:
    """Timing of a file besides its pixels; filled while it is read.

    Times are in seconds: when each picture appears (None if the file does not say), how long the last one
    stays, and the file's resolution of time. ``expected`` is the number of pictures by the header, 0 if it
    does not say; ``complete`` means that the times are known without decoding.
    """

    note: Note | None = None
    declared_fps: Fraction | None = None
    unit: Fraction = Fraction(1, 1000)
    times: list[Fraction | None] = field(default_factory=list)
    last: Fraction = Fraction(0)
    expected: int = 0
    complete: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        return self.note.settings if self.note else {}

    def add(self, pts: int | None, unit: Fraction | None, duration: int | None) -> None:
        unit = unit or self.unit
        self.times.append(None if pts is None else pts * unit)
        self.last = max(0, duration or 0) * unit


def uniform(track: Track, source: object) -> tuple[Fraction, list[int]]:
    """A uniform frame rate, and which picture is on the screen at each of its ticks.

    The rate is that of the note or the container, if every picture starts at one of its ticks;
    else the mean of the usual intervals, those within half of their median. Of pictures that start at the
    same time the last is shown. Times that are missing, or mostly out of order (AVI with B-frames), mean
    nothing: the pictures come in the right order, at the declared rate.

    Raises :class:`lumiere.io.limits.LimitError` if there are more ticks than the limits allow.
    """
    ordered = _ordered(track.times)
    if ordered is None:
        rate = _believed(track.declared_fps) or _STILL_RATE
        check_length(len(track.times), float(len(track.times) / rate), source)
        return rate, list(range(len(track.times)))
    times, indices = ordered
    for candidate in (track.note.fps if track.note else None, track.declared_fps):
        rate = _believed(candidate) or Fraction(0)
        if rate and (ticks := _ticks(times, rate, track.unit)):
            break
    else:
        rate = _usual_rate(times, track)
        ticks = [round(time * rate) for time in times]
    ends = [*ticks[1:], ticks[-1] + max(1, round(track.last * rate))]
    check_length(ends[-1], float(ends[-1] / rate), source)
    spans = zip(indices, ticks, ends, strict=True)
    return rate, [index for index, start, end in spans for _ in range(start, end)]


def _believed(rate: Fraction | None) -> Fraction | None:
    return rate if rate and 0 < rate <= FASTEST else None


def _ordered(given: Sequence[Fraction | None]) -> tuple[list[Fraction], list[int]] | None:
    """Times from 0 on that grow, and the picture that appears at each; None if the times mean nothing.

    A picture that another one replaces in the same moment is left out, and so is one that is out of order.
    """
    known = [time for time in given if time is not None]
    if not known or len(known) < len(given):
        return None
    pairs = list(pairwise(known))
    if sum(end < start for start, end in pairs) > _DISORDER * len(pairs):
        return None
    if sum(end == start for start, end in pairs) > len(pairs) / 2:
        return None
    times, indices = [known[0]], [0]
    for index, time in enumerate(known[1:], 1):
        if time > times[-1]:
            times.append(time)
            indices.append(index)
        elif time == times[-1]:
            indices[-1] = index
    return [time - times[0] for time in times], indices


def _ticks(times: Sequence[Fraction], rate: Fraction, unit: Fraction) -> list[int] | None:
    """At which tick of the rate each picture starts; None if one starts between ticks, or two at the same."""
    ticks = [round(time * rate) for time in times]
    slack = min(unit * rate, Fraction(1, 2))
    fit = all(abs(time * rate - tick) <= slack for time, tick in zip(times, ticks, strict=True))
    return ticks if fit and len(set(ticks)) == len(ticks) else None


def _usual_rate(times: Sequence[Fraction], track: Track) -> Fraction:
    intervals = [float(end - start) for start, end in pairwise(times)]
    intervals += [float(track.last)] if track.last else []
    if not intervals:
        return _believed(track.declared_fps) or _STILL_RATE
    middle = median_low(intervals)
    usual = fmean(interval for interval in intervals if middle / 2 <= interval <= middle * 3 / 2)
    return min(Fraction(1 / usual).limit_denominator(1001), Fraction(FASTEST)) or Fraction(1, 1001)
