"""How objects move, by DIS optical flow.

Flow is measured over two frames at once, since objects here move by less than a pixel from one to the next;
over four, a bounce is too fast to be followed.
All functions take frames as uint8, t x h x w x 3.
"""

from __future__ import annotations

import itertools

import numpy as np

from lumiere.emoji.evaluation.figures import foreground
from lumiere.io.video import resize
from lumiere.metrics.optical_flow import optical_flow

STRIDE = 2


def flow(frames: np.ndarray) -> np.ndarray:
    """Where each pixel of every second frame is two frames later: float32, n x h x w x 2, x and y in pixels.

    Raises:
        InputError: OpenCV is not installed.
    """
    return np.stack([optical_flow(*pair, "dis") for pair in itertools.pairwise(frames[::STRIDE])])


def flow_correlation(source: np.ndarray, made: np.ndarray) -> float:
    """Pearson's correlation of two clips' flow, where the source shows its object.

    1 is the same motion, 0 has nothing to do with it; 0, too, if either does not move.

    Raises:
        InputError: OpenCV is not installed.
    """
    one, other = (flow(clip)[_object(source)].ravel() for clip in (source, made))
    if not one.size or not one.std() or not other.std():
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def flow_magnitude(frames: np.ndarray) -> float:
    """Mean length of the flow, in pixels a frame, where the clip shows its object; 0 if it shows none.

    Raises:
        InputError: OpenCV is not installed.
    """
    lengths = np.linalg.norm(flow(frames)[_object(frames)], axis=-1)
    return float(lengths.mean()) / STRIDE if lengths.size else 0.0


def _object(frames: np.ndarray) -> np.ndarray:
    """Where the object is in the earlier frame of each pair: bool, n x h x w."""
    weights = foreground(frames[::STRIDE][:-1])
    return resize(weights, *frames.shape[1:3]) > 0.5
