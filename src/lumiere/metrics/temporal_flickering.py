"""Temporal flickering, as VBench defines it."""

from __future__ import annotations

import itertools

import numpy as np


def temporal_flickering(frames: np.ndarray) -> float:
    """(255 - mean absolute difference of successive frames) / 255: 1 is still, less is flicker or motion.

    The same as VBench's (Huang et al. 2024), which asks it of prompts for static scenes alone: of a clip in
    which things are to move it says nothing about flicker; ``warping_error`` does.

    Args:
        frames: uint8, t x h x w x 3, t at least 2.
    """
    differences = [np.abs(a.astype(np.int16) - b).mean() for a, b in itertools.pairwise(frames)]
    return float(1 - np.mean(differences) / 255)
