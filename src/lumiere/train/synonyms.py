"""Synonyms for an image model, by distillation.

The student, a copy of the teacher, reads captions with synonyms. Its target is the teacher's prediction for
the same captions in plain wording, with each object by its label.

Only the key and value projections of cross-attention are trained, so that temporal layers that were trained
on the teacher still fit.
"""

from __future__ import annotations

import copy
import re
from typing import Any

import torch
from torch import Tensor

from lumiere.diffusion.objective import drop_pairs
from lumiere.errors import InputError
from lumiere.train.config import SynonymConfig
from lumiere.train.draw import Draws
from lumiere.train.encode import fingerprint
from lumiere.train.image import ImageStage
from lumiere.train.stage import denoising_loss

_TEXT_PROJECTIONS = re.compile(r"\.attn2\.to_[kv]\.")


class SynonymStage(ImageStage):
    def __init__(self, config: SynonymConfig, device: torch.device, builds_cache: bool = True):
        if not config.init:
            raise InputError("init is empty; give the folder of the image model to distil")
        if not config.scenes.sprites:
            raise InputError("scenes.sprites is empty; give the folder of sprites to compose scenes of")
        super().__init__(config, device, builds_cache)
        self.teacher: Any = copy.deepcopy(self.net).requires_grad_(False).eval().forward
        self.net.requires_grad_(False)
        for name, parameter in self.net.named_parameters():
            parameter.requires_grad_(bool(_TEXT_PROJECTIONS.search(name)))

    def frozen(self) -> dict[str, str]:
        return {**super().frozen(), "teacher": fingerprint(self.teacher.__self__)}

    def prepare(self, loaded: Any) -> tuple[Tensor, ...]:
        latents, context = super().prepare(loaded)
        plain = self.source.plain_context(loaded)
        if plain is None:
            raise InputError(
                f'"scenes.source" is {self.config.scenes.source!r}, which has one wording of captions only; '
                "the stage image-synonyms needs a plain one too"
            )
        return latents, torch.cat([context, plain], dim=2)

    def forward(self, latents: Tensor, context: Tensor, draws: Draws) -> Tensor:
        objective = self.config.objective
        own, plain = drop_pairs(context, self.encode.empty, objective.caption_dropout, draws.generators)

        def predict(net: Any, context: Tensor, x: Tensor, t: Tensor) -> Tensor:
            predicted: Tensor = net(x.contiguous(memory_format=torch.channels_last), t, context)[0]
            return predicted

        return denoising_loss(
            objective,
            lambda x, t: predict(self.net, own, x, t),
            latents,
            self.alphas_cumprod,
            draws,
            teacher=lambda x, t: predict(self.teacher, plain, x, t),
        )
