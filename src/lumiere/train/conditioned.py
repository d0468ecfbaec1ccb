"""The conditioned model's stage: the space-time net learns to be told a part of the clip (section 4)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lumiere.diffusion.conditioning import condition_channels, encode_condition
from lumiere.io.pixels import from_uint8
from lumiere.train.config import ConditionedConfig
from lumiere.train.dataset import window
from lumiere.train.draw import Draws, numbers
from lumiere.train.encode import Loaded
from lumiere.train.masks import keyframes_given, object_box, random_given
from lumiere.train.temporal import TemporalStage


class ConditionedStage(TemporalStage):
    config: ConditionedConfig

    def condition_channels(self) -> int:
        return condition_channels(self.encode.codec)

    def load(self, step: int, samples: range) -> Any:
        data, every = self.config.data, self.config.keyframe_interval
        if not every and numbers("nothing", self.config.seed, step).random() < self.config.unconditioned:
            return super().load(step, samples), None
        if self.scenes:
            return self._scenes_given(samples)
        size = self.size(step)
        windows: list[tuple[Loaded, int]] = []
        pixels, given = [], []
        for n in samples:
            rng = numbers("sample", self.config.seed, n)
            i, position = self.chosen.pick(rng, size)
            cut = data.frames, position
            loaded, first = self.clips.window(i, *cut, data.frame_stride)
            pictures = self.clips.pictures
            frames, _ = window(pictures.read(i), *cut, pictures.name(i), data.frame_stride)
            pixels.append(torch.from_numpy(frames))
            if every:
                # What fills in between keyframes does not know where in the clip they are.
                first, known = 0, keyframes_given(frames, every)
            else:
                known = random_given(rng, frames.shape[:3], partial(object_box, frames))
            windows.append((loaded, first))
            given.append(torch.from_numpy(known))
        return windows, (torch.stack(pixels), torch.stack(given))

    def _scenes_given(self, samples: range) -> Any:
        frames, side, seed = self.config.data.frames, self.config.data.size[0], self.config.seed
        batch = self.scenes.draw(seed, samples, frames)
        known = [
            random_given(numbers("sample", seed, n), (frames, side, side), around)
            for n, around in zip(samples, self.scenes.boxes(batch), strict=True)
        ]
        return batch, torch.from_numpy(np.stack(known))

    def prepare(self, loaded: Any) -> tuple[Tensor, ...]:
        windows, given = loaded
        if self.scenes and given is not None:
            video = self.scenes.video(windows)
            return self._encode_conditions(self._composed(windows, video), video, given)
        latents, context, first_frames = super().prepare(windows)
        if given is None:
            nothing = latents.new_zeros(len(latents), self.condition_channels(), *latents.shape[2:])
            return latents, context, first_frames, nothing, torch.ones_like(latents[:, :1])
        pixels, known = given
        return self._encode_conditions(
            (latents, context, first_frames), from_uint8(pixels, self.device), known
        )

    def _encode_conditions(
        self, batch: tuple[Tensor, ...], video: Tensor, known: Tensor
    ) -> tuple[Tensor, ...]:
        encoded = encode_condition(self.encode.codec, video, known[:, None].to(self.device).float())
        return *batch, encoded.channels, (~encoded.whole).float()

    def forward(  # type: ignore[override]
        self,
        latents: Tensor,
        context: Tensor,
        first_frames: Tensor,
        encoded: Tensor,
        unknown: Tensor,
        draws: Draws,
    ) -> Tensor:
        # Sampling is certain of what is given whole, whatever the net says of it.
        return self.loss(latents, context, draws, weight=unknown, first_frame=first_frames, condition=encoded)
