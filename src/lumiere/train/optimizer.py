"""The optimiser, by its name, and its state as tensors by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lumiere.errors import InputError
from lumiere.train.config import Optim
from lumiere.train.distributed import shared_as, whole


def make_optimizer(optim: Optim, parameters: Iterable[nn.Parameter]) -> Any:
    """PyTorch's fused AdamW, or bitsandbytes' by its own name.

    Raises:
        InputError: bitsandbytes is not installed.
    """
    settings: dict[str, Any] = {"lr": optim.lr, "betas": optim.betas, "weight_decay": optim.weight_decay}
    if optim.optimizer == "AdamW":
        return torch.optim.AdamW(parameters, fused=True, **settings)
    try:
        import bitsandbytes
    except ImportError:
        raise InputError(
            f'"optim.optimizer" is {optim.optimizer!r}, which is of bitsandbytes: pip install bitsandbytes'
        ) from None
    return getattr(bitsandbytes.optim, optim.optimizer)(parameters, **settings)


def state_of(optimizer: Any, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """``{name}.{key}`` of each parameter's state, whole."""
    return {
        f"{name}.{key}": whole(value) if isinstance(value, Tensor) else torch.tensor(value)
        for name, parameter in parameters.items()
        for key, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor | int | float)
    }


def restore(optimizer: Any, parameters: Mapping[str, nn.Parameter], state: Mapping[str, Tensor]) -> None:
    """Put back what :func:`state_of` gave."""
    keys: dict[str, list[str]] = {}
    for entry in state:
        name, _, key = entry.rpartition(".")
        keys.setdefault(name, []).append(key)
    for name, parameter in parameters.items():
        if name in keys:
            optimizer.state[parameter] = {
                key: _placed(state[f"{name}.{key}"], parameter) for key in keys[name]
            }


def _placed(value: Tensor, parameter: nn.Parameter) -> Any:
    if value.shape == parameter.shape and value.ndim:
        return shared_as(value, parameter)
    # A count of steps: PyTorch's is a tensor, bitsandbytes' a number.
    return value.item() if value.dtype == torch.int64 else value.to(parameter.device)
