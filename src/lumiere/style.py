"""A style: weights of the image model, fitted to a few pictures, under temporal layers that stay as they are.

The stylized generation of arXiv 2401.12945: W = alpha W_style + (1 - alpha) W_orig. How a style is fitted
is in :mod:`lumiere.train.style`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from lumiere.errors import InputError
from lumiere.io.bundle import read_json
from lumiere.io.checkpoints.lora import DOWN, PREFIX, TEMPORAL, WEIGHTS, read_lora, temporal_weights
from lumiere.io.files import check_parent, replacing
from lumiere.io.pictures import read_picture
from lumiere.io.text import printable
from lumiere.models.stunet import STUNet

NOTE = "style.json"
FORMAT = "lumiere-style/1"
ADAPTER = "style"
#: what the names of the weights of an image model begin with, within a space-time net
_SPATIAL = "spatial."
_OF_TEMPORAL = f"{PREFIX}.{TEMPORAL}"
#: types of what a style's note says, where it says it
_NOTED: dict[str, type | types.UnionType] = {
    "model": str | None,
    "image_model": str,
    "captions": list,
    "rank": int,
    "seed": int,
    "steps": int,
    "version": str,
}


def blend(
    original: Mapping[str, Tensor], style: Mapping[str, Tensor], alpha: float | int
) -> dict[str, Tensor]:
    """alpha W_style + (1 - alpha) W_orig for each weight of the style; 0 is the original and 1 the style, bit
    for bit.

    Args:
        original: of a model, at least those that the style has, by the same names and of the same shapes.
        alpha: 0 to 1, or above for more of the style than was fitted.

    Raises:
        InputError: alpha is below 0, or the weights do not fit.
    """
    if not 0 <= alpha < float("inf"):
        raise InputError(f"alpha is {alpha}; give a number from 0, the original, to 1, the style")
    for name, weight in style.items():
        if name not in original:
            raise InputError(f"the style has {name}, which the model lacks")
        if original[name].shape != weight.shape:
            shapes = f"{tuple(weight.shape)}, and of the model {tuple(original[name].shape)}"
            raise InputError(f"{name} of the style is {shapes}")
    if alpha in (0, 1):
        return {name: weight if alpha else original[name] for name, weight in style.items()}
    return {name: alpha * weight + (1 - alpha) * original[name] for name, weight in style.items()}


@dataclass(frozen=True)
class Style:
    """Low-rank weights for an image model or temporal layers, and what they were fitted to.

    Attributes:
        lora: as diffusers names them, ``unet.MODULE.lora_A.weight`` and ``lora_B``; of temporal layers,
            ``unet.temporal.MODULE``.
        scaling: what else diffusers has to know to load them, if another program wrote them.
        about: what ``style.json`` says: ``model`` and ``image_model``, the name and the hash of what it was
            fitted to, ``captions``, ``steps``, ``seed`` ...; empty for another program's.
        thumbnails: of the references, uint8 h x w x 3.
        name: of the file or folder.
    """

    lora: Mapping[str, Tensor]
    scaling: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    thumbnails: Sequence[np.ndarray] = ()
    name: str = "style"

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike[str]) -> Style:
        """Read a style: a folder of :meth:`save_pretrained`, or a LoRA of an image model, as diffusers, PEFT
        and kohya's scripts write them; a file or a folder. Parts for text encoders are left out. A motion
        LoRA, of AnimateDiff's modules or trained here, is blended in the same way.

        Raises:
            InputError: there is none, or it is no plain LoRA (DoRA, say), or its shapes are no
                LoRA's, or a pickle, which is never loaded.
        """
        path = Path(path)
        if not path.exists():
            raise InputError(f"no style at {path}; give a folder of `lumiere style fit`, or a LoRA's file")
        if path.is_file() and path.suffix != ".safetensors":
            raise InputError(
                f"{path} is no style; give a folder or a .safetensors file (a pickle is never loaded;"
                " lumiere convert makes safetensors of it)"
            )
        about = _read_note(path / NOTE) if (path / NOTE).is_file() else {}
        pictures = sorted((path / "references").glob("*.png")) if about else []
        lora, scaling = read_lora(path)
        return cls(lora, scaling, about, [read_picture(each) for each in pictures], path.resolve().stem)

    def save_pretrained(self, folder: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the style as a folder that diffusers can load too, whole or not at all.

        Raises:
            InputError: there is something by that name: a style without ``overwrite``, or something else; or
                this is another program's LoRA.
        """
        folder = Path(folder)
        check_folder(folder, overwrite)
        if not self.about:
            raise InputError(f"the style {self.name} is another program's; copy its file")
        with replacing(folder.absolute()) as part:
            part.mkdir()
            weights = {name: weight.half().contiguous() for name, weight in self.lora.items()}
            save_file(weights, part / WEIGHTS, {"format": "pt"})
            (part / "references").mkdir()
            for number, picture in enumerate(self.thumbnails, 1):
                Image.fromarray(picture).save(part / "references" / f"{number}.png")
            note = json.dumps(dict(self.about), indent=1, ensure_ascii=False)
            (part / NOTE).write_text(note + "\n", "utf-8")
        return folder

    def weights(self, net: UNet2DConditionModel | STUNet) -> dict[str, Tensor]:
        """The net's weights that the style changes, whole, by their names.

        Args:
            net: an image model, or the whole net, whose temporal layers a motion LoRA changes.

        Raises:
            InputError: the style was made for another model.
        """
        if any(name.startswith(_OF_TEMPORAL) for name in self.lora):
            return temporal_weights(f"the motion LoRA {self.name}", self.lora, dict(net.named_parameters()))
        if isinstance(net, STUNet):
            return {_SPATIAL + name: weight for name, weight in self._image_weights(net.spatial).items()}
        return self._image_weights(net)

    def _image_weights(self, unet: UNet2DConditionModel) -> dict[str, Tensor]:
        with adapter(unet), _silent():
            if "image_model" in self.about and (found := fingerprint(unet)) != self.about["image_model"]:
                raise InputError(
                    f"the style {self.name} was made for the model {self.about.get('model')} "
                    f"({self.about['image_model'][:12]}), and this is another one ({found[:12]});"
                    " fit it again"
                )
            try:
                unet.load_lora_adapter(dict(self.lora), prefix=PREFIX, adapter_name=ADAPTER, **self.scaling)
            except Exception as error:  # whatever a library raises for what a file says
                reason = printable(" ".join(str(error).split()))[:200]
                raise InputError(f"the style {self.name} was made for another model: {reason}") from None
            layers = _adapted(unet)
            if len(layers) != sum(bool(DOWN.search(name)) for name in self.lora):
                raise InputError(
                    f"the style {self.name} was made for another model: it has layers that this one lacks"
                )
            with torch.no_grad():
                return {
                    f"{name}.weight": _whole(layer.get_base_layer().weight, layer.get_delta_weight(ADAPTER))
                    for name, layer in layers.items()
                }


