"""One loop for all stages.

What a step computes is a function of the configuration, the step and the state that a checkpoint holds:
batches and noise are drawn by counters (:mod:`lumiere.train.draw`), so that an interrupted run and an
uninterrupted one end in the same weights.
"""

from __future__ import annotations

import math
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from diffusers.training_utils import EMAModel
from torch import Tensor
from tqdm import tqdm

from lumiere.errors import InputError
from lumiere.files import replacing
from lumiere.train import checkpoint
from lumiere.train.config import Config, Optim, defaults, dump, flat
from lumiere.train.draw import ahead, generator, key
from lumiere.train.interrupts import Interrupts
from lumiere.train.stages import build

CHECKPOINTS, SAMPLES, MODEL, LOGS = "checkpoints", "samples", "model", "tensorboard"
#: the configuration, saved with the weights
NOTE = "training.toml"


def learning_rate(optim: Optim, step: int, progress: float) -> float:
    """At ``step``, when ``progress`` (0 to 1) of the run is over; never below a hundredth of ``optim.lr``."""
    if optim.schedule == "cosine":
        factor = (1 + math.cos(math.pi * min(progress, 1.0))) / 2
    else:
        factor = min(1.0, (1 - progress) / optim.cooldown) if optim.cooldown else 1.0
    return optim.lr * max(0.01, min(factor, (step + 1) / max(optim.warmup_steps, 1)))


class Diverged(InputError):
    """The weights hold no numbers any more."""


def say(message: str) -> None:
    tqdm.write(message, file=sys.stderr)


