"""Dense optical flow from one frame to another, OpenCV's: Farneback (2003), and DIS (Kroeger et al. 2016).

Farneback's stays at 0 where there is nothing to see; of a trembling object on a plain background DIS finds
motion everywhere (4 pixels a frame at the border of a clip whose background is still). On an object that is
known to move, DIS is the truer one: see docs/styles-and-editing.md.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal

import numpy as np

from lumiere.errors import InputError
from lumiere.metrics.consistency import FLOW_SIDE

LEAST_SIDE = 16
_PYRAMID_SCALE, _LEVELS, _WINDOW, _ITERATIONS = 0.5, 4, 15, 3
_NEIGHBOURS, _DEVIATION = 5, 1.1


def opencv() -> Any:
    """OpenCV. Raises :class:`InputError` if it is not installed."""
    try:
        return importlib.import_module("cv2")
    except ImportError:
        raise InputError("this needs OpenCV: pip install 'lumiere-video[evaluate]'") from None


def optical_flow(
    earlier: np.ndarray, later: np.ndarray, method: Literal["farneback", "dis"] = "farneback"
) -> np.ndarray:
    """Where each pixel of one frame (uint8, h x w x 3) is in another: float32, h x w x 2, x and y in pixels.

    It is computed on frames of at most 256 pixels a side.

    Raises:
        InputError: OpenCV is not installed, or a side is below 16 pixels.
    """
    cv2 = opencv()
    height, width = earlier.shape[:2]
    if min(height, width) < LEAST_SIDE:
        raise InputError(f"optical flow of {width}x{height} pixels; give sides of {LEAST_SIDE} or more")
    scale = min(1.0, FLOW_SIDE / max(height, width))
    size = (max(LEAST_SIDE, round(width * scale)), max(LEAST_SIDE, round(height * scale)))
    gray = [
        cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
        for frame in (earlier, later)
    ]
    if method == "dis":
        found = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*gray, None)
    else:
        settings = (_PYRAMID_SCALE, _LEVELS, _WINDOW, _ITERATIONS, _NEIGHBOURS, _DEVIATION, 0)
        found = cv2.calcOpticalFlowFarneback(*gray, None, *settings)
    return np.asarray(
        cv2.resize(found, (width, height)) * np.array([width / size[0], height / size[1]], "f4")
    )


def moved(picture: np.ndarray, displacement: np.ndarray) -> np.ndarray:
    """A picture (h x w x c) read at each pixel's place plus its ``displacement`` (h x w x 2): float32.

    Raises:
        InputError: OpenCV is not installed.
    """
    cv2 = opencv()
    height, width = displacement.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    places = x + displacement[..., 0], y + displacement[..., 1]
    return np.asarray(
        cv2.remap(picture.astype(np.float32), *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    )
