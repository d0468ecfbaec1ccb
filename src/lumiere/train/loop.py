"""The training loop of all stages, on one process or many.

A step is a function of the configuration, the step number and the state that a checkpoint holds: samples and
noise are drawn by sample number (:mod:`lumiere.train.draw`). So an interrupted run ends in the same weights
as an uninterrupted one, and, up to rounding, a run on several processes in those of a run on one.
"""

from __future__ import annotations

import math
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import ProjectConfiguration, gather_object
from diffusers.training_utils import EMAModel
from torch import Tensor

from lumiere.errors import InputError
from lumiere.io.files import replacing
from lumiere.train import checkpoint, optimizer
from lumiere.train.config import Config, Optim, defaults, dump, flat
from lumiere.train.distributed import (
    attention_kernel,
    autocast,
    gathered,
    is_sharded,
    make_accelerator,
    sharded_like,
)
from lumiere.train.draw import Draws, ahead, draws, key
from lumiere.train.interrupts import Interrupts
from lumiere.train.log import Diverged, Log, Status, installed_trackers, say
from lumiere.train.stages import build
from lumiere.train.temporal import LORA
from lumiere.train.usage import USAGE, Usage, in_words

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


class Trainer:
    """A run: its stage, its optimizer, its folder."""

    def __init__(self, config: Config, *, resume: bool = False, restart: bool = False, dry_run: bool = False):
        """Make or resume the run of ``config``; with ``dry_run``, without its folder.

        Raises :class:`InputError` for data and weights that do not fit, and for a folder that holds
        checkpoints if neither ``resume`` nor ``restart`` is set.
        """
        self.config, self.out = config, Path(config.run.out or f"runs/{config.name}")
        self.flat, optim = flat(config), config.optim
        if config.run.threads:
            torch.set_num_threads(config.run.threads)
        self.accelerator = make_accelerator(
            config,
            log_with=None if dry_run else installed_trackers(config.run) or None,
            project_config=ProjectConfiguration(str(self.out), logging_dir=str(self.out / LOGS)),
        )
        self.main, self.processes = self.accelerator.is_main_process, self.accelerator.num_processes
        self.samples_per_step = config.data.batch_size * optim.accumulate * self.processes
        if not dry_run:
            self._open_folder(resume, restart)
        torch.manual_seed(key("init", config.seed))
        with self.accelerator.main_process_first():
            self.stage = build(config, self.accelerator.device, builds_cache=self.main)
        if config.run.gradient_checkpointing:
            self.stage.checkpoint_gradients()
        self.frozen = self.stage.frozen()
        found = checkpoint.load_latest(self.out / CHECKPOINTS, self._say) if resume else None
        if found is not None:
            # A key that is younger than the checkpoint had its default.
            before = {**defaults(config), **found.config}
            checkpoint.check_same(replace(found, config=before), self.flat, self.frozen, self.processes)
            with torch.no_grad():
                for name, parameter in self.stage.trained().items():
                    parameter.copy_(found.weights[name])
        sizes = [(p.numel(), p.requires_grad) for p in self.stage.net.parameters()]
        #: of the net, trained and frozen
        self.parameter_counts = tuple(
            sum(n for n, trains in sizes if trains is which) for which in (True, False)
        )
        # Samples and export need the full net, of which a process may train only a shard.
        self.whole_net: Any = None
        if is_sharded(self.accelerator):
            self.whole_net = deepcopy(self.stage.net.cpu())
            # FSDP wants weights contiguous.
            self.stage.net.to(self.accelerator.device, memory_format=torch.contiguous_format)
        raw_optimizer = optimizer.make_optimizer(optim, self.stage.trained())
        self.model, self.optimizer = self.accelerator.prepare(self.stage, raw_optimizer)
        self.trained = self.stage.trained()
        self.ema = EMAModel(self.trained.values(), decay=optim.ema_decay, foreach=True)
        self.step, self.seconds, self.lr = 0, 0.0, 0.0
        if found is not None:
            self._restore(found)
        self.saved_step = self.step if found else -1
        self.interrupts = Interrupts()
        self.usage: Usage | None = None

    def _say(self, message: str) -> None:
        if self.main:
            say(message)

    def _open_folder(self, resume: bool, restart: bool) -> None:
        if checkpoint.all_in(self.out / CHECKPOINTS) and not (resume or restart):
            raise InputError(
                f"{self.out} holds checkpoints; give --resume to continue, or --restart to start over"
            )
        if not self.main:
            return
        if restart:
            for name in (CHECKPOINTS, SAMPLES, MODEL, LORA, LOGS):
                shutil.rmtree(self.out / name, ignore_errors=True)
            (self.out / USAGE).unlink(missing_ok=True)
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            (self.out / "config.toml").write_text(dump(self.config), encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"cannot write the folder {self.out}: {error.strerror}; choose another --out"
            ) from error

    def run(self) -> int:
        """Train to the end and return 0, or to an interruption and return the shell's status for it.

        The weights are saved either way.
        """
        if self._is_finished():
            self._say(f"{self.out} is finished: {self.step} steps; the model is in {self.out / MODEL}")
            return 0
        batches = self.batches()
        # One of several processes must not leave the others waiting: it stops where all do.
        stopping = self.interrupts.held() if self.processes > 1 else nullcontext()
        device = self.accelerator.device
        self.usage = Usage(self.out / USAGE, device, self.processes, self.step) if self.main else None
        log = Log(self.config, self.accelerator, self.out, self.stage.unit, self.samples_per_step, self.step)
        with self.interrupts, stopping, closing(batches), closing(log):
            try:
                self._train(batches, log)
                self._save()
                self._export()
                self._sample(log)
            except KeyboardInterrupt:
                self._save_unless(self.interrupts.forced)
                saved = f"step {self.saved_step} is saved in {self.out}"
                self._say(f"interrupted at step {self.step}; {saved}; continue with --resume")
                return 128 + (self.interrupts.received or signal.SIGINT)
            except InputError as error:
                self._save_unless(isinstance(error, Diverged))
                raise
        self.accelerator.wait_for_everyone()
        if self.usage is not None:
            used = in_words(self.usage.write(self.step))
            took = f"trained {self.step} steps in {self.seconds / 60:.1f} min ({used})"
            self._say(f"{took}; the model is in {self.out / MODEL}")
        return 0

    def _is_finished(self) -> bool:
        note = self.out / MODEL / NOTE
        return self.progress() >= 1 and note.is_file() and note.read_text(encoding="utf-8") == self._note()

    def _note(self) -> str:
        return f"# after {self.step} steps\n{dump(self.config)}"

    def _train(self, batches: Iterator[Any], log: Log) -> None:
        run, accumulate = self.config.run, self.config.optim.accumulate
        began = time.monotonic() - self.seconds
        saved, sampled = self.seconds, self.seconds
        while self.progress() < 1:
            loaded: list[Any] = []
            failure: InputError | None = None
            try:
                loaded = [next(batches) for _ in range(accumulate)]
            except InputError as error:
                failure = error
            self._agree(time.monotonic() - began, failure)
            if (progress := self.progress()) >= 1:
                return
            with self.interrupts.held():
                loss = self.one_step(loaded, learning_rate(self.config.optim, self.step, progress))
            log.step(loss, Status(self.step, self.seconds, self.progress(), self.lr))
            if self.step % run.checkpoint_steps == 0 or (
                run.checkpoint_minutes and self.seconds - saved > run.checkpoint_minutes * 60
            ):
                saved = self.seconds
                with self.interrupts.held():
                    self._save()
            if run.sample_minutes and self.seconds - sampled > run.sample_minutes * 60:
                sampled = self.seconds
                self._export()
                self._sample(log)

    def progress(self) -> float:
        """Share of the run that is done, from 0 to 1."""
        run = self.config.run
        steps = self.step / run.max_steps if run.max_steps else 0.0
        return max(steps, self.seconds / 60 / run.max_minutes if run.max_minutes else 0.0)

    def _agree(self, seconds: float, failure: InputError | None) -> None:
        """Set the clock to the first process's, and stop all processes if one was interrupted or failed."""
        stop = self.interrupts.received is not None
        if self.processes > 1:
            state = torch.tensor(
                [seconds * self.main, stop, failure is not None], device=self.accelerator.device
            )
            clock, stops, failures = self.accelerator.reduce(state, "sum").tolist()
            seconds, stop = clock, stops > 0
            if failures:
                messages = [each for each in gather_object([failure and str(failure)]) if each]
                failure = InputError(messages[0])
        self.seconds = seconds
        if failure is not None:
            raise failure
        if stop:
            raise KeyboardInterrupt

    def batches(self) -> Any:
        """The batches of this process from the current step on, each with its sample numbers."""
        config, rank = self.config, self.accelerator.process_index
        size, accumulate = config.data.batch_size, config.optim.accumulate

        def load(number: int) -> tuple[range, Any]:
            first = (number * self.processes + rank) * size
            samples = range(first, first + size)
            return samples, self.stage.load(number // accumulate, samples)

        return ahead(load, self.step * accumulate, config.data.workers)

    def one_step(self, loaded: list[tuple[range, Any]], lr: float) -> Tensor:
        """Take one step, and return the loss of this process."""
        config, device = self.config, self.accelerator.device
        self.lr = lr
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        total = torch.zeros((), device=device)
        for samples, part in loaded:
            torch.manual_seed(key("module", config.seed, samples.start))
            with torch.no_grad():
                batch = self.stage.prepare(part)
            with attention_kernel(self.accelerator, config.run), self.accelerator.accumulate(self.model):
                with autocast(self.accelerator, config.run):
                    loss = self.model(*batch, self._draws(samples))
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(self.trained.values(), config.optim.clip_norm)
                self.optimizer.step()
                self.optimizer.zero_grad()
            total += loss.detach() / len(loaded)
        self.step += 1
        if self.step % config.optim.ema_every == 0:
            self.ema.step(self.trained.values())
        return total

    def _draws(self, samples: range) -> Draws:
        together = self.stage.draws_together
        return draws(
            self.accelerator.device, self.config.seed, samples, self.samples_per_step, together=together
        )

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Swap in the full net with averaged weights, in evaluation mode."""
        if self.whole_net is None:
            parameters = list(self.trained.values())
            self.ema.store(parameters)
            self.ema.copy_to(parameters)
            self.stage.net.eval()
            try:
                yield
            finally:
                self.ema.restore(parameters)
                self.stage.net.train()
            return
        own, parameters_by_name = self.stage.net, dict(self.whole_net.named_parameters())
        with torch.no_grad():
            for name, average in zip(self.trained, self.ema.shadow_params, strict=True):
                parameters_by_name[name].copy_(gathered(average))
        self.stage.net = self.whole_net.to(self.accelerator.device).eval()
        try:
            yield
        finally:
            self.stage.net = own
            self.whole_net.cpu()

    def _export(self) -> None:
        with self._averaged():
            if self.main:
                with replacing(self.out / MODEL) as folder:
                    self.stage.export(folder)
                    (folder / NOTE).write_text(self._note(), encoding="utf-8")

    def _sample(self, log: Log) -> None:
        with self._averaged():
            if self.main:
                with replacing(self.out / SAMPLES / f"step-{self.step:08d}") as folder:
                    folder.mkdir()
                    self.stage.draw_samples(folder)
        log.restart_clock()

    def _save_unless(self, incomplete: bool) -> None:
        if not incomplete:
            with self.interrupts.held():
                self._save()

    def _save(self) -> None:
        if self.step == self.saved_step:
            return
        now = checkpoint.Checkpoint(
            self.step,
            self.seconds,
            self.flat,
            self.frozen,
            self.samples_per_step,
            weights={name: gathered(parameter) for name, parameter in self.trained.items()},
            ema={
                name: gathered(each) for name, each in zip(self.trained, self.ema.shadow_params, strict=True)
            },
            optimizer=optimizer.state_of(self.optimizer, self.trained),
        )
        if self.main:
            checkpoint.save(self.out / CHECKPOINTS, now, self.config.run.keep)
        if self.usage is not None:
            self.usage.write(self.step)
        self.saved_step = self.step

    @torch.no_grad()
    def _restore(self, found: checkpoint.Checkpoint) -> None:
        self.step, self.seconds = found.step, found.seconds
        self.ema.optimization_step = self.step // self.config.optim.ema_every
        for name, average in zip(self.trained, self.ema.shadow_params, strict=True):
            average.copy_(sharded_like(found.ema[name], average))
        optimizer.restore(self.optimizer, self.trained, found.optimizer)
