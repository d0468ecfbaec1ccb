"""Frames on a coarse grid."""

from __future__ import annotations

import numpy as np


def block_means(frames: np.ndarray, cells: int) -> np.ndarray:
    """The means of about ``cells`` x ``cells`` blocks of each frame.

    Args:
        frames: uint8, t x h x w x 3; rows and columns past the last whole block are left out.

    Returns:
        float32, t x rows x columns x 3.
    """
    time, height, width, channels = frames.shape
    rows, columns = max(1, height // cells), max(1, width // cells)
    cut = frames[:, : height // rows * rows, : width // columns * columns]
    blocks = cut.reshape(time, height // rows, rows, width // columns, columns, channels)
    return blocks.mean((2, 4), dtype=np.float32)
