"""Muon: momentum made orthogonal for hidden weights, AdamW for the others (Jordan et al. 2024)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
#: Newton-Schulz iteration that raises the singular values of a matrix of norm 1 to about 1
ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
#: root mean square of an update in units of the learning rate, about that of AdamW (Liu et al. 2025)
UPDATE_RMS = 0.2
MATRICES_AT_ONCE = 8

_FIRST_LAST_OR_EMBEDDING = re.compile(r"(^|\.)(conv_in|conv_out|time_emb_proj|\w*embedding\w*)(\.|$)")


class Muon(torch.optim.AdamW):
    """Optimizer of named parameters: Muon for hidden matrices and convolutions, AdamW for the rest.

    Weights of fewer than two axes, embeddings, and the first and the last layer are the rest. The learning
    rate is one for both: updates of both have about the same root mean square.

    Source: Jordan et al. 2024 (kellerjordan.github.io/posts/muon); scale of updates: Liu et al. 2025
    (arXiv 2502.16982), section 2.2.

    Args:
        parameters: trained parameters by name.
        settings: of :class:`torch.optim.AdamW`; ``lr`` and ``weight_decay`` apply to all.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], **settings: Any):
        by_kind: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for name, parameter in parameters.items():
            by_kind[is_hidden(name, parameter)].append(parameter)
        groups = [{"params": some, "orthogonal": kind} for kind, some in by_kind.items() if some]
        super().__init__(groups, **settings)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        groups = self.param_groups
        try:
            self.param_groups = [group for group in groups if not group["orthogonal"]]
            super().step()
        finally:
            self.param_groups = groups
        for group in groups:
            if group["orthogonal"]:
                self._step_orthogonally(group)

    def _step_orthogonally(self, group: dict[str, Any]) -> None:
        lr, decay = group["lr"], group["weight_decay"]
        for parameters in _of_equal_shape(p for p in group["params"] if p.grad is not None):
            updates = orthogonal(torch.stack([self._momentum(p).flatten(1) for p in parameters]))
            scale = lr * UPDATE_RMS * max(updates.shape[1:]) ** 0.5
            for parameter, update in zip(parameters, updates, strict=True):
                parameter.mul_(1 - lr * decay).add_(update.reshape(parameter.shape), alpha=-scale)

    def _momentum(self, parameter: nn.Parameter) -> Tensor:
        """Nesterov's, with the newest gradient put in."""
        gradient: Any = parameter.grad
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        return torch.lerp(gradient, state["momentum"], MOMENTUM)


def is_hidden(name: str, parameter: nn.Parameter) -> bool:
    """Whether :class:`Muon` makes the updates of a parameter orthogonal."""
    return parameter.ndim > 1 and not _FIRST_LAST_OR_EMBEDDING.search(name)


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices ``n rows columns`` with their singular values drawn to about 1 (0.7 to 1.2), float32."""
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    for _ in range(ITERATIONS):
        products = x @ x.mT
        x = a * x + (b * products + c * products @ products) @ x
    return (x.mT if tall else x).float()


def _of_equal_shape(parameters: Iterable[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    shapes: dict[tuple[int, int], list[nn.Parameter]] = {}
    for parameter in parameters:
        shapes.setdefault((parameter.shape[0], parameter[0].numel()), []).append(parameter)
    for some in shapes.values():
        for first in range(0, len(some), MATRICES_AT_ONCE):
            yield some[first : first + MATRICES_AT_ONCE]
