"""95 % confidence intervals by the bootstrap (Efron 1979): clips are resampled with replacement."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Z = 1.96


def mean_interval(values: np.ndarray, resamples: int = 1000) -> tuple[float, float]:
    """Percentile interval of the mean of n numbers."""
    rng = np.random.default_rng(0)
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(resamples)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def interval(
    statistic: Callable[..., float], *samples: np.ndarray, resamples: int = 100
) -> tuple[float, float]:
    """The statistic of the samples (n x ...), less and plus 1.96 standard deviations of its resamples.

    No percentiles: a distance between resamples is larger than that between samples, since resamples hold
    some clips twice. Their spread is used, not their mean. The lower end is 0 or more.
    """
    rng = np.random.default_rng(0)
    values = [
        statistic(*(sample[rng.integers(len(sample), size=len(sample))] for sample in samples))
        for _ in range(resamples)
    ]
    middle, half = statistic(*samples), Z * float(np.std(values, ddof=1))
    return max(0.0, middle - half), middle + half
