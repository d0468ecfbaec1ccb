"""``lumiere train``: train a model from a configuration file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import click

from lumiere.cli.options import path_type
from lumiere.errors import InputError


class Duration(click.ParamType):
    """Minutes, or ``h:mm:ss``; converted to minutes."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        if clock := re.fullmatch(r"(\d+):([0-5]\d):([0-5]\d)", text):
            hours, minutes, seconds = map(int, clock.groups())
            length = 60 * hours + minutes + seconds / 60
        else:
            length = float(text) if re.fullmatch(r"\d*\.?\d+|\d+\.", text) else 0.0
        if length <= 0:
            self.fail(
                f"{text!r} is not a duration; give minutes, such as 90, or h:mm:ss, such as 1:30:00",
                param,
                ctx,
            )
        return length


@click.command("train")
@click.argument("config", type=path_type, metavar="CONFIG.toml")
@click.option("--resume", is_flag=True, help="Resume from the last checkpoint, if there is one.")
@click.option("--restart", is_flag=True, help="Delete the run's checkpoints and samples, and start over.")
@click.option(
    "--dry-run", is_flag=True, help="Run a few steps, print their memory and time, and save nothing."
)
@click.option(
    "--max-steps", "--max-train-steps", type=click.IntRange(1), help="Stop after this number of steps."
)
@click.option(
    "--max-train-time",
    "--max-minutes",
    type=Duration(),
    metavar="TIME",
    help="Stop after this time, in minutes or as h:mm:ss.",
)
@click.option("--out", type=path_type, help="Folder of the run.  [default: runs/NAME]")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of CONFIG.toml, such as optim.lr=1e-4; repeatable.",
)
def command(
    config: Path,
    resume: bool,
    restart: bool,
    dry_run: bool,
    max_steps: int | None,
    max_train_time: float | None,
    out: Path | None,
    overrides: tuple[str, ...],
) -> int:
    """Train a codec, an image model, temporal layers, LoRA or super-resolution from CONFIG.toml.

    The run's folder holds checkpoints, samples, TensorBoard logs and the model. Ctrl-C saves a checkpoint;
    --resume continues exactly from there. On several GPUs: accelerate launch -m lumiere train CONFIG.toml

    \b
    lumiere train configs/emoji/image.toml --dry-run
    lumiere train configs/emoji/image.toml --resume --max-train-time 1:30:00
    """
    if resume + restart + dry_run > 1:
        raise click.UsageError("--resume, --restart and --dry-run exclude each other; give one of them")
    from lumiere.train.config import load

    given = {"run.max_steps": max_steps, "run.max_minutes": max_train_time}
    extra = [f"{key}={value}" for key, value in given.items() if value is not None]
    if out is not None:
        extra.append(f"run.out={out!s}")
    if dry_run:
        extra.append('data.cache=""')  # it takes long to build, and would be left behind
    try:
        settings = load(config, [*overrides, *extra])

        from diffusers.utils.logging import set_verbosity_error

        from lumiere.train.loop import Trainer

        set_verbosity_error()
        trainer = Trainer(settings, resume=resume, restart=restart, dry_run=dry_run)
        if not dry_run:
            return trainer.run()
        from lumiere.train.estimate import estimate

        text = estimate(trainer)
        if trainer.main:
            click.echo(text)
    except InputError:
        if int(os.environ.get("LOCAL_RANK", "0")):
            raise SystemExit(2) from None  # the first process of the machine reports it
        raise
    return 0
