"""Set up accelerate, and gather and scatter weights that are sharded over processes.

DDP, and DeepSpeed's ZeRO of stages 1 and 2, keep every weight in every process; FSDP 2 makes them
``DTensor``s. Functions that gather must be called in all processes alike.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, InitProcessGroupKwargs
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from lumiere.errors import InputError
from lumiere.train.config import Config, Run

#: timeout of processes that wait for the one that builds a cache, saves, or samples
PATIENCE = timedelta(hours=6)


def make_accelerator(config: Config, **options: Any) -> Accelerator:
    """An ``Accelerator`` from the settings of ``accelerate launch`` and ``config``.

    Raises:
        InputError: they contradict each other, or the trainer does not support them.
    """
    optim, precision = config.optim, precision_of(config.run)
    if precision not in ("no", "bf16"):
        raise InputError(f"accelerate's mixed precision is {precision}; set run.precision to no or bf16")
    # Their own mixed precision would cast samples, or the weights that are averaged: see autocast.
    sharded = any(os.environ.get(f"ACCELERATE_USE_{what}") == "true" for what in ("FSDP", "DEEPSPEED"))
    accelerator = Accelerator(
        mixed_precision="no" if sharded else precision,
        gradient_accumulation_steps=optim.accumulate,
        cpu=config.run.device == "cpu",
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        **options,
    )
    if _shards_state(accelerator) and optim.optimizer != "AdamW":
        raise InputError(f'"optim.optimizer" is {optim.optimizer!r}; FSDP and DeepSpeed want AdamW')
    if accelerator.distributed_type == DistributedType.FSDP and not accelerator.is_fsdp2:
        raise InputError(
            "accelerate's configuration is of FSDP 1; set fsdp_version to 2 (accelerate to-fsdp2)"
        )
    if accelerator.gradient_accumulation_steps != optim.accumulate:
        raise InputError(
            f"accelerate's gradient_accumulation_steps is {accelerator.gradient_accumulation_steps}, and "
            f"optim.accumulate is {optim.accumulate}; make them equal"
        )
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        _fit_deepspeed(accelerator.state.deepspeed_plugin.deepspeed_config, config)
    return accelerator


def _fit_deepspeed(settings: dict[str, Any], config: Config) -> None:
    if settings.get("zero_optimization", {}).get("stage", 0) not in (1, 2):
        raise InputError("DeepSpeed's ZeRO stage must be 1 or 2; use FSDP 2 in place of stage 3")
    for key in ("optimizer", "scheduler"):
        if key in settings:
            raise InputError(f"DeepSpeed's configuration has {key!r}; leave it out: [optim] sets it")
    for key in ("fp16", "bf16"):
        if settings.get(key, {}).get("enabled") is True:
            raise InputError(
                f"DeepSpeed's configuration enables {key!r}; leave it out, and set run.precision"
            )
    settings["train_micro_batch_size_per_gpu"] = config.data.batch_size
    settings["gradient_clipping"] = config.optim.clip_norm
    settings["zero_allow_untested_optimizer"] = True


def autocast(accelerator: Accelerator, run: Run) -> AbstractContextManager[Any]:
    """The precision of the net with FSDP and DeepSpeed; accelerate sets it otherwise."""
    if not _shards_state(accelerator) or precision_of(run) == "no":
        return nullcontext()
    return torch.autocast(accelerator.device.type, torch.bfloat16, cache_enabled=False)


def attention_kernel(accelerator: Accelerator, run: Run) -> AbstractContextManager[Any]:
    """Plain matrix products for attention in bf16 on a CPU, whose fused kernel is slow in its backward pass.

    A training step of the shipped image model, batch 48, takes 0.76 s of one core in place of 0.99 s.
    """
    if accelerator.device.type != "cpu" or precision_of(run) != "bf16":
        return nullcontext()
    return sdpa_kernel(SDPBackend.MATH)


def precision_of(run: Run) -> str:
    """The net's precision in training: "no" (float32), "bf16", or another that accelerate is set to."""
    return run.precision or os.environ.get("ACCELERATE_MIXED_PRECISION", "no")


def _shards_state(accelerator: Accelerator) -> bool:
    return accelerator.distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED)


def is_sharded(accelerator: Accelerator) -> bool:
    """Whether each process holds only a part of the weights."""
    return bool(accelerator.distributed_type == DistributedType.FSDP)


def gathered(tensor: Tensor) -> Tensor:
    """The full tensor, gathered from all processes if it is sharded."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def sharded_like(value: Tensor, like: Tensor) -> Tensor:
    """A copy of ``value`` with the memory layout and the sharding of ``like``."""
    if isinstance(like, DTensor):
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
    # The fused update walks a parameter and its moments in step.
    return torch.empty_like(like, dtype=value.dtype).copy_(value)
