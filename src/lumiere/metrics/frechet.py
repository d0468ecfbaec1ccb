"""Frechet distance of two sets of features (Heusel et al. 2017); of I3D features it is FVD (Unterthiner et
al. 2018)."""

from __future__ import annotations

import numpy as np

from lumiere.errors import InputError


def frechet_distance(ours: np.ndarray, real: np.ndarray) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), with means m and sample covariances S (divided by n - 1).

    The last trace is the sum of the singular values of A1 A2^T, where S = A^T A: no root of a matrix is
    taken, so nothing is lost where a covariance is not of full rank, and nothing is complex.

    Args:
        ours, real: n x d and m x d, n and m at least 2.

    Returns:
        0 or more, in the features' units, squared.

    Raises:
        InputError: fewer than two of one of them, or they have different widths.
    """
    if min(len(ours), len(real)) < 2 or ours.shape[1] != real.shape[1]:
        raise InputError(
            f"a Frechet distance between {ours.shape} and {real.shape} features; it needs two or more clips "
            "on each side and as many features of each"
        )
    (mean1, root1), (mean2, root2) = _moments(ours), _moments(real)
    spread = np.square(root1).sum() + np.square(root2).sum()
    common = np.linalg.norm(root1 @ root2.T, "nuc")
    return max(0.0, float(np.square(mean1 - mean2).sum() + spread - 2 * common))


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean, and a root A of the covariance A^T A, of at most d rows."""
    features = features.astype(np.float64)
    mean = features.mean(0)
    centred = (features - mean) / np.sqrt(len(features) - 1)
    if len(centred) > centred.shape[1]:
        centred = np.asarray(np.linalg.qr(centred, mode="r"))
    return mean, centred
