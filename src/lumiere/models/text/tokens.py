"""Prompts to token numbers of a fixed length, and tokenizers that are saved beside an encoder's weights."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor

from lumiere.errors import InputError

logger = logging.getLogger(__name__)


class Tokens(NamedTuple):
    """``ids`` and ``mask`` (1 for a prompt's own tokens), integers, ``b l``."""

    ids: Tensor
    mask: Tensor


def tokenize(tokenizer: Tokenizer, prompts: list[str], length: int, pad: int, device: torch.device) -> Tokens:
    """Token numbers, filled up with ``pad``.

    A prompt of more than ``length`` tokens is cut, with a warning; the mark at its end is kept.
    """
    ids = torch.full((len(prompts), length), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, (prompt, encoding) in enumerate(zip(prompts, tokenizer.encode_batch(prompts), strict=True)):
        tokens = encoding.ids
        if len(tokens) > length:
            end = encoding.offsets[length - 2][1]
            logger.warning(
                "prompt too long: %d of %d tokens are read, up to %r", length, len(tokens), prompt[:end]
            )
            tokens = [*tokens[: length - 1], tokens[-1]]
        ids[i, : len(tokens)] = torch.tensor(tokens)
        mask[i, : len(tokens)] = 1
    return Tokens(ids.to(device), mask.to(device))


def working_device(model: Any) -> torch.device:
    """Where a model computes, which is not where its weights are while they are offloaded one by one."""
    for module in model.modules():
        place = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
        if place is not None:
            return torch.device(place)
    return next(model.parameters()).device


class Tokenizing:
    """Of an encoder, a ``ModelMixin``, whose tokenizers are files, ``tokenizer.json``, beside its weights.

    ``tokenizers`` has them by the names of the files, once :meth:`read_files` has read them or whoever made
    the encoder has put them there.
    """

    tokenizer_files: tuple[str, ...] = ("tokenizer.json",)
    device: torch.device

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tokenizers: dict[str, Tokenizer] = {}

    def read_files(self, folder: Path) -> None:
        """Read what a bundle's folder of this encoder holds beside the weights.

        Raises:
            InputError: a file is missing, or no tokenizer.
        """
        for name in self.tokenizer_files:
            try:
                self.tokenizers[name] = Tokenizer.from_str((folder / name).read_text("utf-8"))
            except FileNotFoundError:
                raise InputError(f"{folder / name} is missing; fetch the model again") from None
            except Exception as error:  # tokenizers raises bare Exceptions
                raise InputError(f"{folder / name} is no tokenizer: {error}") from None

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Write configuration, weights and tokenizers."""
        super().save_pretrained(save_directory, **kwargs)  # type: ignore[misc]
        for name in self.tokenizer_files:
            (Path(save_directory) / name).write_text(self.tokenizers[name].to_str(), "utf-8")

    def tokens(self, prompts: list[str], length: int, pad: int, file: str = "tokenizer.json") -> Tokens:
        tokenizer = self.tokenizers[file]
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenize(tokenizer, prompts, length, pad, working_device(self))
