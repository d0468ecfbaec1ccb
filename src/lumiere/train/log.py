"""Progress of a run: a line on the terminal, and curves for accelerate's trackers."""

from __future__ import annotations

import math
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from lumiere.errors import InputError
from lumiere.train.config import Config, Run, flat

PROJECT = "lumiere"


class Diverged(InputError):
    """The loss is not finite."""


def say(message: str) -> None:
    tqdm.write(message, file=sys.stderr)


def installed_trackers(run: Run) -> list[str]:
    """The trackers that ``run`` names, without TensorBoard, the default, where it is not installed.

    Raises:
        InputError: another tracker is not installed.
    """
    missing = [name for name in run.trackers if find_spec(name) is None]
    for name in missing:
        if name != "tensorboard":
            raise InputError(f'"run.trackers" names {name}, which is not installed: pip install {name}')
        say("TensorBoard is not installed, so there will be no curves: pip install 'lumiere-video[train]'")
    return [name for name in run.trackers if name not in missing]


class Status(NamedTuple):
    """Where a run stands: steps done, seconds trained, share of the run (0 to 1), and the learning rate."""

    step: int
    seconds: float
    progress: float
    lr: float


class Log:
    """Progress bar and curves.

    Args:
        out: folder of the run.
        unit: name of a sample, such as "clips".
        samples_per_step: of all processes.
        step: the step that the run starts or resumes at.
    """

    def __init__(
        self, config: Config, accelerator: Accelerator, out: Path, unit: str, samples_per_step: int, step: int
    ):
        self.bar = tqdm(
            total=config.run.max_steps or None,
            initial=step,
            desc=config.name,
            unit="step",
            disable=not accelerator.is_main_process,
            mininterval=0.5 if sys.stderr.isatty() else 30,
        )
        self.accelerator, self.unit, self.samples_per_step = accelerator, unit, samples_per_step
        self.log_steps = config.run.log_steps
        options = {
            "tensorboard": {"purge_step": step},
            "wandb": {"name": config.name, "group": config.name, "dir": str(out), "config": flat(config)},
        }
        self.accelerator.init_trackers(PROJECT, init_kwargs=options)
        self.losses: list[Tensor] = []
        self.restart_clock()

    def restart_clock(self) -> None:
        self.clock, self.steps = time.monotonic(), 0

    def step(self, loss: Tensor, status: Status) -> None:
        """Add the loss of one step of this process. Must be called in all processes alike.

        Raises :class:`Diverged`.
        """
        self.losses.append(loss)
        self.steps += 1
        if status.step % self.log_steps == 0:
            self._write(status)
        self.bar.update()

    def _write(self, status: Status) -> None:
        loss: Any = self.accelerator.reduce(torch.stack(self.losses).mean(), "mean")
        mean = float(loss)
        self.losses.clear()
        if not math.isfinite(mean):
            raise Diverged(
                f"the loss is {mean} at step {status.step}; lower optim.lr and start over with --restart"
            )
        rate = self.samples_per_step * self.steps / (time.monotonic() - self.clock)
        self.restart_clock()
        unit = self.unit
        left = status.seconds * (1 / max(status.progress, 1e-9) - 1) / 60
        self.bar.set_postfix_str(f"loss {mean:.4f}, {rate:.3g} {unit}/s, {left:.0f} min left", refresh=False)
        values = {"loss": mean, "lr": status.lr, f"{unit} per second": rate}
        self.accelerator.log(values, step=status.step)

    def close(self) -> None:
        self.bar.close()
        for tracker in self.accelerator.trackers:
            tracker.finish()
