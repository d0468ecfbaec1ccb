"""What accelerate leaves to its users: weights that are spread over processes, whole and back.

DDP keeps every weight in every process. FSDP 2 makes them ``DTensor``s; DeepSpeed's ZeRO keeps them in
partitions of its own. Functions that make something whole must be called in all processes alike.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, InitProcessGroupKwargs
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from lumiere.errors import InputError
from lumiere.train.config import Config

#: how long processes wait for the one that builds a cache, saves, or samples
PATIENCE = timedelta(hours=6)


def make_accelerator(config: Config, **options: Any) -> Accelerator:
    """As ``accelerate launch`` and its configuration say, and ``config``.

    Raises:
        InputError: they contradict each other, or ask for what the trainer does not do.
    """
    run, optim = config.run, config.optim
    accelerator = Accelerator(
        mixed_precision=run.precision or None,
        gradient_accumulation_steps=optim.accumulate,
        cpu=run.device == "cpu",
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        **options,
    )
    if accelerator.mixed_precision not in ("no", "bf16"):
        raise InputError(
            f"accelerate's mixed precision is {accelerator.mixed_precision}; set it to no or bf16, or set "
            "run.precision"
        )
    if accelerator.distributed_type == DistributedType.FSDP and not accelerator.is_fsdp2:
        raise InputError(
            "accelerate's configuration is of FSDP 1; set fsdp_version to 2 (accelerate to-fsdp2)"
        )
    if accelerator.gradient_accumulation_steps != optim.accumulate:
        raise InputError(
            f"accelerate's gradient_accumulation_steps is {accelerator.gradient_accumulation_steps}, and "
            f"optim.accumulate is {optim.accumulate}; make them alike"
        )
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        settings = accelerator.state.deepspeed_plugin.deepspeed_config
        if "optimizer" in settings or "scheduler" in settings:
            raise InputError(
                "DeepSpeed's configuration names an optimizer or a scheduler; [optim] does, so leave it out"
            )
        settings["train_micro_batch_size_per_gpu"] = config.data.batch_size
        settings["gradient_clipping"] = optim.clip_norm
        settings["zero_allow_untested_optimizer"] = True
    return accelerator


def is_sharded(accelerator: Accelerator) -> bool:
    """Whether a process may hold but a part of the weights."""
    return accelerator.distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED)


def whole(tensor: Tensor) -> Tensor:
    """All of what may be spread over the processes."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def shared_as(value: Tensor, like: Tensor) -> Tensor:
    """A copy of ``value``, with the memory layout of ``like`` and spread over the processes as it is."""
    if isinstance(like, DTensor):
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
    # The fused update walks a parameter and its moments in step.
    return torch.empty_like(like, dtype=value.dtype).copy_(value)
