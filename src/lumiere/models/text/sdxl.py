"""The two CLIP text models of Stable Diffusion XL."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor

from lumiere.models.text.clip import clip_model
from lumiere.models.text.pooled import append_pooled
from lumiere.models.text.tokens import Tokenizing
from lumiere.shapes import Context


class SDXLTextEncoder(Tokenizing, ModelMixin, ConfigMixin):
    """The last states but one of two CLIP text models side by side, and the second one's pooled text. Frozen.

    The pooled text is one more position of the context; the net takes it off again (see
    ``lumiere.models.text.pooled``).

    Args:
        text_configs: two ``CLIPTextConfig``; the second one's has a ``projection_dim``.
        pad_token_ids: token that pads a prompt, for each model.
        zeros_for_empty: whether all of an empty prompt is zero, as Stable Diffusion XL was trained.
    """

    tokenizer_files = ("tokenizer.json", "tokenizer_2.json")

    @register_to_config
    def __init__(
        self,
        text_configs: list[dict[str, Any]],
        pad_token_ids: list[int] = [49407, 0],  # noqa: B006  a configuration, never changed
        zeros_for_empty: bool = True,
    ):
        super().__init__()
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection

        first, second = text_configs
        self.text_length = int(first["max_position_embeddings"])
        self.length = self.text_length + 1
        self.dim = int(first["hidden_size"]) + int(second["hidden_size"])
        self.model = clip_model(first)
        self.model_2 = CLIPTextModelWithProjection(CLIPTextConfig.from_dict(second))
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def forward(self, prompts: list[str]) -> Context:
        """States of ``prompts`` and the pooled text; prompts that are too long are cut, with a warning."""
        states: list[Tensor] = []
        for model, file, pad in zip(
            (self.model, self.model_2), self.tokenizer_files, self.config.pad_token_ids, strict=True
        ):
            ids = self.tokens(prompts, self.text_length, pad, file).ids
            out = model(input_ids=ids, output_hidden_states=True)
            states.append(out.hidden_states[-2])
        context = append_pooled(torch.cat(states, dim=-1), out.text_embeds)
        if self.config.zeros_for_empty:
            said = torch.tensor([bool(prompt) for prompt in prompts], device=context.device)
            context = context * said[:, None, None]
        return context
