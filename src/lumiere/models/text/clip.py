"""CLIP's text model, as Stable Diffusion 1.x and 2.x attend to it."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn

from lumiere.models.text.tokens import Tokenizing
from lumiere.shapes import Context


def clip_model(text_config: dict[str, Any]) -> nn.Module:
    """CLIP's text transformer, under names of weights that do not change with the version of transformers."""
    from transformers import CLIPTextConfig, CLIPTextModel

    model = CLIPTextModel(CLIPTextConfig.from_dict(text_config))
    inner: nn.Module = getattr(model, "text_model", model)
    return inner


class CLIPTextEncoder(Tokenizing, ModelMixin, ConfigMixin):
    """The last states of a CLIP text model, normalised, those after the prompt's end too. Frozen.

    Args:
        text_config: a ``CLIPTextConfig``. Stable Diffusion 2.x cuts OpenCLIP's last layer off.
        pad_token_id: token that pads a prompt.
    """

    @register_to_config
    def __init__(self, text_config: dict[str, Any], pad_token_id: int = 49407):
        super().__init__()
        self.length = int(text_config["max_position_embeddings"])
        self.dim = int(text_config["hidden_size"])
        self.model = clip_model(text_config)
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def forward(self, prompts: list[str]) -> Context:
        """States of ``prompts``; those longer than ``length`` tokens are cut, with a warning."""
        tokens = self.tokens(prompts, self.length, self.config.pad_token_id)
        states: Context = self.model(input_ids=tokens.ids).last_hidden_state
        return states
