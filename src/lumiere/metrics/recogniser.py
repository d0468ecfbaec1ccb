"""What metrics ask of a recogniser, a net that names the objects of some domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Recogniser(Protocol):
    """Names objects in clips, which are uint8, t x h x w x 3.

    Attributes:
        labels: the objects' names by code.
        sha256: of its weights, which is written beside what it measures.
    """

    labels: dict[str, str]
    sha256: str

    def probabilities(self, frames: np.ndarray) -> Mapping[str, float]:
        """Each object's probability in the clip, 0 to 1, by code."""

    def features(self, frames: np.ndarray) -> np.ndarray:
        """Features of each frame, t x d."""
