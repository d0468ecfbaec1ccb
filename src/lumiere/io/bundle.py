"""A bundle is a folder: a pipeline's configuration, scheduler and weights, with their hashes.

Weights are safetensors only, since a pickle runs code when it is read. Loading is strict: every file must
match its hash, and weights must fit their configuration exactly.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers.utils import _add_variant
from safetensors import SafetensorError
from safetensors.torch import load_file

from lumiere.errors import InputError
from lumiere.io.components import (
    SCHEDULERS,
    component_class,
    make_model,
    make_scheduler_of,
)
from lumiere.io.text import parse_json, printable

#: folders of the models that come with the package
SHIPPED = sorted(Path(__file__).resolve().parents[1].glob("*/weights"))
INDEX = "model_index.json"
MANIFEST = "SHA256SUMS"
OBJECTS = "objects.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}
HASHED = {".json", ".safetensors"}
_SUM = re.compile(r"[0-9a-f]{64}  (.+)")


def shipped() -> dict[str, Path]:
    """The bundles that come with the package, by name."""
    folders = (index.parent for weights in SHIPPED for index in weights.glob(f"*/{INDEX}"))
    return {folder.name: folder for folder in sorted(folders)}


def resolve(name_or_path: str | os.PathLike[str]) -> Path:
    """The folder of a shipped bundle, by its name, or of any other, by its path.

    Raises:
        InputError: the bundle does not exist.
    """
    if (found := shipped().get(str(name_or_path))) is not None:
        return found
    folder = Path(name_or_path)
    if folder.suffix in PICKLES:
        raise InputError(f"{folder} is a pickle, which is never loaded; give a folder with safetensors")
    if not (folder / INDEX).is_file():
        names = ", ".join(shipped()) or "none"
        raise InputError(f"no model at {folder}; give a folder with {INDEX}, or a shipped model ({names})")
    return folder


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_manifest(folder: Path) -> None:
    """Write the hashes of a bundle's files to ``SHA256SUMS``, as ``sha256sum -c`` reads them."""
    files = _hashed_files(folder)
    manifest = folder / MANIFEST
    manifest.write_text("".join(f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files))
    for path in files:  # safetensors come readable by their owner alone
        path.chmod(manifest.stat().st_mode)


def forget_paths(folder: Path) -> None:
    """Remove the source paths that diffusers wrote into the components' configurations."""
    for path in folder.glob("*/config.json"):
        config = read_json(path)
        if config.pop("_name_or_path", None) is not None:
            path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")


def _hashed_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in HASHED)


def verify(folder: Path) -> None:
    """Check every file of a bundle against its hash, before anything is loaded.

    Raises:
        InputError: a file is missing, altered or unlisted, or the folder holds a pickle.
    """
    for path in sorted(folder.rglob("*")):
        if path.suffix in PICKLES:
            raise InputError(f"{path} is a pickle, which is never loaded; a model has safetensors only")
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise InputError(f"{manifest} is missing; save the model again with save_pretrained")
    expected = _read_manifest(manifest)
    for name, digest in expected.items():
        if not (folder / name).is_file():
            raise InputError(f"{folder / name} is missing; download the model again")
        if sha256(folder / name) != digest:
            raise InputError(f"{folder / name} is truncated or altered: its SHA-256 is not {MANIFEST}'s")
    for path in _hashed_files(folder):
        if path.relative_to(folder).as_posix() not in expected:
            raise InputError(f"{path} is not listed in {MANIFEST}; remove it, or save the model again")


def _read_manifest(manifest: Path) -> dict[str, str]:
    """Hashes by the names of files, all of them below the manifest's folder."""
    try:
        lines = manifest.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{manifest} cannot be read: {one_line(error)}; download the model again") from None
    expected: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        found = _SUM.fullmatch(line)
        if found is None or found[1].startswith("/") or ".." in Path(found[1]).parts:
            raise InputError(
                f"{manifest}, line {number} is {printable(line)[:100]!r}; give a SHA-256 and the name of a "
                "file below the folder"
            )
        expected[found[1]] = line[:64]
    return expected


def objects(folder: Path) -> dict[str, str]:
    """Labels by code of the objects that a bundle's model was trained on; empty if it does not say."""
    path = folder / OBJECTS
    return read_json(path) if path.is_file() else {}


def index(folder: Path) -> dict[str, Any]:
    """A bundle's ``model_index.json``: its components, and the settings of its pipeline.

    Raises:
        InputError: it is not JSON.
    """
    return read_json(folder / INDEX)


