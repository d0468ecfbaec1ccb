"""Copy detection: the nearest neighbour of each clip in another set, such as the training data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lumiere.errors import InputError
from lumiere.io.sheet import contact_sheet
from lumiere.io.video import Clip
from lumiere.metrics.clips import Source

_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Nearest:
    """A clip and its nearest one.

    Attributes:
        distance: of their features, standardised by the other set's deviation, a root mean square: about 1.4
            between clips that have nothing to do with each other, 0 for the same.
        closer_than: share of the other set's own clips that have no neighbour in it as near as that.
    """

    clip: str
    nearest: str
    distance: float
    closer_than: float


def nearest_clips(
    ours: np.ndarray, others: np.ndarray, names: Sequence[str], other_names: Sequence[str]
) -> list[Nearest]:
    """Of each of n clips the nearest of m others, the closest pair first.

    Args:
        ours, others: features, n x d and m x d, m at least 3.

    Raises:
        InputError: there are fewer than 3 others, too few to know what is near.
    """
    if len(others) < 3:
        raise InputError(f"{len(others)} clips to compare with; give 3 or more")
    deviation = others.std(0)
    scale = np.where(deviation > 1e-6 * (1 + np.abs(others).max()), deviation, np.inf)
    ours, others = ours / scale, others / scale
    places, distances = _nearest(ours, others, itself=False)
    _, usual = _nearest(others, others, itself=True)
    found = [
        Nearest(name, other_names[place], float(distance), float((usual > distance).mean()))
        for name, place, distance in zip(names, places, distances, strict=True)
    ]
    return sorted(found, key=lambda pair: pair.distance)


def _nearest(ours: np.ndarray, others: np.ndarray, itself: bool) -> tuple[np.ndarray, np.ndarray]:
    """Places and distances of the nearest; ``itself``: both are one set, no clip being its own neighbour."""
    places, distances = [], []
    lengths = np.square(others).sum(1)
    for start in range(0, len(ours), _ROWS_AT_ONCE):
        rows = ours[start : start + _ROWS_AT_ONCE]
        squares = np.square(rows).sum(1)[:, None] + lengths - 2 * rows @ others.T
        if itself:
            squares[np.arange(len(rows)), start + np.arange(len(rows))] = np.inf
        best = squares.argmin(1)
        places.append(best)
        # The expansion above loses small distances to cancellation.
        distances.append(np.sqrt(np.square(rows - others[best]).mean(1)))
    return np.concatenate(places), np.concatenate(distances)


def sheet(
    pairs: Sequence[Nearest], ours: Sequence[Source], others: Sequence[Source], frames: int = 6
) -> np.ndarray:
    """Each pair as two rows of frames: the clip, and below it the nearest one. Returns uint8, H x W x 3."""
    by_name, others_by_name = ({source.name: source for source in side} for side in (ours, others))
    clips: list[Clip] = []
    labels = []
    for pair in pairs:
        clips += [by_name[pair.clip].load(), others_by_name[pair.nearest].load()]
        near = f"nearest, at {pair.distance:.2f}, closer than {100 * pair.closer_than:.0f} % of its own"
        labels += [pair.clip, f"{near}: {pair.nearest}"]
    return contact_sheet(clips, frames, labels)
