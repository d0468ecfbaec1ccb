"""Shared state of an evaluation's cases: a model, the recogniser and the real clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lumiere.conditions import Condition
from lumiere.emoji.data.scenes import CLIP_FRAMES, Scene, Sprite, render
from lumiere.emoji.evaluation.recogniser import Recogniser, ranking
from lumiere.io.pixels import from_uint8, to_uint8
from lumiere.metrics.joins import border_step, join_step
from lumiere.pipelines.text_to_video import FROM_PROMPT_ALONE, LumierePipeline

if TYPE_CHECKING:
    from lumiere.emoji.evaluation.style_judges import StyleJudges

Figures = dict[str, float | bool | None]
#: clips to look at, under their names; the first is the generated one
Shown = dict[str, np.ndarray]


def sampling(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the pipeline's call, of a :class:`Bench`'s settings."""
    return {
        "num_inference_steps": settings["steps"],
        "guidance_scale": settings["guidance"],
        "guidance_interval": settings.get("guidance_interval"),
        **(FROM_PROMPT_ALONE if settings.get("one_pass") else {}),
    }


@dataclass(frozen=True)
class Bench:
    """Shared state of all cases.

    Attributes:
        sprites: of the objects, by code; empty if a task needs no real clips.
        labels: the objects' names, by code.
        settings: ``steps``, ``guidance`` and the first case's ``seed``, the next one's being one more; and,
            or else as the model has it, ``guidance_interval`` and ``one_pass``; all of it is written beside
            the figures.
        style_judges: the styles, where they are asked for.
    """

    pipe: LumierePipeline
    recogniser: Recogniser
    sprites: Mapping[str, Sprite]
    labels: Mapping[str, str]
    settings: Mapping[str, Any]
    style_judges: StyleJudges | None = None

    @property
    def sampling(self) -> dict[str, Any]:
        return sampling(self.settings)

    def real(self, scene: Scene) -> np.ndarray:
        return render(scene, dict(self.sprites), CLIP_FRAMES)

    def make(self, prompt: str, condition: Condition, seed: int) -> tuple[np.ndarray, Figures]:
        """The composited frames, and how well the known region was kept."""
        height, width = condition.height, condition.width
        options = {"height": height, "width": width, "seed": seed, **self.sampling}
        clip = self.pipe(prompt, condition=condition, **options)
        known = condition.known == 1
        return clip.frames, {
            "raw_psnr": clip.metadata["known_psnr"],
            "codec_psnr": condition.psnr(self.through_codec(condition.video)),
            "join": join_step(clip.frames, known),
            "border": border_step(clip.frames, known),
            "exact": bool((clip.frames[known] == condition.video[known]).all()),
        }

    def through_codec(self, frames: np.ndarray) -> np.ndarray:
        codec = self.pipe.codec
        video = from_uint8(frames, codec.device, codec.dtype)
        with torch.no_grad():
            return to_uint8(codec.decode(codec.encode(video[None]))[0].float())

    def names(self, frames: np.ndarray, code: str) -> bool:
        return ranking(self.recogniser.probabilities(frames))[0] == code
