"""State that verbs share when they run one after another in one process, as in ``lumiere batch``.

It is kept in the ``meta`` of click's context, and lives as long as the caller's context.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from copy import copy
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from lumiere.cli.options import pick_device, pick_dtype

#: in the context's ``meta``: a function that is called with every pipeline before it is used
WATCH = "watch"
T = TypeVar("T")


def kept(name: str, of: Hashable, make: Callable[[], T]) -> T:
    """The result of ``make()``, cached under ``name`` until it is called with another key ``of``."""
    meta = click.get_current_context().meta
    if name not in meta or meta[name][0] != of:
        meta.pop(name, None)  # two models at once may be more than the memory holds
        meta[name] = of, make()
    made: T = meta[name][1]
    return made


def load(
    kind: type[T],
    model: str | Path,
    device: str | None,
    dtype: str,
    offload: str | None = None,
    vae_tiling: bool = False,
    **components: Any,
) -> T:
    """A shallow copy of a model on a device, loaded once; setting its scheduler affects that copy alone.

    A function ``WATCH`` in the context's ``meta``, such as the studio's, is called with the copy.

    Args:
        kind: class of the pipeline.
        device: None for the fastest one.
        dtype: precision of the networks, by its name in torch, or ``"auto"``.
        offload: ``"model"`` or ``"sequential"`` for diffusers' CPU offload of that name, which needs a GPU.
        vae_tiling: encode and decode in tiles.
        components: replace those of the bundle.
    """
    place = pick_device(device)

    def make() -> T:
        pipeline = cast(Any, kind).from_pretrained(model, pick_dtype(dtype, place), **components)
        if offload == "model":
            pipeline.enable_model_cpu_offload(device=place)
        elif offload == "sequential":
            pipeline.enable_sequential_cpu_offload(device=place)
        else:
            pipeline.to(place)
        if vae_tiling:
            pipeline.enable_vae_tiling()
        else:
            pipeline.disable_vae_tiling()
        return cast(T, pipeline)

    pipe = copy(kept(kind.__name__, (str(model), place, dtype, offload, vae_tiling), make))
    if (watch := click.get_current_context().meta.get(WATCH)) is not None:
        watch(pipe)
    return pipe
