"""A text encoder of two tensors, in a module of its own: a bundle names the modules of its parts."""

from __future__ import annotations

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config

from lumiere.io.components import register_component


@register_component
class LetterEncoder(ModelMixin, ConfigMixin):
    """Stands in for a language model: a state per letter, which is that letter's row of a fixed table."""

    @register_to_config
    def __init__(self, dim: int = 16, length: int = 8):
        super().__init__()
        self.dim, self.length = dim, length
        table = torch.randn(128, dim, generator=torch.Generator().manual_seed(1))
        self.table = torch.nn.Parameter(table, requires_grad=False)

    def forward(self, prompts):
        states = torch.zeros(len(prompts), self.length, self.dim, device=self.table.device)
        for i, prompt in enumerate(prompts):
            for j, letter in enumerate(prompt.encode()[: self.length]):
                states[i, j] = self.table[letter % 128]
        return states
