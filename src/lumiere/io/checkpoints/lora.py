"""Read a LoRA: of an image model, or of temporal layers, AnimateDiff's or trained here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from safetensors.torch import load_file
from torch import Tensor

from lumiere.errors import InputError
from lumiere.io.bundle import read_json
from lumiere.io.checkpoints.adopted import renamed
from lumiere.io.checkpoints.lora_checks import DOWN, PREFIX, check_tensors, lora_settings
from lumiere.io.checkpoints.motion import RULES
from lumiere.io.text import printable

WEIGHTS = "pytorch_lora_weights.safetensors"
#: of the names of temporal layers, in a :class:`lumiere.models.stunet.STUNet`
TEMPORAL = "temporal."
_PEFT_PREFIX = "base_model.model."
_PEFT_WEIGHTS, _PEFT_CONFIG = "adapter_model.safetensors", "adapter_config.json"
#: kohya's scripts name SDXL's layers as they were published, with two of diffusers' resnets per block
_SDXL = SimpleNamespace(layers_per_block=2)
_MOTION = re.compile(r"\bmotion_modules\.|^unet\.temporal\.")
#: from AnimateDiff's own names, and from diffusers' older ones, to PEFT's
_MOTION_LAYOUTS = {
    r"^module\.": "",
    r"^unet\.": "",
    r"\.temporal_transformer\.": ".",
    r"\.attention_blocks\.0\.": ".attn1.",
    r"\.attention_blocks\.1\.": ".attn2.",
    r"\.processor\.": ".",
    r"\.to_(q|k|v|out)_lora\.": r".to_\1.",
    r"\.to_out\.(?!0\.)": ".to_out.0.",
    r"\.(?:lora_)?down\.weight$": ".lora_A.weight",
    r"\.(?:lora_)?up\.weight$": ".lora_B.weight",
}


def read_lora(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights of a file or folder, under the names of diffusers, and what they are scaled by.

    Those of temporal layers are ``unet.temporal.MODULE.lora_A.weight`` and ``lora_B``, and scaled already.

    Raises:
        InputError: it is no plain LoRA (DoRA, say), or cannot be read.
    """
    file = path if path.is_file() else _weights_in(path)
    with _readable(file):
        names = check_tensors(file)
    if any(_MOTION.search(name) for name in names):
        with _readable(file):
            return _of_motion(file, load_file(file)), {}
    with _readable(file):
        state, alphas, metadata = StableDiffusionLoraLoaderMixin.lora_state_dict(
            str(file.parent),
            weight_name=file.name,
            use_safetensors=True,
            local_files_only=True,
            return_lora_metadata=True,
            unet_config=_SDXL,
        )
    if any(name.startswith(f"{PREFIX}.") for name in state):
        lora = {name: weight for name, weight in state.items() if name.startswith(f"{PREFIX}.")}
    else:
        lora = {f"{PREFIX}.{name.removeprefix(_PEFT_PREFIX)}": weight for name, weight in state.items()}
        metadata = metadata or _peft_config(file.parent)
    if not any(DOWN.search(name) for name in lora):
        raise InputError(f"{file} holds no low-rank weights of an image model")
    if metadata is not None and not isinstance(metadata, dict):
        raise InputError(
            f"{file} is no LoRA that can be read: its metadata is {printable(repr(metadata))[:60]}"
        )
    if alphas:
        return lora, {"network_alphas": alphas}
    return lora, {"metadata": lora_settings(file, lora, metadata)} if metadata else {}


def temporal_weights(what: str, lora: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of temporal layers that a LoRA changes, whole, by their names.

    Args:
        what: what the LoRA is, for messages.
        lora: as :func:`read_lora` names them.
        own: the net's parameters.

    Raises:
        InputError: the LoRA was made for other layers.
    """
    made = {}
    for name, down in lora.items():
        if not name.endswith(".lora_A.weight"):
            continue
        layer = name.removesuffix(".lora_A.weight")
        weight_name = layer.removeprefix(f"{PREFIX}.") + ".weight"
        weight, up = own.get(weight_name), lora[f"{layer}.lora_B.weight"]
        if weight is None:
            raise InputError(
                f"{what} was made for other temporal layers: this model has no {weight_name}; motion LoRAs of"
                " AnimateDiff fit models that were inflated with its version 2 (lumiere inflate --motion)"
            )
        if (found := (up.shape[0], down.shape[1])) != tuple(weight.shape):
            raise InputError(
                f"{what} was made for other temporal layers: {weight_name} is {found} there, and of this"
                f" model {tuple(weight.shape)}"
            )
        change = up.to(weight.device, torch.float32) @ down.to(weight.device, torch.float32)
        made[weight_name] = (weight.float() + change).to(weight)
    return made


def _of_motion(file: Path, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names of this package's nets. Raises :class:`InputError` unless they are pairs."""
    named = {}
    for name, weight in state.items():
        for pattern, replacement in _MOTION_LAYOUTS.items():
            name = re.sub(pattern, replacement, name)
        named[name] = weight
    # Those trained here have their names already.
    ours = {name: weight for name, weight in named.items() if name.startswith(TEMPORAL)}
    theirs = {name: weight for name, weight in named.items() if name not in ours}
    both = ours | renamed(theirs, RULES)
    alphas = {name: both.pop(name) for name in list(both) if name.endswith(".alpha")}
    for name in both:
        other = name.replace(".lora_A.", ".lora_B.") if ".lora_A." in name else name.replace("_B.", "_A.")
        if other == name or other not in both:
            raise InputError(f"{file} is no plain motion LoRA: {name.removeprefix(TEMPORAL)} has no partner")
        if (
            both[name].ndim != 2
            or both[name].shape[name.endswith("B.weight")] != both[other].shape[other.endswith("B.weight")]
        ):
            shapes = f"{tuple(both[name].shape)} and {tuple(both[other].shape)}"
            raise InputError(f"{file} is no plain motion LoRA: {name.removeprefix(TEMPORAL)} has {shapes}")
    for name, alpha in alphas.items():
        layer = name.removesuffix(".alpha")
        down = both.get(f"{layer}.lora_A.weight")
        if down is not None:
            both[f"{layer}.lora_B.weight"] = both[f"{layer}.lora_B.weight"] * float(alpha) / len(down)
    return {f"{PREFIX}.{name}": weight for name, weight in both.items()}


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Raises :class:`InputError` for what reading the file raises."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # whatever a library raises for what a file says
        reason = printable(error)[:200] or type(error).__name__
        raise InputError(f"{file} is no LoRA that can be read: {reason}") from None


def _weights_in(folder: Path) -> Path:
    """The one file of a folder that holds a LoRA's weights."""
    for name in (WEIGHTS, _PEFT_WEIGHTS):
        if (folder / name).is_file():
            return folder / name
    files = sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        raise InputError(
            f"{folder} holds {len(files)} files of weights; name one of them, or give a style's folder"
        )
    return files[0]


def _peft_config(folder: Path) -> dict[str, Any] | None:
    path = folder / _PEFT_CONFIG
    if not path.is_file():
        return None
    config = read_json(path)
    for name in ("bias", "modules_to_save", "use_dora"):
        if config.get(name) not in (None, False, "none", []):
            raise InputError(
                f"{path} is of no plain LoRA: its {name} is {printable(config[name])}; export it as one"
            )
    return config
