"""The interface of training data.

b samples of a batch   t frames   h w pixels, or places of the codec's grid   l d text states
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from lumiere.conditions import Box


@dataclass(frozen=True)
class Prepared:
    """A batch on the training device, in float32.

    Attributes:
        latents: ``b c t h w``.
        first_frames: index in its clip of each window's first frame, ``b``.
        video: pixels in [-1, 1], ``b 3 t h w``; None if the batch was drawn without.
    """

    latents: Tensor
    first_frames: Tensor
    video: Tensor | None


class Source(ABC):
    """Captioned pictures or windows of clips, drawn by sample number and encoded for a net.

    Drawing is a function of the configuration and the numbers of the samples, so that a resumed run sees the
    batches of an uninterrupted one.
    """

    #: of the clips, per second; None if they do not state one common rate
    fps: int | float | None = None
    #: whether a stage draws noise per batch instead of per sample; see :func:`lumiere.train.draw.draws`
    draws_together: bool = False

    @abstractmethod
    def prompts(self, count: int) -> list[str]:
        """Captions to sample with while training, where the configuration gives no prompts."""

    @abstractmethod
    def draw(
        self, step: int, samples: range, rngs: Sequence[np.random.Generator], pixels: bool = False
    ) -> Any:
        """Draw and read a batch, on the CPU. Called from several threads.

        Args:
            step: number of the training step; what all processes must agree on depends on it alone.
            samples: numbers of the samples, counted from the beginning of the run.
            rngs: a generator for each sample, which the source may advance. The caller draws masks from it
                afterwards.
            pixels: whether :meth:`prepare` gives the video too, and :meth:`shape` and :meth:`boxes` are
                asked for.

        Raises:
            InputError: a sample cannot be read.
        """

    @abstractmethod
    def shape(self, drawn: Any) -> tuple[int, int, int]:
        """Frames, height and width in pixels of each window of a batch."""

    @abstractmethod
    def boxes(self, drawn: Any) -> list[Callable[[], Box | None]]:
        """For each window, a function that gives the pixel box around its objects over all frames, or None
        where they are not known."""

    @abstractmethod
    def prepare(self, drawn: Any) -> Prepared:
        """Move a batch to the training device and encode its pictures, without gradients."""

    @abstractmethod
    def context(self, drawn: Any) -> Tensor:
        """Text states of the captions of a batch, ``b l d``, float32."""

    def plain_context(self, drawn: Any) -> Tensor | None:
        """As :meth:`context`, of each caption's plain wording, for a teacher; None if there is one wording
        only."""
        return None
