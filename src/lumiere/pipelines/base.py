"""What the pipelines have in common: each is a bundle, a folder that is loaded and saved whole."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from diffusers import ModelMixin
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError

from lumiere.errors import InputError
from lumiere.io import bundle
from lumiere.io.components import LONGEST_SCHEDULE, check_fields, check_range
from lumiere.io.files import replacing
from lumiere.io.text import printable

if TYPE_CHECKING:
    from accelerate import PartialState

logger = logging.getLogger(__name__)

#: weights go into one file up to this size
SHARD_SIZE = "5GB"
#: of the settings in an index
RANGES: dict[str, tuple[float, float]] = {
    "size": (1, 65536),
    "fps": (1 / 1001, 1000),
    "frames": (1, 1_000_000),
    "steps": (1, LONGEST_SCHEDULE),
    "guidance": (0, 1000),
    "guidance_rescale": (0, 1),
    "guidance_interval": (0, 1),
    "shared_noise": (0, 1),
    "noise_smoothness": (0, 1_000_000),
    "moving_scale": (0.01, 100),
    "residual_std": (1e-6, 100),
    "window": (1, 1_000_000),
    "overlap": (0, 1_000_000),
    "tile": (1, 65536),
    "noise_level": (0, 1),
}
Self = TypeVar("Self", bound="BundlePipeline")


class BundlePipeline(DiffusionPipeline):
    """A ``DiffusionPipeline`` that is loaded and saved as ``lumiere.io.bundle`` says."""

    #: the settings in ``config``
    defaults: ClassVar[tuple[str, ...]] = ()
    #: share MultiDiffusion's windows among these processes, all of which must make the same calls with the
    #: same seeds: ``pipe.processes = accelerate.PartialState()``
    processes: PartialState | None = None

    @property
    def model_name(self) -> str | None:
        """Name of the bundle that this was loaded from."""
        path = getattr(self.config, "_name_or_path", None)
        return Path(path).name if path else None

    @classmethod
    def from_pretrained(
        cls: type[Self],
        name_or_path: str | os.PathLike[str],
        torch_dtype: torch.dtype | Mapping[str, torch.dtype] | None = None,
        *,
        dtype: torch.dtype | Mapping[str, torch.dtype] | None = None,
        variant: str | None = None,
        device_map: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Load a bundle: a shipped one by its name (``"emoji"``), or a folder that ``save_pretrained`` wrote.

        Args:
            torch_dtype, dtype: what the nets compute in, however their weights are stored; two names of the
                same, as in diffusers. A mapping gives it by component, and ``"default"``. Default: float32.
            variant: of the files of weights, such as ``"fp16"``.
            device_map: a device, such as ``"cuda"``; to share a model's memory between devices, see
                ``enable_model_cpu_offload``.
            kwargs: components and settings to use in place of the bundle's (``scheduler=...``,
                ``steps=...``).

        Raises:
            InputError: there is no such bundle, or it is not whole, not unaltered, or not one of ours; it
                names a class that is not on the list; or a setting is out of its range.
        """
        if dtype is not None and torch_dtype not in (None, dtype):
            raise InputError(f"dtype is {dtype} and torch_dtype {torch_dtype}; give one of them")
        dtype = dtype or torch_dtype or torch.float32
        dtypes = dtype if isinstance(dtype, Mapping) else {"default": dtype}
        for name in ("local_files_only", "use_safetensors"):  # so it is always
            kwargs.pop(name, None)
        folder = bundle.resolve(name_or_path)
        bundle.verify(folder)
        bundle.check_index(folder, cls.__name__)
        named = cls._named_components(folder)
        settings = cls._settings(folder)
        if unknown := kwargs.keys() - named.keys() - set(cls.defaults):
            known = ", ".join([*named, *cls.defaults])
            raise InputError(f"{min(unknown)} is no part of a {cls.__name__}; it has {known}")
        parts = {name: kwargs.pop(name) for name in named if name in kwargs}
        with quiet():
            for name, there in named.items():
                if name not in parts:
                    of_part = dtypes.get(name, dtypes.get("default", torch.float32))
                    parts[name] = bundle.load_component(folder, name, of_part, variant) if there else None
            # A quarter faster on CPUs, and no slower elsewhere.
            parts["unet"].to(memory_format=torch.channels_last)
            pipe = cls(**{**parts, **settings, **kwargs})
        pipe.register_to_config(_name_or_path=str(folder))
        return pipe if device_map is None else pipe.to(_device(device_map))

    @classmethod
    def _named_components(cls, folder: Path) -> dict[str, bool]:
        """The components of this class, and whether the bundle's index names each.

        Raises:
            InputError: the index lacks one that is needed, or names one that this class has not.
        """
        expected, _ = cls._get_signature_keys(cls)
        index = bundle.index(folder)
        found = {name for name, entry in index.items() if _is_entry(entry) and name not in cls.defaults}
        if unknown := found - set(expected):
            known = ", ".join(sorted(expected))
            raise InputError(
                f"{folder / bundle.INDEX} names the part {printable(min(unknown))}; a {cls.__name__} has "
                f"{known}"
            )
        named = {name: name in found and index[name] != [None, None] for name in sorted(expected)}
        for name, there in named.items():
            if not there and name not in cls._optional_components and name not in found:
                raise InputError(f"{folder / bundle.INDEX} names no {name}, which a model needs")
        return named

    @classmethod
    def _settings(cls, folder: Path) -> dict[str, Any]:
        """The settings in a bundle's index. Raises :class:`InputError` for one that is out of its range."""
        where, index = folder / bundle.INDEX, bundle.index(folder)
        expected, _ = cls._get_signature_keys(cls)
        settings = {
            key: value for key, value in index.items() if not (key.startswith("_") or key in expected)
        }
        check_fields(where, settings, cls)
        for name, value in settings.items():
            if name in RANGES:
                check_range(where, name, value, *RANGES[name])
        if len(settings.get("guidance_interval", (0, 1))) != 2:
            raise InputError(
                f"{where}: guidance_interval is {settings['guidance_interval']}; give two numbers"
            )
        return settings

    def enable_vae_tiling(self) -> None:
        """Encode and decode large frames in overlapping tiles. Frames are encoded and decoded one by one in
        any case (VAE slicing).

        Raises:
            InputError: the model's codec is no VAE.
        """
        if not hasattr(self.codec, "tiling"):
            raise InputError(
                f"this model's codec is a {type(self.codec).__name__}, which has no tiling; leave it out"
            )
        self.codec.tiling(True)

    def disable_vae_tiling(self) -> None:
        """Encode and decode whole frames again."""
        if hasattr(self.codec, "tiling"):
            self.codec.tiling(False)

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        dtype: torch.dtype | None = None,
        max_shard_size: str | None = None,
        safe_serialization: bool = True,
        **kwargs: Any,
    ) -> None:
        """Write a bundle: weights as safetensors in shards, and the hash of every file.

        The folder is written whole or not at all. One that is there is replaced if it is a bundle; its model
        card (``README.md``) is kept.

        Args:
            dtype: of the stored weights; float16 halves them. Default: as they are.
            max_shard_size: as diffusers has it, such as ``"14MB"``. Default: 5 GB.
            safe_serialization: weights are safetensors in any case; False logs a warning.
            kwargs: of diffusers' ``save_pretrained``, such as ``variant``.

        Raises:
            InputError: the folder holds something else than a bundle, or the disk is full.
        """
        if not safe_serialization:
            logger.warning("safe_serialization is False; weights are saved as safetensors all the same")
        target = Path(save_directory)
        if target.exists() and not (target / bundle.INDEX).is_file() and any(target.iterdir()):
            raise InputError(f"{target} holds something else than a model; give a new folder")
        card = target / "README.md"
        with replacing(target) as folder:
            settings = {name: self.config[name] for name in self.defaults}
            stored = type(self)(**{**self.components, **settings, **self._stored_models(dtype)})
            try:
                DiffusionPipeline.save_pretrained(
                    stored,
                    folder,
                    safe_serialization=True,
                    max_shard_size=max_shard_size or SHARD_SIZE,
                    **kwargs,
                )
            except SafetensorError as error:  # it wraps what the system says
                raise InputError(f"{target} cannot be written: {bundle.one_line(error)}") from None
            if card.is_file():
                (folder / card.name).write_bytes(card.read_bytes())
            bundle.forget_paths(folder)
            bundle.write_manifest(folder)

    def _stored_models(self, dtype: torch.dtype | None) -> dict[str, Any]:
        return {
            name: _stored(model, dtype or model.dtype)
            for name, model in self.components.items()
            if isinstance(model, ModelMixin)
        }


