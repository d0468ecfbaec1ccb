"""The interface of a training stage, and helpers that stages share."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from diffusers import UNet2DConditionModel  # bundle.load_model takes classes from modules that are imported
from torch import Tensor, nn

import lumiere.models.codec  # noqa: F401
from lumiere.diffusion.objective import training_loss
from lumiere.diffusion.sampling import Denoiser
from lumiere.errors import InputError
from lumiere.io.bundle import load_model, read_json
from lumiere.io.pixels import to_uint8
from lumiere.models.stunet import STUNet
from lumiere.models.text import MiniLMTextEncoder
from lumiere.train.config import Objective, Text
from lumiere.train.draw import Draws

CONDITION = "temporal.condition.weight"
TEXT_ENCODERS = ("CLIPTextEncoder", "MiniLMTextEncoder", "SDXLTextEncoder", "T5TextEncoder")


class Stage(nn.Module, ABC):
    """A model in training. The net is a submodule; frozen helpers are not, so that they are neither
    synchronised nor saved. ``forward`` computes the loss: wrappers of modules (DDP, autocast) apply to it.
    """

    unit: str
    net: Any
    #: whether noise is drawn per batch instead of per sample; see :func:`lumiere.train.draw.draws`
    draws_together = False

    def trained(self) -> dict[str, nn.Parameter]:
        """The trainable parameters, by name. The rest of ``net`` is frozen."""
        return {
            name.replace("_checkpoint_wrapped_module.", ""): p  # of FSDP's activation checkpointing
            for name, p in self.net.named_parameters()
            if p.requires_grad
        }

    @property
    def _no_split_modules(self) -> list[str] | None:
        """Class names of the modules that FSDP shards as units."""
        return getattr(self.net, "_no_split_modules", None)

    def checkpoint_gradients(self) -> None:
        """Recompute activations in the backward pass. Raises :class:`InputError` if the net cannot."""
        if not getattr(self.net, "_supports_gradient_checkpointing", False):
            name = type(self.net).__name__
            raise InputError(
                f'"run.gradient_checkpointing" is true; a {name} cannot recompute its activations'
            )
        self.net.enable_gradient_checkpointing()

    def frozen(self) -> dict[str, str]:
        """Hashes of the frozen models, by name; a checkpoint is only valid with the same ones."""
        return {}

    @abstractmethod
    def load(self, step: int, samples: range) -> Any:
        """Read a batch of ``step``, on the CPU. Called from several threads.

        The batch is a function of the configuration and the numbers of its ``samples``, counted from the
        beginning of the run.
        """

    @abstractmethod
    def prepare(self, loaded: Any) -> tuple[Tensor, ...]:
        """Turn a loaded batch into the arguments of ``forward`` on the training device, without gradients."""

    @abstractmethod
    def forward(self, *batch: Any) -> Tensor:
        """The loss of a prepared batch, given its :class:`~lumiere.train.draw.Draws` as the last argument."""

    @abstractmethod
    def export(self, folder: Path) -> None:
        """Save the net, for the next stage or for use."""

    @abstractmethod
    def draw_samples(self, folder: Path) -> None:
        """Write samples of the net for inspection."""


def denoising_loss(
    objective: Objective, denoiser: Denoiser, clean: Tensor, alphas_cumprod: Tensor, draws: Draws, **more: Any
) -> Tensor:
    """The loss that ``[objective]`` configures; ``more`` are further arguments of :func:`training_loss`."""
    return training_loss(
        denoiser,
        clean,
        alphas_cumprod,
        draws.generators,
        part=draws.part,
        timestep_power=objective.timestep_power,
        pure_noise=objective.pure_noise,
        min_snr_gamma=objective.min_snr_gamma,
        **more,
    )


def random_crop(rng: Any, frames: np.ndarray, side: int) -> np.ndarray:
    """A square of ``side`` pixels at a random place, the same in all frames (t h w 3).

    Raises :class:`InputError` if they are smaller.
    """
    if min(frames.shape[1:3]) < side:
        height, width = frames.shape[1:3]
        raise InputError(
            f"a picture of {height} x {width} pixels has no square of {side}; make the crop smaller"
        )
    y, x = (int(rng.integers(length - side + 1)) for length in frames.shape[1:3])
    return np.ascontiguousarray(frames[:, y : y + side, x : x + side])


def load_codec(folder: str) -> Any:
    """Load the codec in a folder, of either class. Raises :class:`InputError`."""
    try:
        name = json.loads((Path(folder) / "config.json").read_text())["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"no codec at {folder!r}; give the folder of one that `lumiere train` wrote"
        ) from error
    if name not in ("PatchCodec", "PatchAutoencoder"):
        raise InputError(f"{folder} holds a {name}; the codec must be a PatchAutoencoder or a PatchCodec")
    return load_model(Path(folder), "lumiere.models.codec", name)


def load_text_encoder(text: Text) -> Any:
    """The text encoder that ``[text]`` names. Raises :class:`InputError` if there is none."""
    if text.encoder == "minilm":
        return MiniLMTextEncoder(text.length, text.scale)
    folder = Path(text.encoder)
    config = folder / "config.json"
    name = read_json(config).get("_class_name") if config.is_file() else None
    if name not in TEXT_ENCODERS:
        raise InputError(
            f'"text.encoder" is {text.encoder!r}; give "minilm", or the folder text_encoder of a saved model'
        )
    if name == "MiniLMTextEncoder":  # saved without weights
        return MiniLMTextEncoder.from_pretrained(folder)
    return load_model(folder, "lumiere.models.text", name)


def load_part(folder: str, library: str, name: str) -> Any:
    """Load a net from its folder. Raises :class:`InputError`."""
    if not (Path(folder) / "config.json").is_file():
        raise InputError(f"no {name} at {folder!r}; give the folder of one, with its config.json")
    return load_model(Path(folder), library, name)


def load_image_model(folder: str) -> Any:
    """Load a 2-D U-Net, or the one inside a space-time net, from a folder. Raises :class:`InputError`."""
    config = Path(folder) / "config.json"
    if config.is_file() and read_json(config).get("_class_name") == "STUNet":
        return load_part(folder, "lumiere.models.stunet", "STUNet").spatial
    return load_part(folder, "diffusers", "UNet2DConditionModel")


def make_unet(**model: Any) -> UNet2DConditionModel:
    """A fresh image model. Raises :class:`InputError` if diffusers refuses the configuration."""
    try:
        return UNet2DConditionModel(**model)
    except (ValueError, TypeError) as error:
        raise InputError(f"the section [model] does not make a UNet2DConditionModel: {error}") from error


def load_temporal(net: STUNet, folder: str) -> None:
    """Load the temporal weights in a folder into a net. Raises :class:`InputError` if they do not fit."""
    take_temporal(net, temporal_weights(folder), folder)


def temporal_weights(folder: str) -> dict[str, Tensor]:
    """The temporal weights of the space-time net in a folder. Raises :class:`InputError` if there is none."""
    weights: dict[str, Tensor] = load_part(folder, "lumiere.models.stunet", "STUNet").temporal_state_dict()
    return weights


def take_temporal(net: STUNet, weights: dict[str, Tensor], folder: str) -> None:
    """Load temporal ``weights``, which are from ``folder``. Those of the condition may be missing, for zeros.

    Raises :class:`InputError` if they do not fit.
    """
    start, own = dict(weights), net.temporal_state_dict()
    if CONDITION in own and CONDITION not in start:
        start[CONDITION] = own[CONDITION]
    if CONDITION in start and CONDITION not in own:
        raise InputError(f'the model of {folder} takes a condition; its stage is "conditioned"')
    for name in sorted(own.keys() | start.keys()):
        if name not in own or name not in start or own[name].shape != start[name].shape:
            raise InputError(f"the weights of {folder} do not fit [model]: {name} differs")
    net.load_state_dict(start, strict=False)


def sheet(frames: Tensor, columns: int) -> np.ndarray:
    """Frames n x 3 x h x w in [-1, 1] as one uint8 picture, row by row."""
    pixels = to_uint8(frames.transpose(0, 1))
    rows = [np.concatenate(list(pixels[i : i + columns]), 1) for i in range(0, len(pixels), columns)]
    return np.concatenate(
        [np.pad(row, ((0, 0), (0, rows[0].shape[1] - row.shape[1]), (0, 0))) for row in rows]
    )
