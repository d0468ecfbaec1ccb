"""Models that verbs share which are called one after another in one process, as ``lumiere batch`` calls them.

They lie in the ``meta`` of click's context, which is the caller's, and are gone with it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from copy import copy
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from lumiere.cli.options import pick_device

T = TypeVar("T")


def kept(name: str, of: Hashable, make: Callable[[], T]) -> T:
    """``make()``; or what it gave the last time that it was called by this name, if that was of the same."""
    meta = click.get_current_context().meta
    if name not in meta or meta[name][0] != of:
        meta.pop(name, None)  # two models at once may be more than the memory holds
        meta[name] = of, make()
    made: T = meta[name][1]
    return made


def load(kind: type[T], model: str | Path, device: str | None, dtype: str, **components: Any) -> T:
    """A model on a device, loaded once. What is set on it, such as a scheduler, is the caller's alone.

    Args:
        kind: of pipeline.
        device: None for the fastest.
        dtype: what the nets compute in, by torch's name for it.
        components: to use in place of the bundle's.
    """
    import torch

    place = pick_device(device)

    def make() -> T:
        pipeline = cast(Any, kind).from_pretrained(model, getattr(torch, dtype), **components)
        return cast(T, pipeline.to(place))

    return copy(kept(kind.__name__, (str(model), place, dtype), make))