def _device(device_map: str) -> torch.device:
    try:
        return torch.device(device_map)
    except RuntimeError:
        raise InputError(
            f"device_map is {device_map!r}; give a device, such as cuda or cpu, or use "
            "enable_model_cpu_offload()"
        ) from None


def _is_entry(value: Any) -> bool:
    """Whether a value of an index is a component: a library and a class."""
    return isinstance(value, list) and len(value) == 2 and all(isinstance(part, str | None) for part in value)


def _stored(model: ModelMixin, dtype: torch.dtype) -> Any:
    """The model on the CPU, as ``dtype`` and contiguous: itself if it is so already, or else a copy."""
    tensors = [*model.parameters(), *model.buffers()]
    if all(
        each.device.type == "cpu"
        and each.is_contiguous()
        and (each.dtype == dtype or not each.is_floating_point())
        for each in tensors
    ):
        return model
    return bundle.cast(deepcopy(model), dtype).to("cpu", memory_format=torch.contiguous_format)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars and notes of diffusers and transformers on the parts that they load."""
    libraries = [diffusers_logging]
    if "transformers" in sys.modules:
        from transformers.utils import logging as transformers_logging

        libraries.append(transformers_logging)
    before = [(each.get_verbosity(), each.is_progress_bar_enabled()) for each in libraries]
    for each in libraries:
        each.set_verbosity_error()
        each.disable_progress_bar()
    try:
        yield
    finally:
        for each, (level, bar) in zip(libraries, before, strict=True):
            each.set_verbosity(level)
            if bar:
                each.enable_progress_bar()
