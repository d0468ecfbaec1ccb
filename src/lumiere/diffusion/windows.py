"""Overlapping windows along an axis, and tiles, which are windows along several. Pure geometry.

All windows of an axis have the same size and lie within it, so that a net meets one shape only; every
position is covered. They start at multiples of the stride, window - overlap. The last one, if it would reach
over the end, is moved back to it and overlaps more, unless the axis is circular: then it goes on at the
beginning.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lumiere.errors import InputError


def _flat(size: int) -> Tensor:
    return torch.ones(size, dtype=torch.float64)


def _pyramid(size: int) -> Tensor:
    rising = torch.arange(1, size + 1, dtype=torch.float64)
    return torch.minimum(rising, rising.flip(0))


def _cosine(size: int) -> Tensor:
    return (math.pi * (torch.arange(size, dtype=torch.float64) + 0.5) / size).sin().square()


#: What each position within a window counts, before normalisation; always above 0. The paper's is flat.
WEIGHTS: dict[str, Callable[[int], Tensor]] = {"flat": _flat, "pyramid": _pyramid, "cosine": _cosine}


@dataclass(frozen=True)
class Windows:
    """Equal windows along an axis of ``length`` positions, by their first positions, ascending."""

    length: int
    size: int
    starts: tuple[int, ...]

    def spans(self, start: int) -> list[tuple[slice, slice]]:
        """Where the window at ``start`` lies: pairs of a slice of the axis and that slice's place in the
        window. There are two if the window goes on at the beginning of a circular axis."""
        first = min(self.size, self.length - start)
        spans = [(slice(start, start + first), slice(0, first))]
        if first < self.size:
            spans.append((slice(0, self.size - first), slice(first, self.size)))
        return spans

    def weights(self, kind: str) -> Float[Tensor, "windows size"]:
        """What each window's positions count, float64; over all windows, each position's sum to 1.

        Raises:
            InputError: ``kind`` is none of ``WEIGHTS``.
        """
        if kind not in WEIGHTS:
            raise InputError(f"weights is {kind!r}; choose one of {', '.join(WEIGHTS)}")
        raw = WEIGHTS[kind](self.size)
        total = torch.zeros(self.length, dtype=torch.float64)
        for start in self.starts:
            for there, here in self.spans(start):
                total[there] += raw[here]
        positions = torch.tensor(self.starts)[:, None] + torch.arange(self.size)
        return raw / total[positions % self.length]


def windows(length: int, size: int, overlap: int, *, circular: bool = False) -> Windows:
    """Cover ``length`` positions by windows of ``size``, neighbours sharing at least ``overlap``.

    A window longer than the axis becomes as long as the axis.

    Raises:
        InputError: ``length`` or ``size`` is below 1, or ``overlap`` is not within 0 and ``size - 1``.
    """
    if length < 1:
        raise InputError(f"length is {length}; give at least 1")
    if size < 1:
        raise InputError(f"window is {size}; give at least 1")
    if not 0 <= overlap < size:
        raise InputError(f"overlap is {overlap} and window {size}; give an overlap from 0 to {size - 1}")
    size = min(size, length)
    stride = size - min(overlap, size - 1)
    if circular:
        return Windows(length, size, tuple(range(0, length, stride)))
    last = length - size
    return Windows(length, size, (*range(0, last, stride), last))


@dataclass(frozen=True)
class Tile:
    """A window of each of some axes at once."""

    #: by axis, as :meth:`Windows.spans` gives them
    spans: dict[int, list[tuple[slice, slice]]]
    #: by axis, what positions count
    weights: dict[int, Tensor]

    def crop(self, whole: Tensor) -> Tensor:
        """The part of ``whole`` that the tile covers."""
        for axis, spans in self.spans.items():
            parts = [whole[(slice(None),) * axis + (there,)] for there, _ in spans]
            whole = parts[0] if len(parts) == 1 else torch.cat(parts, axis)
        return whole

    def add(self, whole: Tensor, part: Tensor) -> None:
        """Add ``part``, weighted, to the part of ``whole`` that the tile covers."""
        for axis, weights in self.weights.items():
            part = part * weights.to(part).view(-1, *[1] * (part.ndim - axis - 1))
        for spans in itertools.product(*self.spans.values()):
            there, here = [slice(None)] * whole.ndim, [slice(None)] * whole.ndim
            for axis, pair in zip(self.spans, spans, strict=True):
                there[axis], here[axis] = pair
            whole[tuple(there)] += part[tuple(here)]


def tiles(axes: Mapping[int, Windows], weights: str = "flat") -> list[Tile]:
    """Every combination of a window of each axis, the last axis varying fastest.

    Args:
        axes: the windows along each axis, by the axis's number from the front.
        weights: one of ``WEIGHTS``.

    Raises:
        InputError: as :meth:`Windows.weights` does.
    """
    along = [
        [
            (axis, each.spans(start), row)
            for start, row in zip(each.starts, each.weights(weights), strict=True)
        ]
        for axis, each in axes.items()
    ]
    return [
        Tile({axis: spans for axis, spans, _ in chosen}, {axis: row for axis, _, row in chosen})
        for chosen in itertools.product(*along)
    ]
