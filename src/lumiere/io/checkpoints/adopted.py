"""Temporal weights that were trained elsewhere, under the names of the Space-Time U-Net."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from lumiere.errors import InputError
from lumiere.models.stunet import STUNet

State = Mapping[str, Tensor]
#: of the Space-Time U-Net's temporal layers, those that none of the adopted weights have
OWN = (".resample.", "temporal.condition.")
#: embeddings of positions, which are computed
POSITIONS = ".pos_embed.pe"


@dataclass
class AdoptedWeights:
    """Temporal weights.

    Attributes:
        source: the file or folder.
        config: the ``adopted`` configuration of :class:`~lumiere.models.stunet.STUNet`.
        weights: by the net's own names.
        schedule: settings of the noise schedule that they were trained on, where it is not the image model's.
        sampler: a class of diffusers' schedulers, and its settings, that they need; None for the usual one.
        settings: of the pipeline: ``frames``, ``fps``, ``steps``, ``guidance``.
    """

    source: str
    config: dict[str, Any]
    weights: dict[str, Tensor]
    schedule: dict[str, Any]
    sampler: tuple[str, dict[str, Any]] | None
    settings: dict[str, Any]

    def give_to(self, net: STUNet) -> None:
        """Load the weights into a net of the configuration ``config``, in its precision.

        Raises:
            InputError: they are of another image model, or not whole.
        """
        wanted = {
            name: tensor
            for name, tensor in net.temporal_state_dict().items()
            if not any(part in name for part in OWN) and not name.endswith(POSITIONS)
        }
        for name in sorted(wanted.keys() & self.weights.keys()):
            found, needed = (tuple(each[name].shape) for each in (self.weights, wanted))
            if found != needed:
                raise InputError(
                    f"{self.source} does not fit this image model: {_short(name)} is {found}; the image model"
                    f" needs {needed}"
                )
        lacking, excess = wanted.keys() - self.weights.keys(), self.weights.keys() - wanted.keys()
        for names, what in (
            (lacking, "lacks"),
            (excess, "has in excess"),
        ):
            if names:
                raise InputError(
                    f"{self.source} {what} {len(names)} temporal weights, such as {_short(min(names))}; give"
                    " the whole weights, of this image model's kind"
                )
        dtype = net.dtype  # which diffusers finds by a walk over all parameters
        net.load_state_dict({name: each.to(dtype) for name, each in self.weights.items()}, strict=False)


def _short(name: str) -> str:
    return name.removeprefix("temporal.")


def renamed(state: State, rules: Mapping[str, str]) -> dict[str, Tensor]:
    """``state`` under the net's names: each of ``rules`` is a regular expression and what takes its place."""
    names = {}
    for old in state:
        new = old
        for pattern, replacement in rules.items():
            new = re.sub(pattern, replacement, new)
        names["temporal." + new] = state[old]
    return names
