"""Read Stable Diffusion from a single file in its original layout (CompVis, Stability AI)."""

from __future__ import annotations

import gzip
from importlib import resources
from pathlib import Path
from typing import Any

import diffusers
from accelerate import init_empty_weights
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers import CLIPTokenizerFast

from lumiere.errors import InputError
from lumiere.io.bundle import PICKLES, assign_weights, how_to_convert, one_line, read_json
from lumiere.io.checkpoints import image_model
from lumiere.io.checkpoints.image_model import ZERO_TERMINAL_SNR, ImageModel, Tokens
from lumiere.io.text import printable
from lumiere.models.vae import VAECodec

State = dict[str, Tensor]

#: what files call a prediction, and its name here
_PREDICTIONS = {
    "epsilon": "epsilon",
    "v": "v_prediction",
    "v_prediction": "v_prediction",
    "sample": "sample",
}
#: the families by the width of the text that their net attends to
FAMILIES = {768: "sd1", 1024: "sd2", 2048: "sdxl"}
REFINER = 1280


def read_single_file(path: Path, prediction_type: str | None = None) -> ImageModel:
    """Read a Stable Diffusion 1.x, 2.x or XL checkpoint; the version is detected from its weights.

    Args:
        prediction_type: diffusers' ``prediction_type``. Default: what the file says, see :func:`_schedule`;
            else ``"epsilon"``, and for Stable Diffusion 2.x ``"v_prediction"``.

    Raises:
        InputError: the file is a pickle, no safetensors file, of another model or parametrisation, or does
            not fit the published configuration.
    """
    if path.suffix in PICKLES:
        raise InputError(f"{path} is a pickle, which is never loaded; {how_to_convert(path)}")
    try:
        state: State = load_file(path)
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a whole safetensors file: {one_line(error)}") from None
    family = _family(path, state)
    published = published_configuration(family)
    schedule = _schedule(path, state, metadata, published["scheduler"])
    if prediction_type is not None:
        schedule["prediction_type"] = prediction_type
    return ImageModel(
        path.stem,
        _unet(path, state, published["unet"]),
        _codec(path, state, published["vae"]),
        _text_encoder(path, state, family, published),
        getattr(diffusers, schedule.pop("_class_name")).from_config(schedule),
        published["guidance"],
    )


def _schedule(
    path: Path, state: State, metadata: dict[str, str], published: dict[str, Any]
) -> dict[str, Any]:
    """The published schedule, with what a file says of its own: a tensor ``v_pred`` is v-prediction, one
    ``ztsnr`` zero terminal SNR, and training scripts say both in the metadata.

    Raises:
        InputError: it says a parametrisation that models here have not.
    """
    schedule = dict(published)
    for name in state:
        if name.startswith("edm_"):
            raise InputError(f"{path} holds {name}: models of EDM cannot be used")
    said = metadata.get("modelspec.prediction_type", "").strip().lower()
    if said and said not in _PREDICTIONS:
        known = ", ".join(_PREDICTIONS)
        raise InputError(
            f"{path}: modelspec.prediction_type is {printable(said)!r}; models here have one of {known}"
        )
    if said:
        schedule["prediction_type"] = _PREDICTIONS[said]
    if "v_pred" in state:
        schedule["prediction_type"] = "v_prediction"
    if "ztsnr" in state or metadata.get("ss_zero_terminal_snr", "").strip().lower() == "true":
        schedule |= ZERO_TERMINAL_SNR
    return schedule


def published_configuration(family: str) -> dict[str, Any]:
    """The configurations with which a family (``sd1``, ``sd2``, ``sdxl``) was published, by part."""
    with resources.as_file(resources.files(__package__) / "published" / f"{family}.json") as path:
        return read_json(path)


def clip_tokenizer() -> Tokenizer:
    """CLIP's tokenizer, which all of Stable Diffusion's text encoders share and no single file holds."""
    packed = (resources.files(__package__) / "published" / "clip_merges.txt.gz").read_bytes()
    merges = [tuple(line.split()) for line in gzip.decompress(packed).decode().splitlines()]
    return clip_tokenizer_of(merges).backend_tokenizer


