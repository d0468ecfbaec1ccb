"""The conditioned stage: temporal layers learn to continue, animate and inpaint known pixels (section 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lumiere.diffusion.conditioning import condition_channels, encode_condition
from lumiere.train.config import ConditionedConfig
from lumiere.train.draw import Draws, numbers, sample_rngs
from lumiere.train.masks import keyframe_mask, random_mask
from lumiere.train.temporal import TemporalStage


class ConditionedStage(TemporalStage):
    config: ConditionedConfig

    def condition_channels(self) -> int:
        return condition_channels(self.encode.codec)

    def load(self, step: int, samples: range) -> Any:
        """A batch and its masks of known pixels, bool ``b t h w``; None in an unconditioned step."""
        every, seed = self.config.keyframe_interval, self.config.seed
        if not every and numbers("nothing", seed, step).random() < self.config.unconditioned_share:
            return super().load(step, samples), None
        rngs = sample_rngs(seed, samples)
        drawn = self.source.draw(step, samples, rngs, pixels=True)
        shape = self.source.shape(drawn)
        if every:
            known = [keyframe_mask(shape, every) for _ in samples]
        else:
            boxes = self.source.boxes(drawn)
            known = [random_mask(rng, shape, box) for rng, box in zip(rngs, boxes, strict=True)]
        return drawn, torch.from_numpy(np.stack(known))

    def prepare(self, loaded: Any) -> tuple[Tensor, ...]:
        drawn, known = loaded
        batch = self.source.prepare(drawn)
        latents, context, first_frames = batch.latents, self.context(drawn), batch.first_frames
        if known is None:
            nothing = latents.new_zeros(len(latents), self.condition_channels(), *latents.shape[2:])
            return latents, context, first_frames, nothing, torch.ones_like(latents[:, :1])
        if self.config.keyframe_interval:
            # A segment between keyframes may be from anywhere in a longer clip.
            first_frames = torch.zeros_like(first_frames)
        assert batch.video is not None
        encoded = encode_condition(self.encode.codec, batch.video, known[:, None].to(self.device).float())
        return latents, context, first_frames, encoded.channels, (~encoded.whole).float()

    def forward(  # type: ignore[override]
        self,
        latents: Tensor,
        context: Tensor,
        first_frames: Tensor,
        encoded: Tensor,
        unknown: Tensor,
        draws: Draws,
    ) -> Tensor:
        # Where a place of the latents is known whole, sampling replaces the prediction: it has no loss.
        return self.loss(latents, context, draws, weight=unknown, first_frame=first_frames, condition=encoded)