class Trainer:
    """A run: its stage, its optimiser, its folder."""

    def __init__(self, config: Config, *, resume: bool = False, restart: bool = False):
        """Make or resume the run of ``config``.

        Raises :class:`InputError` for data and weights that do not fit, and for a folder that holds
        checkpoints if neither ``resume`` nor ``restart`` is set.
        """
        self.config, self.out = config, Path(config.run.out or f"runs/{config.name}")
        self.flat = flat(config)
        if config.run.threads:
            torch.set_num_threads(config.run.threads)
        self.accelerator = Accelerator(
            mixed_precision=config.run.precision,
            gradient_accumulation_steps=config.optim.accumulate,
            cpu=config.run.device == "cpu",
        )
        self.main = self.accelerator.is_main_process
        self._open_folder(resume, restart)
        torch.manual_seed(key("init", config.seed))
        with self.accelerator.main_process_first():
            self.stage = build(config, self.accelerator.device, builds_cache=self.main)
        self.trained = self.stage.trained()
        self.frozen = self.stage.frozen()
        optim = config.optim
        self.adamw = torch.optim.AdamW(
            self.trained.values(), optim.lr, optim.betas, weight_decay=optim.weight_decay, fused=True
        )
        self.model, self.optimizer = self.accelerator.prepare(self.stage, self.adamw)
        self.ema = EMAModel(self.trained.values(), decay=optim.ema_decay, foreach=True)
        self.step, self.seconds = 0, 0.0
        found = checkpoint.load_latest(self.out / CHECKPOINTS, say) if resume else None
        if found is not None:
            # A key that is younger than the checkpoint had its default.
            before = {**defaults(config), **found.config}
            checkpoint.check_same(replace(found, config=before), self.flat, self.frozen)
            self._restore(found)
        self.saved_step = self.step if found else -1
        self.interrupts = Interrupts()

    def _open_folder(self, resume: bool, restart: bool) -> None:
        if checkpoint.all_in(self.out / CHECKPOINTS) and not (resume or restart):
            raise InputError(
                f"{self.out} holds checkpoints; say --resume to go on, or --restart to start anew"
            )
        if not self.main:
            return
        if restart:
            for name in (CHECKPOINTS, SAMPLES, MODEL, LOGS):
                shutil.rmtree(self.out / name, ignore_errors=True)
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            (self.out / "config.toml").write_text(dump(self.config), encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"cannot write the folder {self.out}: {error.strerror}; choose another --out"
            ) from error

    def run(self) -> int:
        """Train to the end and return 0, or to an interruption and return the shell's status for it.

        Everything that was learnt is saved either way.
        """
        config, rank = self.config, self.accelerator.process_index
        if self._is_finished():
            say(f"{self.out} is finished: {self.step} steps; the model is in {self.out / MODEL}")
            return 0
        batches: Any = ahead(
            lambda draw: self.stage.load(draw, rank), self.step * config.optim.accumulate, config.data.workers
        )
        with self.interrupts, closing(batches), self._log() as log:
            try:
                self._train(batches, log)
                if self.main:
                    self._save()
                    self._export()
                    self._sample(log)
            except KeyboardInterrupt:
                self._save_unless(self.interrupts.forced)
                saved = f"step {self.saved_step} is saved in {self.out}"
                say(f"interrupted at step {self.step}; {saved}; --resume goes on")
                return 128 + (self.interrupts.received or signal.SIGINT)
            except InputError as error:
                self._save_unless(isinstance(error, Diverged))
                raise
        self.accelerator.wait_for_everyone()
        say(f"trained {self.step} steps in {self.seconds / 60:.1f} min; the model is in {self.out / MODEL}")
        return 0

    def _is_finished(self) -> bool:
        note = self.out / MODEL / NOTE
        return self._progress() >= 1 and note.is_file() and note.read_text(encoding="utf-8") == self._note()

    def _note(self) -> str:
        return f"# after {self.step} steps\n{dump(self.config)}"

    def _train(self, batches: Iterator[Any], log: _Log) -> None:
        run = self.config.run
        began = time.monotonic() - self.seconds
        saved, sampled = self.seconds, self.seconds
        while True:
            self.seconds, stop = self._agree(time.monotonic() - began, self.interrupts.received is not None)
            if stop:
                raise KeyboardInterrupt
            progress = self._progress()
            if progress >= 1:
                return
            with self.interrupts.held():
                loss = self._one_step(batches, learning_rate(self.config.optim, self.step, progress))
            log.step(self, loss)
            if self.main and (
                self.step % run.checkpoint_steps == 0
                or (run.checkpoint_minutes and self.seconds - saved > run.checkpoint_minutes * 60)
            ):
                saved = self.seconds
                with self.interrupts.held():
                    self._save()
            if self.main and run.sample_minutes and self.seconds - sampled > run.sample_minutes * 60:
                sampled = self.seconds
                self._export()
                self._sample(log)

    def _progress(self) -> float:
        run = self.config.run
        steps = self.step / run.max_steps if run.max_steps else 0.0
        return max(steps, self.seconds / 60 / run.max_minutes if run.max_minutes else 0.0)

    def _agree(self, seconds: float, stop: bool) -> tuple[float, bool]:
        """Time and the wish to stop, the same in all processes."""
        if self.accelerator.num_processes == 1:
            return seconds, stop
        device = self.accelerator.device
        clock = broadcast(torch.tensor(seconds, device=device, dtype=torch.float32))
        stops = self.accelerator.reduce(torch.tensor(float(stop), device=device), "sum")
        return float(clock), bool(stops > 0)

    def _one_step(self, batches: Iterator[Any], lr: float) -> Tensor:
        config, device = self.config, self.accelerator.device
        for group in self.adamw.param_groups:
            group["lr"] = lr
        total = torch.zeros((), device=device)
        for part in range(config.optim.accumulate):
            draw = self.step * config.optim.accumulate + part
            rank = self.accelerator.process_index
            torch.manual_seed(key("module", config.seed, draw, rank))
            with torch.no_grad():
                batch = self.stage.prepare(next(batches))
            with self.accelerator.accumulate(self.model):
                loss = self.model(*batch, generator(device, "noise", config.seed, draw, rank))
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(self.trained.values(), config.optim.clip_norm)
                self.optimizer.step()
                self.optimizer.zero_grad()
            total += loss.detach() / config.optim.accumulate
        self.step += 1
        if self.step % config.optim.ema_every == 0:
            self.ema.step(self.trained.values())
        return total

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The net with its averaged weights, in evaluation mode."""
        parameters = list(self.trained.values())
        self.ema.store(parameters)
        self.ema.copy_to(parameters)
        self.stage.net.eval()
        try:
            yield
        finally:
            self.ema.restore(parameters)
            self.stage.net.train()

    def _export(self) -> None:
        with self._averaged(), replacing(self.out / MODEL) as folder:
            self.stage.export(folder)
            (folder / NOTE).write_text(self._note(), encoding="utf-8")

    def _sample(self, log: _Log) -> None:
        with self._averaged(), replacing(self.out / SAMPLES / f"step-{self.step:08d}") as folder:
            folder.mkdir()
            self.stage.draw_samples(folder)
        log.restart_clock()

    def _save_unless(self, torn: bool) -> None:
        if not torn:
            with self.interrupts.held():
                self._save()

    def _save(self) -> None:
        if not self.main or self.step == self.saved_step:
            return
        names = list(self.trained)
        moments = {
            f"{name}.{what}": value
            for name, parameter in self.trained.items()
            for what, value in self.adamw.state.get(parameter, {}).items()
        }
        checkpoint.save(
            self.out / CHECKPOINTS,
            checkpoint.Checkpoint(
                self.step,
                self.seconds,
                self.flat,
                self.frozen,
                weights=self.trained,
                ema=dict(zip(names, self.ema.shadow_params, strict=True)),
                optimizer=moments,
            ),
            self.config.run.keep,
        )
        self.saved_step = self.step

    @torch.no_grad()
    def _restore(self, found: checkpoint.Checkpoint) -> None:
        self.step, self.seconds = found.step, found.seconds
        self.ema.optimization_step = self.step // self.config.optim.ema_every
        for (name, parameter), average in zip(self.trained.items(), self.ema.shadow_params, strict=True):
            parameter.copy_(found.weights[name])
            average.copy_(found.ema[name])
            if f"{name}.step" in found.optimizer:
                # Copied into the parameter's own memory layout: the fused update walks all of them in step.
                self.adamw.state[parameter] = {
                    "step": found.optimizer[f"{name}.step"].to(parameter.device),
                    **{
                        moment: torch.empty_like(parameter).copy_(found.optimizer[f"{name}.{moment}"])
                        for moment in ("exp_avg", "exp_avg_sq")
                    },
                }

    def _log(self) -> Any:
        return closing(_Log(self))


class _Log:
    """The progress line and TensorBoard."""

    def __init__(self, trainer: Trainer):
        run = trainer.config.run
        self.bar = tqdm(
            total=run.max_steps or None,
            initial=trainer.step,
            desc=trainer.config.name,
            unit="step",
            disable=not trainer.main,
            mininterval=0.5 if sys.stderr.isatty() else 30,
        )
        self.board = _board(trainer.out / LOGS, trainer.step) if trainer.main else None
        self.every, self.losses = run.log_steps, []
        self.per_step = (
            trainer.config.data.batch_size
            * trainer.config.optim.accumulate
            * trainer.accelerator.num_processes
        )
        self.restart_clock()

    losses: list[Tensor]

    def restart_clock(self) -> None:
        self.clock, self.steps = time.monotonic(), 0

    def step(self, trainer: Trainer, loss: Tensor) -> None:
        self.losses.append(loss)
        self.steps += 1
        if trainer.step % self.every == 0:
            self._write(trainer)
        self.bar.update()

    def _write(self, trainer: Trainer) -> None:
        mean = torch.stack(self.losses).mean().item()
        self.losses.clear()
        if not math.isfinite(mean):
            raise Diverged(
                f"the loss is {mean} at step {trainer.step}; lower optim.lr and start anew with --restart"
            )
        rate = self.per_step * self.steps / (time.monotonic() - self.clock)
        self.restart_clock()
        unit = trainer.stage.unit
        left = trainer.seconds * (1 / max(trainer._progress(), 1e-9) - 1) / 60
        self.bar.set_postfix_str(f"loss {mean:.4f}, {rate:.3g} {unit}/s, {left:.0f} min left", refresh=False)
        if self.board is not None:
            self.board.add_scalar("loss", mean, trainer.step)
            self.board.add_scalar("lr", trainer.adamw.param_groups[0]["lr"], trainer.step)
            self.board.add_scalar(f"{unit} per second", rate, trainer.step)

    def close(self) -> None:
        self.bar.close()
        if self.board is not None:
            self.board.close()


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        say("TensorBoard is not installed, so there will be no curves: pip install 'lumiere-video[train]'")
        return None
    return SummaryWriter(str(folder), purge_step=step)
