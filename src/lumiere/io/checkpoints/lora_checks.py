"""What a LoRA's file says, checked before diffusers and PEFT see it: its tensors' shapes against each other,
and what it says of itself against those."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from lumiere.errors import InputError
from lumiere.io.text import printable

PREFIX = "unet"
#: in the names of the first of a layer's two matrices
DOWN = re.compile(r"[._](lora_A|down)\.(?:\w+\.)?weight$")
_UP = re.compile(r"[._](lora_B|up)\.(?:\w+\.)?weight$")
_NOT_PLAIN = re.compile(r"dora_scale|lora_magnitude_vector|lora_B\.bias|lokr_|hada_")
_HIGHEST_RANK = 4096
#: names of layers as PEFT matches them, and no patterns that could take long
_LAYER = re.compile(r"\^?[\w.\\]{1,300}\$?")


def check_tensors(file: Path) -> list[str]:
    """The names of a file's tensors.

    Raises:
        InputError: they are of no plain LoRA, or of shapes that do not belong together.
    """
    with safe_open(file, "pt") as weights:
        shapes = {name: tuple(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
    if odd := [name for name in shapes if _NOT_PLAIN.search(name)]:
        raise InputError(f"{file} is no plain LoRA: it has {printable(odd[0])}; export it as one")
    for name, shape in shapes.items():
        low = DOWN.search(name) or _UP.search(name)
        if low is None:
            if name.endswith(".alpha") and math.prod(shape) != 1:
                raise InputError(f"{file}: {printable(name)} is {shape}; an alpha is one number")
            continue
        if len(shape) not in (2, 4) or 0 in shape:
            raise InputError(
                f"{file}: {printable(name)} is {shape}; a LoRA's tensors have two dimensions, or four of a "
                "convolution"
            )
        if shape[low[1] not in ("lora_A", "down")] > _HIGHEST_RANK:
            raise InputError(f"{file}: {printable(name)} is {shape}; a rank is up to {_HIGHEST_RANK}")
        other = _partner(name, low)
        if other not in shapes:
            raise InputError(f"{file} has {printable(name)} and no {printable(other)}, which it belongs to")
        if DOWN.search(name) and len(shapes[other]) > 1 and shape[0] != shapes[other][1]:
            raise InputError(
                f"{file}: {printable(name)} is {shape} and {printable(other)} {shapes[other]}; they are of "
                "different ranks"
            )
    return list(shapes)


def _partner(name: str, low: re.Match[str]) -> str:
    others = {"lora_A": "lora_B", "lora_B": "lora_A", "down": "up", "up": "down"}
    return name[: low.start(1)] + others[low[1]] + name[low.end(1) :]


def lora_settings(file: Path, lora: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Of what a file says of itself, what its layers are scaled by; the layers are those of its tensors.

    Raises:
        InputError: a rank or an alpha is none.
    """
    said = {name.removeprefix(f"{PREFIX}."): value for name, value in metadata.items()}
    settings: dict[str, Any] = {
        "target_modules": sorted(
            {
                name[: found.start()].removeprefix(f"{PREFIX}.").removesuffix(".lora")
                for name in lora
                if (found := DOWN.search(name))
            }
        )
    }
    for key, kind in {"r": int, "lora_alpha": float}.items():
        if key in said:
            settings[key] = _number(file, key, said[key], kind)
    for key, kind in {"rank_pattern": int, "alpha_pattern": float}.items():
        patterns = said.get(key) or {}
        if not isinstance(patterns, dict):
            raise InputError(f"{file}: its {key} is {_shown(patterns)}; it is a number for each layer's name")
        for layer, value in patterns.items():
            if not _LAYER.fullmatch(layer):
                raise InputError(f"{file}: its {key} has {_shown(layer)}, which is no layer's name")
            _number(file, key, value, kind)
        settings[key] = patterns
    settings["use_rslora"] = said.get("use_rslora") is True
    return {f"{PREFIX}.{key}": value for key, value in settings.items()}


def _number(file: Path, key: str, value: Any, kind: type) -> Any:
    least, most = (1, _HIGHEST_RANK) if kind is int else (0, 1e6)
    if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
        raise InputError(f"{file}: its {key} is {_shown(value)}; give a number from {least} to {most:g}")
    if not least <= value <= most:
        raise InputError(f"{file}: its {key} is {_shown(value)}; give a number from {least} to {most:g}")
    return value


def _shown(value: Any) -> str:
    return printable(repr(value))[:60]
