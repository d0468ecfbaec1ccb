"""Make the optimizer that a configuration names; save and restore its state as named tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lumiere.errors import InputError
from lumiere.train.config import Optim
from lumiere.train.distributed import gathered, sharded_like
from lumiere.train.muon import Muon


def make_optimizer(optim: Optim, parameters: Mapping[str, nn.Parameter]) -> Any:
    """PyTorch's fused AdamW, :class:`Muon`, or bitsandbytes' by its own name.

    Raises:
        InputError: bitsandbytes is not installed.
    """
    settings: dict[str, Any] = {"lr": optim.lr, "betas": optim.betas, "weight_decay": optim.weight_decay}
    if optim.optimizer == "AdamW":
        return torch.optim.AdamW(parameters.values(), fused=True, **settings)
    if optim.optimizer == "Muon":
        return Muon(parameters, fused=True, **settings)
    try:
        import bitsandbytes
    except ImportError:
        raise InputError(
            f'"optim.optimizer" is {optim.optimizer!r}, which is of bitsandbytes: pip install bitsandbytes'
        ) from None
    return getattr(bitsandbytes.optim, optim.optimizer)(parameters.values(), **settings)


def state_of(optimizer: Any, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """State tensors by ``{parameter name}.{key}``, gathered from all processes."""
    if _is_zero(optimizer):
        return _zero_state_of(optimizer.optimizer.optimizer, parameters)
    return {
        f"{name}.{key}": _full(value, parameter)
        for name, parameter in parameters.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _full(value: Any, parameter: nn.Parameter) -> Tensor:
    if not isinstance(value, Tensor):
        return torch.tensor(value)
    # Tensors of another shape, such as bitsandbytes' tables, may be shared by all parameters.
    return gathered(value) if value.shape == parameter.shape else value.clone()


def restore(optimizer: Any, parameters: Mapping[str, nn.Parameter], state: Mapping[str, Tensor]) -> None:
    """Restore the state that :func:`state_of` returned."""
    by_name: dict[str, dict[str, Tensor]] = {}
    for entry, value in state.items():
        name, _, key = entry.rpartition(".")
        by_name.setdefault(name, {})[key] = value
    if by_name and _is_zero(optimizer):
        _restore_zero(optimizer.optimizer, parameters, by_name)
        return
    for name, values in by_name.items():
        parameter = parameters[name]
        optimizer.state[parameter] = {key: _placed(value, parameter) for key, value in values.items()}


def _placed(value: Tensor, parameter: nn.Parameter) -> Any:
    if value.shape == parameter.shape and value.ndim:
        return sharded_like(value, parameter)
    # The step count is a tensor in PyTorch, a number in bitsandbytes.
    return value.item() if value.dtype == torch.int64 else value.to(parameter.device)


def _is_zero(optimizer: Any) -> bool:
    return hasattr(optimizer.optimizer, "single_partition_of_fp32_groups")


def _zero_state_of(inner: Any, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """DeepSpeed's state, which lies in flat partitions of all parameters, without names."""
    from deepspeed.utils import safe_get_full_optimizer_state

    kept: dict[str, Tensor] = next(iter(inner.state.values()), {})
    return {
        f"{name}.{key}": safe_get_full_optimizer_state(parameter, key) if value.ndim else value.clone()
        for name, parameter in parameters.items()
        for key, value in kept.items()
    }


def _restore_zero(
    zero: Any, parameters: Mapping[str, nn.Parameter], state: Mapping[str, Mapping[str, Tensor]]
) -> None:
    from deepspeed.utils import safe_set_full_optimizer_state

    kept = next(iter(state.values()))
    for group in zero.optimizer.param_groups:
        for flat in group["params"]:
            zero.optimizer.state[flat] = {
                key: torch.zeros_like(flat) if value.ndim else value.to(flat.device, copy=True)
                for key, value in kept.items()
            }
    zero._lazy_init_hp_params_optimizer_state()  # as after a first step
    for name, values in state.items():
        for key, value in values.items():
            if value.ndim:
                safe_set_full_optimizer_state(parameters[name], value, key)
