"""Read a text-to-image model from a diffusers folder."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel, UNet3DConditionModel
from safetensors import SafetensorError, safe_open

from lumiere.errors import InputError
from lumiere.io.bundle import INDEX, PICKLES, how_to_convert, one_line, read_json, shard_names
from lumiere.io.checkpoints import image_model
from lumiere.io.checkpoints.image_model import ImageModel, Tokens
from lumiere.io.checkpoints.modelscope import split
from lumiere.io.components import SCHEDULERS, check_numbers, component_class, make_scheduler_of
from lumiere.io.text import printable
from lumiere.models.codec import PatchCodec
from lumiere.models.vae import VAECodec

SUPPORTED = (
    "StableDiffusionPipeline, StableDiffusionXLPipeline, IFPipeline, IFSuperResolutionPipeline and others"
    " that hold a UNet2DConditionModel, and TextToVideoSDPipeline with its UNet3DConditionModel"
)
#: of transformers' configurations, what is not the model's
UNRELATED = {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"}
#: the default of ``guidance_scale`` of diffusers' pipelines, where it is not 7.5
_OWN_GUIDANCE = {"StableDiffusionXLPipeline": 5.0, "IFPipeline": 7.0, "IFSuperResolutionPipeline": 4.0}
_TOKENIZERS = {
    "CLIPTokenizer",
    "CLIPTokenizerFast",
    "PreTrainedTokenizerFast",
    "T5Tokenizer",
    "T5TokenizerFast",
    "TokenizersBackend",
}


def read_folder(folder: Path) -> ImageModel:
    """Read a folder of diffusers' ``save_pretrained``; weights keep their precision.

    Raises:
        InputError: its class cannot be inflated, a component is missing, it holds pickles, or weights do not
            fit their configuration.
    """
    index = _index(folder)
    entries = {
        name: tuple(entry)
        for name, entry in index.items()
        if isinstance(entry, list) and len(entry) == 2 and all(isinstance(part, str) for part in entry)
    }
    kind = index.get("_class_name")
    net = entries.get("unet", ("", ""))
    if net[0] != "diffusers" or net[1] not in ("UNet2DConditionModel", "UNet3DConditionModel"):
        unet = printable(".".join(entries.get("unet", ("nothing",))))
        raise InputError(
            f"{folder} is a {printable(kind)} whose unet is {unet}, which cannot be inflated; those that can "
            f"are {SUPPORTED}"
        )

    adopted = None
    if net[1] == "UNet3DConditionModel":
        unet, adopted = split(folder, _load(UNet3DConditionModel, folder / "unet"))
    else:
        unet = _load(UNet2DConditionModel, folder / "unet")
    codec: VAECodec | PatchCodec = PatchCodec(1)
    if "vae" in entries:
        if entries["vae"][1] != "AutoencoderKL":
            raise InputError(f"{folder / 'vae'} is a {entries['vae'][1]}; an AutoencoderKL can be used")
        codec = _vae_codec(_load(AutoencoderKL, folder / "vae"))
    return ImageModel(
        folder.resolve().name,
        unet,
        codec,
        _text_encoder(folder, entries, index),
        _scheduler(folder, entries, "scheduler"),
        _OWN_GUIDANCE.get(str(kind), 7.5),
        _scheduler(folder, entries, "image_noising_scheduler")
        if "image_noising_scheduler" in entries
        else None,
        adopted,
    )


def _index(folder: Path) -> dict[str, Any]:
    if (folder / INDEX).is_file():
        return read_json(folder / INDEX)
    if (folder / "config.json").is_file():
        kind = read_json(folder / "config.json").get("_class_name", "model")
        raise InputError(
            f"{folder} holds a {kind} alone; give the folder of the whole model, with {INDEX}, its text"
            " encoder and its scheduler"
        )
    raise InputError(f"{folder} has no {INDEX}; give a folder that diffusers saved, or a .safetensors file")


def _vae_codec(vae: AutoencoderKL) -> VAECodec:
    with init_empty_weights():
        codec = VAECodec(
            vae_config={key: value for key, value in vae.config.items() if not key.startswith("_")}
        )
    codec.vae = vae.requires_grad_(False).eval()
    return codec


def _text_encoder(folder: Path, entries: dict[str, tuple[str, ...]], index: dict[str, Any]) -> Any:
    kinds = [entries[name][1] for name in ("text_encoder", "text_encoder_2") if name in entries]
    match kinds:
        case ["CLIPTextModel"]:
            model, config = _load_text(transformers.CLIPTextModel, folder / "text_encoder")
            model = getattr(model, "text_model", model)
            return image_model.clip_encoder(model, config, _tokens(folder / "tokenizer"))
        case ["CLIPTextModel", "CLIPTextModelWithProjection"]:
            first, config = _load_text(transformers.CLIPTextModel, folder / "text_encoder")
            second, config_2 = _load_text(transformers.CLIPTextModelWithProjection, folder / "text_encoder_2")
            return image_model.sdxl_encoder(
                (getattr(first, "text_model", first), second),
                (config, config_2),
                (_tokens(folder / "tokenizer"), _tokens(folder / "tokenizer_2")),
                bool(index.get("force_zeros_for_empty_prompt", True)),
            )
        case ["T5EncoderModel"]:
            t5, config = _load_text(transformers.T5EncoderModel, folder / "text_encoder")
            return image_model.t5_encoder(t5.encoder, config, _tokens(folder / "tokenizer"))
    found = " and ".join(map(str, kinds)) or "no text encoder"
    raise InputError(
        f"{folder} has {found}; a CLIPTextModel, one with a CLIPTextModelWithProjection beside it, or a"
        " T5EncoderModel can be used"
    )


def load_model(kind: Any, folder: Path, dtype: torch.dtype | None = None) -> Any:
    """A model of diffusers or of transformers from its folder, every weight of it.

    Args:
        dtype: default: the type that its weights are in.

    Raises:
        InputError: weights are missing, only there as pickles, or of another configuration.
    """
    model, report = _read(kind, folder, dtype)
    _check(folder, report, "missing_keys")  # older files hold positions, which are no weights
    return model


def refuse_code(folder: Path) -> None:
    """Raise :class:`InputError` for a folder with Python files, which some releases of diffusers import."""
    for path in sorted(folder.rglob("*.py")):
        raise InputError(f"{path} is code, which is never run; give a folder of weights and configurations")


def _load(kind: Any, folder: Path) -> Any:
    """A model of diffusers, every weight of it and no other."""
    model, report = _read(kind, folder)
    _check(folder, report, "missing_keys", "unexpected_keys")
    return model


def _load_text(kind: Any, folder: Path) -> tuple[Any, dict[str, Any]]:
    """A model of transformers, and its configuration."""
    model = load_model(kind, folder)
    return model, {key: value for key, value in model.config.to_dict().items() if key not in UNRELATED}


def _read(kind: Any, folder: Path, dtype: torch.dtype | None = None) -> tuple[Any, Any]:
    """A model in a type, or in that of its weights, and a report on those."""
    name = "diffusion_pytorch_model" if issubclass(kind, diffusers.ModelMixin) else "model"
    refuse_code(folder)
    if (folder / "config.json").is_file():
        check_numbers(folder / "config.json", read_json(folder / "config.json"))
    for index in folder.glob("*.safetensors.index*.json"):
        shard_names(index)
    variant, stored = _weights(folder, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # older releases know no other name of torch_dtype
            model, report = kind.from_pretrained(
                folder,
                variant=variant,
                torch_dtype=dtype or stored,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{folder} cannot be loaded: {one_line(error)}") from None
    return model, report


def _check(folder: Path, report: Any, *kinds: str) -> None:
    for kind in kinds:
        if names := sorted(report[kind]):
            what = "lacks" if kind == "missing_keys" else "has in excess"
            raise InputError(
                f"{folder} is of another configuration: it {what} {len(names)} weights, such as {names[0]}"
            )
    if mismatched := sorted(report["mismatched_keys"]):
        name, found, wanted = mismatched[0]
        raise InputError(
            f"{folder} is of another configuration: {name} is {tuple(found)}, not {tuple(wanted)}"
        )


def _weights(folder: Path, name: str) -> tuple[str | None, torch.dtype]:
    """Which variant of a component's weights there is, such as ``fp16``, and their type.

    Raises:
        InputError: there are none, or only pickles.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is missing; give the folder of the whole model")
    pattern = re.compile(rf"{name}(?:\.(\w+))?(?:-\d+-of-\d+)?\.safetensors")
    found = sorted(
        (match[1] or "", path) for path in folder.iterdir() if (match := pattern.fullmatch(path.name))
    )
    if not found:
        if pickles := sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES):
            pickle = folder / pickles[0]
            raise InputError(f"{pickle} is a pickle, which is never loaded; {how_to_convert(pickle)}")
        raise InputError(f"{folder} has no {name}.safetensors; give the folder of the whole model")
    variant, path = found[0]
    return variant or None, _dtype(path)