def check_index(folder: Path, pipeline: str) -> None:
    """Check that a bundle's ``model_index.json`` is of the class ``pipeline``.

    Raises:
        InputError: it is not JSON, or another pipeline's.
    """
    name = index(folder).get("_class_name")
    if name != pipeline:
        raise InputError(f"{folder / INDEX} is a {printable(name)}'s; give a bundle of a {pipeline}")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises :class:`InputError` if it is none."""
    try:
        content = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {one_line(error)}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}; give a file with a JSON object")
    return content


def how_to_convert(pickle: Path) -> str:
    """The command that makes safetensors of a pickle."""
    # diffusers' name of weights differs from transformers' pickles by more than the ending.
    stem = "model" if pickle.stem == "pytorch_model" else pickle.stem
    command = ["lumiere", "convert", str(pickle), str(pickle.with_name(f"{stem}.safetensors"))]
    return f"convert it: {printable(shlex.join(command))}"


def has_weights(folder: Path) -> bool:
    """Whether a component's folder holds weights: a text encoder's may name a package that does."""
    return any(folder.glob("*.safetensors"))


def load_component(
    folder: Path, name: str, dtype: torch.dtype = torch.float32, variant: str | None = None
) -> Any:
    """Load the component ``name`` of a bundle, as the class that its index says; schedulers too.

    Raises:
        InputError: the index names none, or a class that is not on the list, or it does not fit.
    """
    entry = index(folder).get(name)
    if not (isinstance(entry, list) and len(entry) == 2 and all(isinstance(part, str) for part in entry)):
        raise InputError(f"{folder / INDEX} names no {name}, which a model needs")
    library, class_name = entry
    if name.endswith("scheduler"):
        component_class(folder / INDEX, library.partition(".")[0], class_name, SCHEDULERS)
        config = folder / name / "scheduler_config.json"
        return make_scheduler_of(config, library, class_name, read_json(config))
    component_class(folder / INDEX, library, class_name)
    return load_model(folder / name, library, class_name, dtype, variant)


def load_model(
    folder: Path,
    library: str,
    class_name: str,
    dtype: torch.dtype = torch.float32,
    variant: str | None = None,
) -> Any:
    """Load one model of a bundle, every weight of it and no other, as ``dtype``.

    Args:
        folder: holds ``config.json`` and the weights, in one file or in shards.
        variant: of the files of weights, such as ``"fp16"``, as diffusers names them.
        library, class_name: as ``model_index.json`` names them; see
            :func:`lumiere.io.components.component_class`.

    Raises:
        InputError: the class is not on the list, or the weights do not fit the configuration.
    """
    kind = component_class(folder, library, class_name)
    config = read_json(folder / "config.json")
    if config.get("_class_name") != class_name:
        found = printable(config.get("_class_name"))
        raise InputError(f"{folder / 'config.json'} is a {found}'s, not a {class_name}'s")
    if getattr(kind, "weights_elsewhere", False):
        return cast(make_model(folder / "config.json", kind, config), dtype).eval()
    with init_empty_weights(include_buffers=False):
        model = make_model(folder / "config.json", kind, config)
    assign_weights(model, _read_weights(folder, variant) if model.state_dict() else {}, str(folder))
    if hasattr(model, "read_files"):
        model.read_files(folder)
    return cast(model, dtype).eval()


def assign_weights(model: torch.nn.Module, state: dict[str, torch.Tensor], where: str) -> None:
    """Give a model the weights of ``state``, every one of them and no other; nothing is copied.

    Raises:
        InputError: ``state``, which is that of ``where``, does not fit the model.
    """
    expected = model.state_dict()
    for what, names in (
        ("lacks", expected.keys() - state.keys()),
        ("has in excess", state.keys() - expected.keys()),
    ):
        if names:
            raise InputError(
                f"{where} is of another configuration: it {what} {len(names)} weights, such as {min(names)}"
            )
    for name, weight in expected.items():
        if state[name].shape != weight.shape:
            shapes = f"{tuple(state[name].shape)}, not {tuple(weight.shape)}"
            raise InputError(f"{where} is of another configuration: {name} is {shapes}")
        if state[name].is_floating_point() != weight.is_floating_point():
            types = f"{state[name].dtype}, not {weight.dtype}".replace("torch.", "")
            raise InputError(f"{where} is of another configuration: {name} is {types}")
    model.load_state_dict(state, assign=True)


def cast(model: Any, dtype: torch.dtype) -> Any:
    """``model.to(dtype)``, without diffusers' warning about modules that want float32: ours have none."""
    return torch.nn.Module.to(model, dtype)


def _read_weights(folder: Path, variant: str | None = None) -> dict[str, torch.Tensor]:
    whole, shards = (folder / _add_variant(name, variant) for name in (WEIGHTS, f"{WEIGHTS}.index.json"))
    if variant is not None and not whole.is_file() and not shards.is_file():
        raise InputError(
            f"You are trying to load the model files of the `variant={variant}`, but {folder} has none; "
            "leave variant out"
        )
    names = shard_names(shards) if shards.is_file() else [whole.name]
    state: dict[str, torch.Tensor] = {}
    for name in names:
        try:
            state |= load_file(folder / name)
        except FileNotFoundError:
            raise InputError(f"{folder / name} is missing; download the model again") from None
        except (OSError, SafetensorError) as error:
            raise InputError(f"{folder / name} is not a whole safetensors file: {one_line(error)}") from None
    return state


def shard_names(path: Path) -> list[str]:
    """Names of the shards that an index lists, sorted: safetensors files beside it.

    Raises:
        InputError: it is no index, or names another file.
    """
    weights = read_json(path).get("weight_map")
    if not isinstance(weights, dict) or not weights:
        raise InputError(f"{path} has no weight_map; give an index of shards, as diffusers writes it")
    for name in weights.values():
        if not (isinstance(name, str) and name.endswith(".safetensors") and Path(name).name == name):
            raise InputError(
                f"{path} names the shard {printable(name)!r}; give the name of a .safetensors file beside it"
            )
    return sorted(set(weights.values()))


def one_line(error: Exception) -> str:
    """The message of an error on one line."""
    return " ".join(str(error).split())
