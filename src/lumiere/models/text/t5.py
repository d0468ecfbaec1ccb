"""T5's encoder, as DeepFloyd-IF attends to it."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config

from lumiere.models.text.tokens import Tokenizing
from lumiere.shapes import Context


class T5TextEncoder(Tokenizing, ModelMixin, ConfigMixin):
    """The states of T5's encoder, those after the prompt's end too. Frozen.

    Prompts are put in lower case, as DeepFloyd-IF was trained.

    Args:
        text_config: a ``T5Config``.
        length: token positions, the mark at the end among them.
    """

    @register_to_config
    def __init__(self, text_config: dict[str, Any], length: int = 77, pad_token_id: int = 0):
        super().__init__()
        from transformers import T5Config, T5EncoderModel

        self.length = length
        self.dim = int(text_config["d_model"])
        # The encoder alone: the whole model names its embedding twice.
        self.model = T5EncoderModel(T5Config.from_dict(text_config)).encoder
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def forward(self, prompts: list[str]) -> Context:
        """States of ``prompts``; those longer than ``length`` tokens are cut, with a warning."""
        if self.dtype == torch.float16:
            for name, module in self.model.named_modules():
                if name.endswith(".wo"):
                    module.float()  # its products overflow in half precision
        tokens = self.tokens(
            [prompt.lower().strip() for prompt in prompts], self.length, self.config.pad_token_id
        )
        states: Context = self.model(input_ids=tokens.ids, attention_mask=tokens.mask).last_hidden_state
        return states