@contextmanager
def applied_style(
    net: UNet2DConditionModel | STUNet, style: Style | None, alpha: float | int = 1.0
) -> Iterator[None]:
    """With the net in a style, as long as the context lasts; then its weights are back, bit for bit.

    Raises:
        InputError: the style was made for another model, or alpha is below 0.
    """
    if style is None:
        yield
        return
    own = dict(net.named_parameters())
    if any(parameter.is_meta for parameter in own.values()):
        raise InputError(
            f"the style {style.name} cannot change weights that are offloaded one by one (sequential CPU"
            " offload); use model CPU offload (--offload model)"
        )
    original = {name: parameter.data for name, parameter in own.items()}
    blended = blend(original, style.weights(net), alpha)
    try:
        for name, weight in blended.items():
            own[name].data = weight
        yield
    finally:
        for name in blended:
            own[name].data = original[name]


def fingerprint(unet: nn.Module) -> str:
    """A hash of an image model's weights.

    It is the same whether they are computed in float32, bfloat16 or float16, if they are stored in the last;
    and in the first two, if they are stored in float32.
    """
    digest = hashlib.sha256()
    for name, weight in sorted(unet.state_dict().items()):
        digest.update(name.encode())
        rounded = weight.detach().cpu().to(torch.bfloat16).contiguous()
        digest.update(rounded.view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def check_folder(folder: Path, overwrite: bool) -> None:
    """Raises :class:`InputError` if a style cannot be written there."""
    if folder.exists():
        if not folder.is_dir() or (any(folder.iterdir()) and not (folder / NOTE).is_file()):
            raise InputError(f"{folder} holds something else than a style; choose another name")
        if not overwrite:
            raise InputError(f"{folder} exists; choose another name, or overwrite it (--overwrite)")
    check_parent(folder)


@contextmanager
def adapter(unet: UNet2DConditionModel) -> Iterator[None]:
    """What is adapted within the context is as it was after it.

    Raises:
        InputError: the image model has an adapter already, which would be lost.
    """
    if getattr(unet, "peft_config", None):
        raise InputError(f"the image model has adapters ({', '.join(unet.peft_config)}); unload them first")
    trained = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    try:
        yield
    finally:
        unet.unload_lora()
        for parameter in trained:
            parameter.requires_grad_(True)


@contextmanager
def _silent() -> Iterator[None]:
    """Without what diffusers logs of an error that it also raises, in many lines."""
    level = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        diffusers_logging.set_verbosity(level)


def _adapted(unet: nn.Module) -> dict[str, Any]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {name: module for name, module in unet.named_modules() if isinstance(module, BaseTunerLayer)}


def _whole(weight: Tensor, change: Tensor) -> Tensor:
    return (weight.float() + change.float()).to(weight)


def _read_note(path: Path) -> dict[str, Any]:
    note = read_json(path)
    if note.get("format") != FORMAT:
        raise InputError(f"{path} is of no style that this version knows; fit it again")
    for key, kind in _NOTED.items():
        if key in note and not isinstance(note[key], kind):
            raise InputError(f"{path}: {key} is {printable(repr(note[key]))[:60]}; fit the style again")
    return note
