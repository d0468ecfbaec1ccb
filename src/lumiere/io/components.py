"""The classes that a model's folder may name, and its configurations, checked field by field.

A file never chooses what code runs: a class is looked up in a list here before any module is imported, and a
configuration is checked against the signature of its class before that is made.
"""

from __future__ import annotations

import importlib
import inspect
import math
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from lumiere.errors import InputError
from lumiere.io.text import printable

T = TypeVar("T", bound=type)

#: modules by the names of the classes in them
MODELS = {
    "STUNet": "lumiere.models.stunet",
    "PatchCodec": "lumiere.models.codec",
    "PatchAutoencoder": "lumiere.models.codec",
    "VAECodec": "lumiere.models.vae",
    "CLIPTextEncoder": "lumiere.models.text.clip",
    "MiniLMTextEncoder": "lumiere.models.text.minilm",
    "SDXLTextEncoder": "lumiere.models.text.sdxl",
    "T5TextEncoder": "lumiere.models.text.t5",
    "WarpNet": "lumiere.models.warping",
    "UNet2DConditionModel": "diffusers",
}
#: those of diffusers for the noise schedules of models here: variance-preserving, with discrete timesteps
SCHEDULERS = {
    f"{name}Scheduler": "diffusers"
    for name in (
        "DDIM", "DDIMParallel", "DDPM", "DDPMParallel", "DEISMultistep", "DPMSolverMultistep",
        "DPMSolverSinglestep", "EulerAncestralDiscrete", "EulerDiscrete", "HeunDiscrete",
        "KDPM2AncestralDiscrete", "KDPM2Discrete", "LCM", "LMSDiscrete", "PNDM", "SASolver", "TCD",
        "UniPCMultistep",
    )
}  # fmt: skip
PREDICTIONS = ("epsilon", "v_prediction", "sample")
LONGEST_SCHEDULE = 10_000
#: of the numbers in a configuration, and those that count layers
_LARGEST, _MOST_LAYERS, _LONGEST_LIST = 10_000_000, 256, 1024
_LAYERS = ("layers", "blocks", "per_block")
_NEVER_ZERO = (
    "channels", "codec_factor", "head_dim", "hidden_size", "layers_per_block", "length", "matched",
    "num_groups", "num_heads", "patch_size", "positions", "sample_size", "vocab_size", "widths", "dim",
)  # fmt: skip
_MAY_BE_NEGATIVE = ("token_id", "shift_factor", "latents_mean", "init_value")
_registered: dict[str, type] = {}


def register_component(kind: T) -> T:
    """Allow bundles to name a class of one's own, a ``ModelMixin``; also as a decorator."""
    _registered[f"{kind.__module__}.{kind.__name__}"] = kind
    return kind


def component_class(where: Path, library: str, name: str, allowed: Mapping[str, str] | None = None) -> Any:
    """The class that a file names, if it is on a list; nothing else is imported.

    Args:
        where: the file, for messages.
        allowed: modules by the names of their classes. Default: the models, and classes that were registered.

    Raises:
        InputError: it is not on the list.
    """
    listed = MODELS if allowed is None else allowed
    if allowed is None and (own := _registered.get(f"{library}.{name}")) is not None:
        return own
    module = listed.get(name)
    if module is None or not (module == library or module.startswith(f"{library}.")):
        known = ", ".join(sorted(listed))
        raise InputError(
            f"{where} names {printable(library)}.{printable(name)}, which is not a model here: it is not on "
            f"the list of classes that a model may name ({known})"
        )
    return getattr(importlib.import_module(module), name)


def make_scheduler_of(where: Path, library: str, name: str, config: Mapping[str, Any]) -> Any:
    """A scheduler of diffusers from its configuration, which is that of the file ``where``.

    Raises:
        InputError: it is not on the list, or a field is not what it must be.
    """
    library = "diffusers" if library.startswith("diffusers.") else library
    kind = component_class(where, library, name, SCHEDULERS)
    check_fields(where, config, kind, unknown_allowed=True)
    steps = config.get("num_train_timesteps", 1000)
    if not 1 <= steps <= LONGEST_SCHEDULE:
        raise InputError(f"{where}: num_train_timesteps is {steps}; give 1 to {LONGEST_SCHEDULE}")
    if (prediction := config.get("prediction_type", "epsilon")) not in PREDICTIONS:
        raise InputError(
            f"{where}: prediction_type is {printable(prediction)!r}; models here predict one of "
            f"{', '.join(PREDICTIONS)}"
        )
    if config.get("use_flow_sigmas"):
        raise InputError(f"{where}: use_flow_sigmas is true; models of flow matching cannot be used")
    try:
        scheduler = kind.from_config(dict(config))
        finite = bool(scheduler.alphas_cumprod.isfinite().all())
    except Exception as error:  # whatever a library raises for what a file says
        raise InputError(f"{where} does not make a {name}: {_reason(error)}") from None
    if not finite or scheduler.alphas_cumprod.min() < 0 or scheduler.alphas_cumprod.max() > 1:
        raise InputError(f"{where} makes no noise schedule: check beta_start, beta_end and trained_betas")
    return scheduler


