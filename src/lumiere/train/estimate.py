"""Estimate the memory and time of a run from its first steps."""

from __future__ import annotations

import time
from datetime import timedelta

from lumiere.train.config import Config
from lumiere.train.loop import Trainer
from lumiere.train.usage import peak_bytes

WARM_UP, MEASURED = 1, 2


def estimate(trainer: Trainer) -> str:
    """Train a few steps, and report the numbers of parameters, the memory and the time.

    Must be called in all processes alike.
    """
    config, batches, seconds = trainer.config, trainer.batches(), []
    try:
        for _ in range(WARM_UP + MEASURED):
            began = time.monotonic()
            loaded = [next(batches) for _ in range(config.optim.accumulate)]
            trainer.one_step(loaded, config.optim.lr).item()
            seconds.append(time.monotonic() - began)
    finally:
        batches.close()
    step = sum(seconds[WARM_UP:]) / MEASURED
    trained, frozen = trainer.parameter_counts
    return "\n".join(
        [
            f"parameters  {trained:,} trained, {frozen:,} frozen",
            f"memory      {peak_bytes(trainer.accelerator.device) / 1e9:.2f} GB at its highest, a process",
            f"step        {step:.3g} s for {trainer.samples_per_step} {trainer.stage.unit}: data.batch_size "
            f"{config.data.batch_size} x optim.accumulate {config.optim.accumulate} x processes "
            f"{trainer.processes}",
            f"run         {_length(config, step)}, without samples and checkpoints",
        ]
    )


def _length(config: Config, step: float) -> str:
    steps, seconds = config.run.max_steps, config.run.max_minutes * 60
    if seconds and (not steps or steps * step > seconds):
        return f"{seconds / step:,.0f} steps in {timedelta(seconds=round(seconds))}"
    return f"{steps:,} steps in {timedelta(seconds=round(steps * step))}"
