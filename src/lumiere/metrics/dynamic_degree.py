"""Dynamic degree, after VBench."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np

from lumiere.metrics.optical_flow import optical_flow

FPS = 8
_FASTEST_SHARE = 0.05


def dynamic_degree(frames: np.ndarray, fps: int | float | Fraction) -> tuple[bool, float]:
    """Whether a clip moves much, and how fast its fastest twentieth moves, in pixels an eighth of a second.

    As VBench's (Huang et al. 2024): of the clip at 8 frames a second the optical flow between successive
    frames is taken, and of each the mean of the longest 5 %. A clip is dynamic if that is over 6 pixels at
    256 (the smaller side) in at least a quarter of its frames. VBench's flow is RAFT, here it is Farneback's.
    Over clips the score is the share that is dynamic.

    Args:
        frames: uint8, t x h x w x 3, t at least 2.

    Raises:
        InputError: OpenCV is not installed.
    """
    kept = frames[:: max(1, round(fps / FPS))]
    if len(kept) < 2:
        kept = frames[[0, -1]]
    longest = max(1, int(kept[0, ..., 0].size * _FASTEST_SHARE))
    speeds = []
    for earlier, later in itertools.pairwise(kept):
        lengths = np.linalg.norm(optical_flow(earlier, later), axis=-1).ravel()
        speeds.append(float(np.partition(lengths, -longest)[-longest:].mean()))
    threshold = 6 * min(frames.shape[1:3]) / 256
    return sum(speed > threshold for speed in speeds) >= max(1, round(len(kept) / 4)), float(np.mean(speeds))
