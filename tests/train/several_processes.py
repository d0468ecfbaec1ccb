"""Runs of the trainer in the processes of a launcher, which import but once.

accelerate launch --multi_gpu --num_processes 2 several_processes.py JOBS.json

``JOBS.json`` is a list of arguments of :func:`train`. Each run writes the loss of every step, the mean over
the processes, to ``losses.json`` in its folder, and what a process refuses to ``error-RANK.txt``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import torch
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.utils import DistributedType
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from lumiere.errors import InputError
from lumiere.train import loop
from lumiere.train.config import load

FSDP = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
}


class Recorded(loop.Trainer):
    """Keeps the losses; may be killed when it begins a step, or find a bad sample in its second process."""

    def __init__(self, *args, killed_at=None, fails_at=None, **options):
        super().__init__(*args, **options)
        self.losses: list[float] = []
        self.killed_at, read = killed_at, self.stage.load

        def load_or_fail(step, samples):
            if step == fails_at and self.accelerator.process_index == 1:
                raise InputError("sample 'x' cannot be decoded")
            return read(step, samples)

        self.stage.load = load_or_fail

    def one_step(self, loaded, lr):
        if self.step == self.killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        loss = super().one_step(loaded, lr)
        self.losses.append(float(self.accelerator.reduce(loss, "mean")))
        return loss


def train(config: str, overrides: list[str], fsdp: bool = False, **options) -> None:
    set_up(fsdp)
    settings = load(config, overrides)
    rank = PartialState().process_index
    try:
        trainer = Recorded(settings, **options)
        assert all(isinstance(p, DTensor) is fsdp for p in trainer.stage.parameters())
        assert fsdp is (sum(isinstance(module, FSDPModule) for module in trainer.stage.modules()) > 5)
        trainer.run()
    except InputError as error:
        Path(settings.run.out, f"error-{rank}.txt").write_text(str(error))
        return
    if rank == 0:
        (trainer.out / "losses.json").write_text(json.dumps(trainer.losses))


def set_up(fsdp: bool) -> None:
    """What a launcher does for one run. PyTorch shards on CPUs too, for which accelerate does not ask it."""
    AcceleratorState._reset_state()
    GradientState._reset_state()
    PartialState(cpu=True).distributed_type = DistributedType.MULTI_XPU if fsdp else DistributedType.MULTI_CPU
    for name, value in FSDP.items():
        if fsdp:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for job in json.loads(Path(sys.argv[1]).read_text()):
        train(**job)
    PartialState().destroy_process_group()
