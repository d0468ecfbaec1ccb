"""What the pipelines have in common: each is a bundle, a folder that is loaded and saved whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from accelerate import PartialState
from diffusers import ModelMixin
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from lumiere.errors import InputError
from lumiere.io import bundle
from lumiere.io.files import replacing

#: weights go into one file up to this size
SHARD_SIZE = "5GB"
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
        torch_dtype: torch.dtype | None = None,
        *,
        dtype: torch.dtype | None = None,
        **kwargs: Any,
    ) -> Self:
        """Load a bundle: a shipped one by its name (``"emoji"``), or a folder that ``save_pretrained`` wrote.

        Args:
            torch_dtype, dtype: what the nets compute in, however their weights are stored; two names of the
                same, as in diffusers. Default: float32.
            kwargs: components to use in place of the bundle's (``scheduler=...``), and what
                ``DiffusionPipeline.from_pretrained`` takes.

        Raises:
            InputError: there is no such bundle, or it is not whole, not unaltered, or not one of ours.
        """
        if dtype is not None and torch_dtype not in (None, dtype):
            raise InputError(f"dtype is {dtype} and torch_dtype {torch_dtype}; give one of them")
        dtype = dtype or torch_dtype or torch.float32
        folder = bundle.resolve(name_or_path)
        bundle.verify(folder)
        bundle.check_index(folder, cls.__name__)
        for name in ("unet", "codec", "text_encoder", *cls._optional_components):
            needed = name in ("unet", "codec") or bundle.has_weights(folder / name)
            if name not in kwargs and needed:
                kwargs[name] = bundle.load_component(folder, name, dtype)
        # A quarter faster on CPUs, and no slower elsewhere.
        kwargs["unet"].to(memory_format=torch.channels_last)
        with quiet():
            try:
                return super().from_pretrained(folder, **kwargs)
            except (ValueError, OSError) as error:
                if isinstance(error, InputError):
                    raise
                raise InputError(f"{folder} cannot be loaded: {' '.join(str(error).split())}") from error

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
            safe_serialization: True; weights are safetensors only.

        Raises:
            InputError: the folder holds something else than a bundle, the disk is full, or
                ``safe_serialization`` is False.
        """
        if not safe_serialization:
            raise InputError("safe_serialization is False; weights are saved as safetensors only")
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
    libraries = (diffusers_logging, transformers_logging)
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
