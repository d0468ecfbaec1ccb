"""The typical text-to-video design (section 1 of arXiv 2401.12945): a model makes distant keyframes, another
one, temporal super-resolution, the frames between them, in segments that do not see each other.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from lumiere.conditions import from_frames
from lumiere.errors import InputError
from lumiere.io.video import Clip
from lumiere.pipelines.text_to_video import LumierePipeline


@dataclass(frozen=True)
class KeyframeCascade:
    """Two models that together make a clip.

    Attributes:
        keyframes: makes a clip at a low frame rate.
        between: makes a segment at the full rate, of which it is given every so many frames, as
            ``keyframe_interval`` of a training run has it. Segments share the keyframe at their border.

    Raises :class:`InputError` if their rates or lengths do not fit each other.
    """

    keyframes: LumierePipeline
    between: LumierePipeline

    def __post_init__(self) -> None:
        slow, fast = self.keyframes.config["fps"], self.between.config["fps"]
        if fast % slow > 1e-6 * fast and slow - fast % slow > 1e-6 * fast:
            raise InputError(f"keyframes at {slow:g} fps do not divide a clip's {fast:g}; train them to")
        segment, count = self.between.config["frames"] - 1, self.keyframes.config["frames"] - 1
        if segment % self.interval or count % (segment // self.interval):
            raise InputError(
                f"{count + 1} keyframes, one each {self.interval} frames, are no whole number of segments of "
                f"{segment + 1} frames that begin and end with one"
            )

    @classmethod
    def from_pretrained(
        cls, keyframes: str | os.PathLike[str], between: str | os.PathLike[str], **options: Any
    ) -> KeyframeCascade:
        """Load both from their folders; ``options`` are those of :meth:`LumierePipeline.from_pretrained`."""
        return cls(*(LumierePipeline.from_pretrained(each, **options) for each in (keyframes, between)))

    @property
    def interval(self) -> int:
        """Frames from one keyframe to the next."""
        return round(self.between.config["fps"] / self.keyframes.config["fps"])

    def __call__(self, prompt: str, *, seed: int, **options: Any) -> Clip:
        """Make a clip: of n keyframes (n - 1) x ``interval`` + 1 frames.

        Args:
            seed: of the keyframes; the segments' are those after it.
            options: of both models' calls.
        """
        made = self.keyframes(prompt, seed=seed, **options)
        return self.fill(made.frames, prompt, seed=seed, **options)

    def fill(self, keyframes: np.ndarray, prompt: str, *, seed: int, **options: Any) -> Clip:
        """Make the frames between ``keyframes`` (uint8, n x h x w x 3), which the clip holds exactly.

        Args:
            prompt: prompt of the segments; "" for a super-resolution conditioned on images alone.

        Raises:
            InputError: they are no whole number of segments.
        """
        length = self.between.config["frames"]
        step = (length - 1) // self.interval
        if len(keyframes) < 2 or (len(keyframes) - 1) % step:
            raise InputError(f"{len(keyframes)} keyframes are given; give 1 more than a multiple of {step}")
        segments: list[np.ndarray] = []
        for number, first in enumerate(range(0, len(keyframes) - 1, step)):
            given = {n * self.interval: keyframes[first + n] for n in range(step + 1)}
            made = self.between(
                prompt,
                condition=from_frames(given, length),
                frame_offset=first * self.interval,
                seed=seed + 1 + number,
                **options,
            )
            segments.append(made.frames if not segments else made.frames[1:])
        about = {**made.metadata, "seed": seed, "keyframe_interval": self.interval}
        return Clip(np.concatenate(segments), self.between.config["fps"], about)
