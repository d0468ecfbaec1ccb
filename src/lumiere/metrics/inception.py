"""Inception score (Salimans et al. 2016)."""

from __future__ import annotations

import numpy as np

from lumiere.errors import InputError


def inception_score(probabilities: np.ndarray, splits: int = 1) -> tuple[float, float]:
    """exp of the mean Kullback-Leibler divergence of each clip's classes from those of all clips.

    Args:
        probabilities: n x k, each row sums to 1.
        splits: the score is that of each of so many random parts; published ones use 10.

    Returns:
        Its mean over the parts, from 1 to k, and their standard deviation.

    Raises:
        InputError: fewer clips than parts.
    """
    if len(probabilities) < splits:
        raise InputError(
            f"an inception score of {len(probabilities)} clips in {splits} parts; give more clips"
        )
    order = np.random.default_rng(0).permutation(len(probabilities))  # else each part would hold some classes
    scores = [_score(part) for part in np.array_split(probabilities[order].astype(np.float64), splits)]
    return float(np.mean(scores)), float(np.std(scores))


def _score(probabilities: np.ndarray) -> float:
    floor = np.finfo(np.float64).tiny
    share = np.log(probabilities.clip(floor)) - np.log(probabilities.mean(0).clip(floor))
    return float(np.exp((probabilities * share).sum(1).mean()))
