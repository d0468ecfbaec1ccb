"""Runs of the trainer in the processes of a launcher, which import but once.

accelerate launch --multi_gpu --num_processes 2 several_processes.py JOBS.json

``JOBS.json`` is a list of arguments of :func:`train`. Each run writes the loss of every step, the mean over the
processes, to ``losses.json`` in its folder, and what a process refuses to ``error-RANK.txt``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.utils import DistributedType

from lumiere.errors import InputError
from lumiere.train import loop
from lumiere.train.config import load

torch.set_num_threads(1)
FSDP = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
}


def set_up(fsdp: bool) -> None:
    """What a launcher does for one run. PyTorch shards on CPUs too, for which accelerate does not ask it."""
    AcceleratorState._reset_state()
    GradientState._reset_state()
    kind = DistributedType.MULTI_XPU if fsdp else DistributedType.MULTI_CPU
    PartialState(cpu=True).distributed_type = kind
    for name, value in FSDP.items():
        if fsdp:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)


class Recorded(loop.Trainer):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.losses: list[float] = []

    def one_step(self, loaded, lr):
        loss = super().one_step(loaded, lr)
        self.losses.append(float(self.accelerator.reduce(loss, "mean")))
        return loss


def train(config: str, overrides: list[str], resume: bool = False, fsdp: bool = False) -> None:
    set_up(fsdp)
    settings = load(config, overrides)
    try:
        trainer = Recorded(settings, resume=resume)
        trainer.run()
    except InputError as error:
        Path(settings.run.out, f"error-{PartialState().process_index}.txt").write_text(str(error))
        return
    if trainer.main:
        (trainer.out / "losses.json").write_text(json.dumps(trainer.losses))


if __name__ == "__main__":
    for job in json.loads(Path(sys.argv[1]).read_text()):
        train(**job)
    PartialState().destroy_process_group()
