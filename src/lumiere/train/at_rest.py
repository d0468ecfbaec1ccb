"""The image model is taught not to hear motion, which is the temporal layers' to make.

"A lion spinning" may be seen from any side, and a few steps of sampling settle on none.
A second model, which begins as the first, learns to draw of any prompt what the first one draws of it without
its words for motion.
"""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor

from lumiere.data.compose import MOTION_WORDS, with_motion, without_motion
from lumiere.diffusion.objective import drop_captions
from lumiere.errors import InputError
from lumiere.train.config import AtRestConfig
from lumiere.train.dataset import Pictures
from lumiere.train.draw import Draws, numbers
from lumiere.train.encode import Loaded, fingerprint
from lumiere.train.image import ImageStage
from lumiere.train.stage import denoising_loss

#: what captions do not say of motion and a prompt may
OTHER_WORDS = (
    "jumping", "running", "running to the left", "walking", "walking to the right", "flying", "flying up",
    "swimming", "dancing", "rotating", "rolling", "sliding left", "sliding right", "floating up",
    "falling down", "drifting", "going up", "going down", "going left", "going right", "becoming larger",
    "becoming smaller", "waving", "shaking", "stretching", "zooming in", "turning", "slowly moving left",
    "quickly moving right", "crawling", "standing still", "moving",
)  # fmt: skip
_OTHER_SHARE = 0.25
_NO_MOTION_SHARE = 0.2
_TEXTS_KEPT = 20_000


class AtRestStage(ImageStage):
    def __init__(self, config: AtRestConfig, device: torch.device, builds_cache: bool = True):
        if not config.init:
            raise InputError("init is empty; give the folder of the image model that is to be taught")
        super().__init__(config, device, builds_cache)
        self.teacher: Any = copy.deepcopy(self.net).requires_grad_(False).eval().forward
        self._state = lru_cache(_TEXTS_KEPT)(lambda text: self.encode.text([text])[0].half())

    def frozen(self) -> dict[str, str]:
        return {**super().frozen(), "teacher": fingerprint(self.teacher.__self__)}

    def load(self, step: int, samples: range) -> Any:
        size = self.mixture.size(numbers("size", self.config.seed, step))
        loaded = []
        for n in samples:
            rng = numbers("sample", self.config.seed, n)
            source, i, position = self.mixture.pick(rng, size)
            plain = without_motion(cast(Pictures, source.pictures).caption(i))
            words = str(rng.choice(OTHER_WORDS if rng.random() < _OTHER_SHARE else MOTION_WORDS))
            said = plain if rng.random() < _NO_MOTION_SHARE else with_motion(plain, words)
            loaded.append((source.frame(i, position)[0], plain, said))
        return loaded

    def prepare(self, loaded: Any) -> tuple[Tensor, ...]:
        batch: list[Loaded] = [(media, self._state(plain)) for media, plain, _ in loaded]
        latents, plain = self.encode(batch)
        said = torch.stack([self._state(said) for *_, said in loaded]).to(plain)
        return latents[:, :, 0], torch.cat([said, plain], dim=2)

    def forward(self, latents: Tensor, context: Tensor, draws: Draws) -> Tensor:
        objective, empty = self.config.objective, torch.cat([self.encode.empty] * 2, dim=2)
        context = drop_captions(context, empty, objective.caption_dropout, draws.generators)
        said, plain = context.chunk(2, dim=2)

        def predict(net: Any, told: Tensor, x: Tensor, t: Tensor) -> Tensor:
            predicted: Tensor = net(x.contiguous(memory_format=torch.channels_last), t, told)[0]
            return predicted

        return denoising_loss(
            objective,
            lambda x, t: predict(self.net, said, x, t),
            latents,
            self.alphas_cumprod,
            draws,
            teacher=lambda x, t: predict(self.teacher, plain, x, t),
        )
