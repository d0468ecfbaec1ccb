"""Steps where given pixels meet generated ones: in time, and in space at the border of a mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8

#: of 255: a clip that stands still has no smaller step
_LEAST = 0.05


def join_step(frames: UInt8[np.ndarray, "t h w 3"], known: Bool[np.ndarray, "t h w"]) -> float | None:
    """The largest step at which pixels change from given to generated or back, over the median step.

    Steps are mean absolute differences of consecutive frames. Both are of the pixels that change anywhere, so
    that a mask's still surroundings do not count. 1 is no seam; None if no pixel changes.
    """
    changes = known[1:] != known[:-1]
    if not changes.any():
        return None
    steps = np.abs(np.diff(frames.astype(np.int16), axis=0)).mean(-1)
    typical = np.median(steps[:, changes.any(0)].mean(1))
    at_joins = [step[changed].mean() for step, changed in zip(steps, changes, strict=True) if changed.any()]
    return float(max(at_joins) / max(typical, _LEAST))


def steps_at(frames: UInt8[np.ndarray, "t h w 3"], joins: Sequence[int]) -> list[float]:
    """The step to each frame of ``joins``, from 1 to t - 1, over the median step of the clip."""
    steps = np.abs(np.diff(frames.astype(np.int16), axis=0)).mean((1, 2, 3))
    return [float(steps[join - 1] / max(np.median(steps), _LEAST)) for join in joins]


def border_step(frames: UInt8[np.ndarray, "t h w 3"], known: Bool[np.ndarray, "t h w"]) -> float | None:
    """The mean difference of two neighbouring pixels of which one alone is given, over that of the neighbours
    on either side of them. 1 is no seam; None if there is no border."""
    across: list[np.ndarray] = []
    beside: list[np.ndarray] = []
    for axis in (1, 2):
        pixels, mask = np.moveaxis(frames, axis, 1).astype(np.int16), np.moveaxis(known, axis, 1)
        steps = np.abs(np.diff(pixels, axis=1)).mean(-1)
        border = mask[:, 2:-1] != mask[:, 1:-2]
        across.append(steps[:, 1:-1][border])
        beside += [steps[:, :-2][border], steps[:, 2:][border]]
    if not sum(map(len, across)):
        return None
    return float(np.concatenate(across).mean() / max(np.concatenate(beside).mean(), _LEAST))