def make_model(where: Path, kind: Any, config: Mapping[str, Any]) -> Any:
    """A model from its configuration, which is that of the file ``where``.

    Raises:
        InputError: a field is not what it must be.
    """
    check_fields(where, config, kind, unknown_allowed=not kind.__module__.startswith("lumiere."))
    check_numbers(where, config)
    try:
        return kind.from_config(dict(config))
    except InputError:
        raise
    except Exception as error:  # whatever a library raises for what a file says
        raise InputError(f"{where} does not make a {kind.__name__}: {_reason(error)}") from None


def check_fields(
    where: Path,
    fields: Mapping[str, Any],
    kind: Any,
    unknown_allowed: bool = False,
    ignored: Collection[str] = (),
) -> None:
    """Check the types of a configuration's fields against the signature of the class that it is of.

    Raises:
        InputError: a field is of another type, or unknown.
    """
    hints = _hints(kind)
    for key, value in fields.items():
        if key.startswith("_") or key in ignored:
            continue
        if key not in hints:
            if not unknown_allowed:
                known = ", ".join(sorted(hints))
                raise InputError(f"{where}: {printable(key)} is unknown to a {kind.__name__}; it has {known}")
        elif not _fits(value, hints[key]):
            wanted = _described(hints[key])
            raise InputError(f"{where}: {key} is {_shortened(value)}; give {wanted}")


def check_numbers(where: Path, value: Any, key: str = "", depth: int = 0) -> None:
    """Check that no number in a configuration is beyond what any network has.

    Raises:
        InputError: one is too large, infinite, negative, or zero where nothing can be.
    """
    if depth > 8:
        raise InputError(f"{where}: {printable(key)} is nested too deep")
    if isinstance(value, Mapping):
        for name, each in value.items():
            check_numbers(where, each, str(name), depth + 1)
    elif isinstance(value, list | tuple):
        if len(value) > _LONGEST_LIST:
            raise InputError(f"{where}: {printable(key)} has {len(value)} items; give up to {_LONGEST_LIST}")
        for each in value:
            check_numbers(where, each, key, depth + 1)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _check_number(where, key, value)


def check_range(where: Path, key: str, value: Any, low: int | float, high: int | float) -> None:
    """Raise :class:`InputError` unless a number, or each of a list, is within ``low`` and ``high``."""
    for each in value if isinstance(value, list | tuple) else [value]:
        if each is not None and not low <= each <= high:
            raise InputError(f"{where}: {key} is {_shortened(value)}; give {low:g} to {high:g}")


def _check_number(where: Path, key: str, value: int | float) -> None:
    most = _MOST_LAYERS if key.endswith(_LAYERS) else _LARGEST
    least = 1 if key.endswith(_NEVER_ZERO) and key != "condition_channels" and isinstance(value, int) else 0
    if key.endswith(_MAY_BE_NEGATIVE):
        least = -most
    if not (math.isfinite(value) and least <= value <= most):
        raise InputError(f"{where}: {printable(key)} is {_shortened(value)}; give {least} to {most}")


def _hints(kind: Any) -> dict[str, Any]:
    try:
        hints = typing.get_type_hints(kind.__init__)
    except (NameError, TypeError):  # names that exist for type checkers alone
        hints = {}
    names = [name for name in inspect.signature(kind.__init__).parameters if name != "self"]
    return {name: hints.get(name, Any) for name in names if name not in ("args", "kwargs")}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of JSON is what a hint says: sequences are lists, and numbers may be whole."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or hint is type(None):
        return hint is Any or value is None
    if origin in (Union, types.UnionType):
        return any(_fits(value, each) for each in inner)
    if origin is Literal:
        return value in inner
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is str:
        return isinstance(value, str)
    base = origin or hint
    if isinstance(base, type) and issubclass(base, Mapping):
        return isinstance(value, Mapping)
    if isinstance(base, type) and issubclass(base, list | tuple | Sequence):
        items = [each for each in inner if each is not Ellipsis]
        # "tuple[int]" is how diffusers writes any number of them.
        return isinstance(value, list | tuple) and (
            not items
            or all(isinstance(each, list) or any(_fits(each, item) for item in items) for each in value)
        )
    return not isinstance(base, type)


def _described(hint: Any) -> str:
    names: dict[Any, str] = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        type(None): "null",
    }
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_described(each) for each in inner))
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    base = origin or hint
    if isinstance(base, type) and issubclass(base, Mapping):
        return "an object"
    return names.get(hint, "a list")


def _shortened(value: Any) -> str:
    text = printable(repr(value))
    return text if len(text) <= 60 else text[:57] + "..."


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {printable(str(error))[:200]}"
