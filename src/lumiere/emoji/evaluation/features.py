"""Features of a clip by the recogniser, for Frechet distances, the inception score and the copy check."""

from __future__ import annotations

import numpy as np
import torch

from lumiere.emoji.evaluation.recogniser import Recogniser, object_crops
from lumiere.metrics.features import FRAMES, RECOGNISER, Features


def recogniser_features(recogniser: Recogniser, frames: int = FRAMES, stride: int | None = None) -> Features:
    """Of the square around the object: the mean of the recogniser's features over the frames, and the mean of
    their absolute change from one to the next, so that the order of the frames counts.

    Args:
        frames, stride: see :class:`Features`.
    """

    @torch.no_grad()
    def extract(clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen = recogniser.net.features(object_crops(clip))
        classes = recogniser.net.head(seen).softmax(1).mean(0)
        change = seen.diff(dim=0).abs().mean(0) if len(seen) > 1 else torch.zeros_like(seen[0])
        return torch.cat([seen.mean(0), change]).numpy(), classes.numpy()

    words = "a square around the object, 64x64; mean over frames, and mean absolute change between frames"
    return Features(RECOGNISER, RECOGNISER, recogniser.sha256, words, frames, stride, extract)
