"""The components of a text-to-image checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accelerate import init_empty_weights
from diffusers import UNet2DConditionModel
from tokenizers import Tokenizer
from torch import nn

from lumiere.io.checkpoints.adopted import AdoptedWeights
from lumiere.models.codec import PatchCodec
from lumiere.models.text.clip import CLIPTextEncoder
from lumiere.models.text.sdxl import SDXLTextEncoder
from lumiere.models.text.t5 import T5TextEncoder
from lumiere.models.vae import VAECodec

#: of a scheduler of a model that was trained to pure noise (Lin et al. 2023)
ZERO_TERMINAL_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


@dataclass
class ImageModel:
    """Components of a checkpoint.

    Attributes:
        scheduler: its own, with the noise schedule that it was trained on.
        guidance: default guidance scale of its own pipeline.
        image_noising_scheduler: of a super-resolution stage: adds noise to its low-resolution image.
        adopted: temporal layers that the checkpoint has itself (ModelScope).
    """

    name: str
    unet: UNet2DConditionModel
    codec: VAECodec | PatchCodec
    text_encoder: CLIPTextEncoder | SDXLTextEncoder | T5TextEncoder
    scheduler: Any
    guidance: float
    image_noising_scheduler: Any = None
    adopted: AdoptedWeights | None = None


@dataclass
class Tokens:
    """A tokenizer, and what it fills prompts up with."""

    tokenizer: Tokenizer
    pad: int


def clip_encoder(model: nn.Module, config: dict[str, Any], tokens: Tokens) -> CLIPTextEncoder:
    """An encoder of a CLIP text transformer that is there already."""
    with init_empty_weights():
        encoder = CLIPTextEncoder(config, tokens.pad)
    encoder.model = model
    return _finished(encoder, tokens)


def sdxl_encoder(
    models: tuple[nn.Module, nn.Module],
    configs: Sequence[dict[str, Any]],
    tokens: Sequence[Tokens],
    zeros_for_empty: bool,
) -> SDXLTextEncoder:
    """An encoder of two CLIP text models, the second with its projection, that are there already."""
    with init_empty_weights():
        encoder = SDXLTextEncoder(list(configs), [each.pad for each in tokens], zeros_for_empty)
    encoder.model, encoder.model_2 = models
    return _finished(encoder, *tokens)


def t5_encoder(model: nn.Module, config: dict[str, Any], tokens: Tokens) -> T5TextEncoder:
    """An encoder of T5's encoder that is there already."""
    with init_empty_weights():
        encoder = T5TextEncoder(config, pad_token_id=tokens.pad)
    encoder.model = model
    return _finished(encoder, tokens)


def _finished(encoder: Any, *tokens: Tokens) -> Any:
    encoder.tokenizers = {
        file: each.tokenizer for file, each in zip(encoder.tokenizer_files, tokens, strict=True)
    }
    return encoder.requires_grad_(False).eval()
