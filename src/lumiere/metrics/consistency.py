"""Fidelity of an upscaled clip to its reference, per frame and between frames.

All functions take frames as uint8, t x h x w x 3. SSIM (Wang et al. 2004) and optical flow are
scikit-image's.
"""

from __future__ import annotations

import importlib
import itertools
from typing import Any

import numpy as np

from lumiere.diffusion.windows import Windows
from lumiere.errors import InputError

#: side of the frames on which flow is computed, pixels
FLOW_SIDE = 256
FLOW_RADIUS = 7
#: of 255: where the true clip, warped, misses itself by more, its flow is wrong or something was uncovered
OCCLUDED = 8.0


def psnr(made: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in decibels, over all frames at once."""
    error = np.mean([np.square(a - b.astype(np.float32)).mean() for a, b in zip(made, truth, strict=True)])
    return float(10 * np.log10(255**2 / max(error, 1e-10)))


def ssim(made: np.ndarray, truth: np.ndarray) -> float:
    """Mean structural similarity of the frames, -1 to 1, with the Gaussian window of the original paper.

    Raises:
        InputError: scikit-image is not installed.
    """
    structural_similarity = _skimage("metrics").structural_similarity
    how = {"channel_axis": -1, "gaussian_weights": True, "use_sample_covariance": False, "data_range": 255}
    return float(np.mean([structural_similarity(a, b, **how) for a, b in zip(made, truth, strict=True)]))


def change_errors(made: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """How wrongly each frame follows the one before it: t - 1 mean absolute errors of the change, of 255.

    Real motion is in both clips' changes and cancels out.
    """
    error = [a.astype(np.float32) - b for a, b in zip(made, truth, strict=True)]
    return np.array([np.abs(later - earlier).mean() for earlier, later in itertools.pairwise(error)])


def borders(windows: Windows) -> np.ndarray:
    """Which of the length - 1 steps from frame to frame pass from some windows into others: bool."""
    crossed = np.zeros(windows.length - 1, bool)
    for start in windows.starts:
        for edge in (start, start + windows.size):
            if 0 < edge < windows.length:
                crossed[edge - 1] = True
    return crossed


def seam(errors: np.ndarray, crossed: np.ndarray) -> float:
    """Mean ``change_errors`` (clips x steps) at the windows' borders over that elsewhere; 1 is no seam."""
    return float(errors[:, crossed].mean() / errors[:, ~crossed].mean())


def flows(truth: np.ndarray) -> np.ndarray:
    """Where each pixel was a frame earlier: float32, t - 1 x 2 x h x w, rows and columns of displacement.

    By the iterative Lucas-Kanade method, on frames of at most 256 pixels.

    Raises:
        InputError: scikit-image is not installed.
    """
    optical_flow, resize = _skimage("registration").optical_flow_ilk, _skimage("transform").resize
    height, width = truth.shape[1:3]
    scale = min(1.0, FLOW_SIDE / max(height, width))
    small = (round(height * scale), round(width * scale))
    gray = [resize(frame.mean(-1, dtype=np.float32) / 255, small, anti_aliasing=scale < 1) for frame in truth]
    found = [
        optical_flow(later, earlier, radius=FLOW_RADIUS, dtype=np.float32)
        for earlier, later in itertools.pairwise(gray)
    ]
    return np.stack([resize(flow, (2, height, width)) / scale for flow in found]).astype(np.float32)


def detail(frames: np.ndarray) -> float:
    """Fine detail: the root of the mean square of the brightness's Laplacian, of 255."""
    gray = frames.mean(-1, dtype=np.float32)
    around = gray[:, :-2, 1:-1] + gray[:, 2:, 1:-1] + gray[:, 1:-1, :-2] + gray[:, 1:-1, 2:]
    return float(np.sqrt(np.square(around - 4 * gray[:, 1:-1, 1:-1]).mean()))


def warped_error(
    made: np.ndarray, truth: np.ndarray, flow: np.ndarray, within: np.ndarray | None = None
) -> float:
    """Flow-warped error (Lai et al. 2018): the difference from the frame before, moved along the true clip's
    ``flows``; mean absolute, of 255, where the true clip itself differs little.

    Args:
        within: bool, t x h x w: only these pixels count.

    Raises:
        InputError: scikit-image is not installed.
    """
    height, width = truth.shape[1:3]
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij")).astype(np.float32)
    total, count = 0.0, 0
    for index, displaced in enumerate(flow + grid):
        seen = _differences(truth, index, displaced) < OCCLUDED
        if within is not None:
            seen &= within[index + 1]
        total += float(_differences(made, index, displaced)[seen].sum())
        count += int(seen.sum())
    return total / max(count, 1)


def _differences(frames: np.ndarray, index: int, places: np.ndarray) -> np.ndarray:
    """h x w: between frame ``index + 1`` and frame ``index`` read at ``places``."""
    warp = _skimage("transform").warp
    moved = np.stack(
        [warp(frames[index, ..., channel].astype(np.float32), places, mode="edge") for channel in range(3)],
        -1,
    )
    return np.abs(moved - frames[index + 1]).mean(-1)


def _skimage(module: str) -> Any:
    try:
        return importlib.import_module(f"skimage.{module}")
    except ImportError:
        raise InputError("this needs scikit-image: pip install 'lumiere-video[evaluate]'") from None
