"""Subject consistency, after VBench."""

from __future__ import annotations

import numpy as np


def subject_consistency(features: np.ndarray) -> float:
    """Mean over frames 2, 3, ... of the cosine similarity to the first and to the previous frame; 1 is best.

    VBench's formula (Huang et al. 2024), similarities below 0 counting as 0. VBench's features are DINO's of
    the whole frame; the project's own are the recogniser's, of a square around the object, and say whether it
    stays the same object.

    Args:
        features: t x d, one row a frame, t at least 2.
    """
    features = features / np.linalg.norm(features, axis=1, keepdims=True).clip(1e-12)
    first, previous = features[1:] @ features[0], (features[1:] * features[:-1]).sum(1)
    return float((first.clip(0) + previous.clip(0)).mean() / 2)
