"""Temporal layers that were trained elsewhere, in the places of the project's own: diffusers' modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lumiere.errors import InputError
from lumiere.models.adopted.animatediff import AnimateDiffLayers
from lumiere.models.adopted.modelscope import ModelScopeLayers
from lumiere.models.layers import Design

KINDS: dict[str, Any] = {"animatediff": AnimateDiffLayers, "modelscope": ModelScopeLayers}


def adopted_layers(config: Mapping[str, Any]) -> Design:
    """The temporal layers of an ``adopted`` configuration of :class:`lumiere.models.stunet.STUNet`.

    Args:
        config: ``kind``, one of ``KINDS``, and the arguments of its class.

    Raises:
        InputError: there is no such kind, or it has no such arguments.
    """
    options = dict(config)
    kind = options.pop("kind", None)
    if kind not in KINDS:
        raise InputError(f"adopted layers are of kind {kind!r}; choose one of {', '.join(KINDS)}")
    try:
        design: Design = KINDS[kind](**options)
    except TypeError as error:
        raise InputError(f"adopted layers of kind {kind!r}: {error}") from None
    return design