def clip_tokenizer_of(merges: list[tuple[str, ...]]) -> CLIPTokenizerFast:
    """A tokenizer of CLIP's kind, its words numbered as CLIP numbers them."""
    # The printable bytes come first, then the others, each alone and at the end of a word.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in printable] + [chr(256 + n) for n in range(256 - len(printable))]
    words = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizerFast(vocab={word: number for number, word in enumerate(words)}, merges=merges)


def _family(path: Path, state: State) -> str:
    width = next(
        (
            weight.shape[-1]
            for name, weight in state.items()
            if name.startswith("model.diffusion_model.") and name.endswith("attn2.to_k.weight")
        ),
        None,
    )
    if width in FAMILIES:
        return FAMILIES[width]
    if width == REFINER:
        raise InputError(
            f"{path} is Stable Diffusion XL's refiner, which makes no picture of its own; give the base"
        )
    if any(name.startswith(("down_blocks.", "unet.")) for name in state):
        raise InputError(f"{path} holds a UNet alone; give the folder of the whole model")
    some = f"; its weights have names such as {min(state)}" if state else ""
    raise InputError(f"{path} is no Stable Diffusion 1.x, 2.x or XL checkpoint{some}")


def _unet(path: Path, state: State, config: dict[str, Any]) -> UNet2DConditionModel:
    with init_empty_weights():
        unet = UNet2DConditionModel.from_config(config)
    assign_weights(unet, _converted(path, convert_ldm_unet_checkpoint, state, unet.config), f"{path} (UNet)")
    return unet


def _codec(path: Path, state: State, config: dict[str, Any]) -> VAECodec:
    with init_empty_weights():
        codec = VAECodec(vae_config=config)
    weights = _converted(path, convert_ldm_vae_checkpoint, state, codec.vae.config)
    assign_weights(codec.vae, weights, f"{path} (VAE)")
    return codec


def _converted(path: Path, convert: Any, state: State, config: Any) -> State:
    try:
        weights: State = convert(state, config)
    except (KeyError, IndexError) as error:
        raise InputError(f"{path} lacks the weight {one_line(error)}; give the whole model") from None
    return weights


def _text_encoder(path: Path, state: State, family: str, published: dict[str, Any]) -> Any:
    tokens = [Tokens(clip_tokenizer(), pad) for pad in published["pad_token_ids"]]
    configs = published["text_encoders"]
    if family == "sdxl":
        with init_empty_weights():
            empty = image_model.SDXLTextEncoder(configs)
        _assign_clip(path, empty.model, convert_ldm_clip_checkpoint(state))
        _assign_open_clip(path, empty.model_2, state, "conditioner.embedders.1.model.")
        return image_model.sdxl_encoder((empty.model, empty.model_2), configs, tokens, True)
    with init_empty_weights():
        model = image_model.CLIPTextEncoder(configs[0]).model
    if family == "sd1":
        _assign_clip(path, model, convert_ldm_clip_checkpoint(state))
    else:
        _assign_open_clip(path, model, state, "cond_stage_model.model.")
    return image_model.clip_encoder(model, configs[0], tokens[0])


def _assign_clip(path: Path, model: Any, weights: State) -> None:
    # Some files name the text model, some what is in it; positions are no weights.
    weights = {name.removeprefix("text_model."): weight for name, weight in weights.items()}
    weights.pop("embeddings.position_ids", None)
    assign_weights(model, weights, f"{path} (text encoder)")


def _assign_open_clip(path: Path, model: Any, state: State, prefix: str) -> None:
    weights = convert_open_clip_checkpoint(model, state, prefix=prefix)
    names = set(model.state_dict())
    if not any(name.startswith("text_model.") for name in names):
        weights = {name.removeprefix("text_model."): weight for name, weight in weights.items()}
    weights = {name: weight for name, weight in weights.items() if "position_ids" not in name}
    assign_weights(model, weights, f"{path} (text encoder)")
