"""Flow-warped error of a clip by itself (Lai et al. 2018)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from lumiere.metrics.optical_flow import moved, optical_flow


@dataclass(frozen=True)
class WarpingError:
    """``error``: mean square, of colours from 0 to 1; ``occluded``: the share of pixels left out of it."""

    error: float
    occluded: float


def warping_error(frames: np.ndarray) -> WarpingError:
    """How much each frame differs from the one before, moved along the optical flow: flicker, not motion.

    E_warp of Lai et al. 2018: the mean squared difference where nothing was uncovered, which is where the
    flow forth and back agree and no motion ends (Ruder et al. 2016). Flow is Farneback's on the clip itself;
    theirs is FlowNet2 on the unprocessed input. Where flow cannot follow, pixels count as occluded: a low
    error with a large occluded share says nothing.

    Args:
        frames: uint8, t x h x w x 3, t at least 2.

    Raises:
        InputError: OpenCV is not installed.
    """
    total, seen_pixels = 0.0, 0
    for earlier, later in itertools.pairwise(frames):
        ahead, back = optical_flow(earlier, later), optical_flow(later, earlier)
        seen = _seen(back, moved(ahead, back))
        error = np.square((moved(earlier, back) - later) / 255).mean(-1)
        total += float(error[seen].sum())
        seen_pixels += int(seen.sum())
    pixels = frames[1:, ..., 0].size
    return WarpingError(total / max(1, seen_pixels), 1 - seen_pixels / pixels)


def _seen(back: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """h x w: what was there a frame earlier, by Ruder et al.'s equations 5 and 6."""
    length = np.square(back).sum(-1)
    apart = np.square(back + ahead).sum(-1)
    bend = sum(np.square(slope).sum(-1) for slope in np.gradient(back, axis=(0, 1)))
    agree = apart <= 0.01 * (length + np.square(ahead).sum(-1)) + 0.5
    return np.asarray(agree & (bend <= 0.01 * length + 0.002))
