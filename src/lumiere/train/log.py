"""What a run tells: a progress line, and curves for accelerate's trackers."""

from __future__ import annotations

import math
import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from tqdm import tqdm

from lumiere.errors import InputError
from lumiere.train.config import Run

if TYPE_CHECKING:
    from lumiere.train.loop import Trainer

PROJECT = "lumiere"


class Diverged(InputError):
    """The weights hold no numbers any more."""


def say(message: str) -> None:
    tqdm.write(message, file=sys.stderr)


def installed_trackers(run: Run) -> list[str]:
    """Those that ``run`` names; without TensorBoard, which it names by itself, if that is missing.

    Raises:
        InputError: another one is not installed.
    """
    missing = [name for name in run.trackers if find_spec(name) is None]
    for name in missing:
        if name != "tensorboard":
            raise InputError(f'"run.trackers" names {name}, which is not installed: pip install {name}')
        say("TensorBoard is not installed, so there will be no curves: pip install 'lumiere-video[train]'")
    return [name for name in run.trackers if name not in missing]


class Log:
    def __init__(self, trainer: Trainer):
        config = trainer.config
        self.bar = tqdm(
            total=config.run.max_steps or None,
            initial=trainer.step,
            desc=config.name,
            unit="step",
            disable=not trainer.main,
            mininterval=0.5 if sys.stderr.isatty() else 30,
        )
        self.accelerator = trainer.accelerator
        options = {
            "tensorboard": {"purge_step": trainer.step},
            "wandb": {
                "name": config.name,
                "group": config.name,
                "dir": str(trainer.out),
                "config": trainer.flat,
            },
        }
        self.accelerator.init_trackers(PROJECT, init_kwargs=options)
        self.losses: list[Tensor] = []
        self.restart_clock()

    def restart_clock(self) -> None:
        self.clock, self.steps = time.monotonic(), 0

    def step(self, trainer: Trainer, loss: Tensor) -> None:
        """Must be called in all processes alike. Raises :class:`Diverged`."""
        self.losses.append(loss)
        self.steps += 1
        if trainer.step % trainer.config.run.log_steps == 0:
            self._write(trainer)
        self.bar.update()

    def _write(self, trainer: Trainer) -> None:
        loss: Any = self.accelerator.reduce(torch.stack(self.losses).mean(), "mean")
        mean = float(loss)
        self.losses.clear()
        if not math.isfinite(mean):
            raise Diverged(
                f"the loss is {mean} at step {trainer.step}; lower optim.lr and start anew with --restart"
            )
        rate = trainer.samples_per_step * self.steps / (time.monotonic() - self.clock)
        self.restart_clock()
        unit = trainer.stage.unit
        left = trainer.seconds * (1 / max(trainer.progress(), 1e-9) - 1) / 60
        self.bar.set_postfix_str(f"loss {mean:.4f}, {rate:.3g} {unit}/s, {left:.0f} min left", refresh=False)
        values = {"loss": mean, "lr": trainer.lr, f"{unit} per second": rate}
        self.accelerator.log(values, step=trainer.step)

    def close(self) -> None:
        self.bar.close()
        for tracker in self.accelerator.trackers:
            tracker.finish()
