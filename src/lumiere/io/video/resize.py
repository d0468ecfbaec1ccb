"""Resize frames."""

from __future__ import annotations

import numpy as np
from PIL import Image


def resize(frames: np.ndarray, height: int, width: int, how: Image.Resampling | None = None) -> np.ndarray:
    """Each frame at another size.

    Args:
        frames: uint8 t x h x w x 3, or float32 t x h x w.
        how: default: the mean of the area where a side shrinks, else bicubic interpolation.
    """
    if frames.shape[1:3] == (height, width):
        return frames
    if how is None:
        shrinks = height < frames.shape[1] or width < frames.shape[2]
        how = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
    return np.stack([np.asarray(Image.fromarray(frame).resize((width, height), how)) for frame in frames])