def _dtype(path: Path) -> torch.dtype:
    try:
        with safe_open(path, framework="pt") as weights:
            dtype: torch.dtype = weights.get_tensor(next(iter(weights.keys()))).dtype
    except (SafetensorError, StopIteration) as error:
        raise InputError(f"{path} is not a whole safetensors file: {one_line(error)}") from None
    return dtype


def _tokens(folder: Path) -> Tokens:
    if not folder.is_dir():
        raise InputError(f"{folder} is missing; give the folder of the whole model")
    config = folder / "tokenizer_config.json"
    named = read_json(config) if config.is_file() else {}
    if "auto_map" in named or named.get("tokenizer_class", "CLIPTokenizer") not in _TOKENIZERS:
        found = printable(named.get("auto_map", named.get("tokenizer_class")))
        raise InputError(
            f"{config} names {found}; the tokenizers that can be used: {', '.join(sorted(_TOKENIZERS))}"
        )
    try:
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        return Tokens(tokenizer.backend_tokenizer, int(tokenizer.pad_token_id))
    except (OSError, ValueError, TypeError, AttributeError, KeyError, ImportError) as error:
        needed = (
            "; for its spiece.model: pip install sentencepiece" if (folder / "spiece.model").is_file() else ""
        )
        raise InputError(f"{folder} cannot be loaded: {one_line(error)}{needed}") from None


def _scheduler(folder: Path, entries: Mapping[str, Sequence[str]], name: str) -> Any:
    if name not in entries:
        raise InputError(f"{folder / INDEX} names no {name} of diffusers, which a model needs")
    library, kind = entries[name]
    component_class(folder / INDEX, library, kind, SCHEDULERS)
    config = folder / name / "scheduler_config.json"
    return make_scheduler_of(config, library, kind, read_json(config))
