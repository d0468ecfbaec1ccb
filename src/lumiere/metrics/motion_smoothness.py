"""Motion smoothness, after VBench."""

from __future__ import annotations

import numpy as np

from lumiere.metrics.optical_flow import moved, optical_flow


def motion_smoothness(frames: np.ndarray) -> float:
    """(255 - mean absolute error of every other frame, interpolated from its neighbours) / 255; 1 is best.

    As VBench's (Huang et al. 2024): each of the frames 1, 3, 5, ... is left out, interpolated from
    its neighbours, and compared. VBench interpolates with the net AMT; here it is optical flow
    (Farneback's), half of the way from either side: of the same kind, but not to be set beside its tables.

    Args:
        frames: uint8, t x h x w x 3, t at least 3.

    Raises:
        InputError: OpenCV is not installed.
    """
    errors = []
    for before, middle, after in zip(frames[:-2:2], frames[1:-1:2], frames[2::2], strict=False):
        ahead, back = optical_flow(before, after), optical_flow(after, before)
        made = (moved(before, back / 2) + moved(after, ahead / 2)) / 2
        errors.append(np.abs(made - middle).mean())
    return float(1 - np.mean(errors) / 255)
