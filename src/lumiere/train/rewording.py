"""The image model is taught to draw of one wording what it drew of another.

A second model, which begins as the first, learns to draw of any caption what the first one draws of the
plain one: the object by its label.

Only what its attention takes from the text trains, keys and values: temporal layers that were trained on the
model find it as they knew it.
"""

from __future__ import annotations

import copy
import re
from typing import Any

import torch
from torch import Tensor

from lumiere.diffusion.objective import drop_pairs
from lumiere.errors import InputError
from lumiere.train.config import RewordingConfig
from lumiere.train.draw import Draws
from lumiere.train.encode import fingerprint
from lumiere.train.image import ImageStage
from lumiere.train.stage import denoising_loss

_FROM_TEXT = re.compile(r"\.attn2\.to_[kv]\.")


class RewordingStage(ImageStage):
    def __init__(self, config: RewordingConfig, device: torch.device, builds_cache: bool = True):
        if not config.init:
            raise InputError("init is empty; give the folder of the image model that is to be taught")
        if not config.scenes.sprites:
            raise InputError("scenes.sprites is empty; give the folder of sprites to compose scenes of")
        super().__init__(config, device, builds_cache)
        self.teacher: Any = copy.deepcopy(self.net).requires_grad_(False).eval().forward
        self.net.requires_grad_(False)
        for name, parameter in self.net.named_parameters():
            parameter.requires_grad_(bool(_FROM_TEXT.search(name)))

    def frozen(self) -> dict[str, str]:
        return {**super().frozen(), "teacher": fingerprint(self.teacher.__self__)}

    def prepare(self, loaded: Any) -> tuple[Tensor, ...]:
        latents, context = super().prepare(loaded)
        plain = self.source.plain_context(loaded)
        assert plain is not None
        return latents, torch.cat([context, plain], dim=2)

    def forward(self, latents: Tensor, context: Tensor, draws: Draws) -> Tensor:
        objective = self.config.objective
        said, plain = drop_pairs(context, self.encode.empty, objective.caption_dropout, draws.generators)

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
