"""``lumiere train``."""

from __future__ import annotations

from pathlib import Path

import click

from lumiere.cli.options import path_type


@click.command("train")
@click.argument("config", type=path_type, metavar="CONFIG.toml")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint, if there is one.")
@click.option("--restart", is_flag=True, help="Remove the run's checkpoints and samples, and start anew.")
@click.option("--max-steps", type=click.IntRange(1), help="End after so many steps.")
@click.option("--max-minutes", type=click.FloatRange(0, min_open=True), help="End after so many minutes.")
@click.option("--out", type=path_type, help="The run's folder.  [default: runs/NAME]")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a key: --set optim.lr=1e-4"
)
def command(
    config: Path,
    resume: bool,
    restart: bool,
    max_steps: int | None,
    max_minutes: float | None,
    out: Path | None,
    overrides: tuple[str, ...],
) -> int:
    """Train a codec, an image model, temporal layers or super-resolution, as CONFIG.toml says.

    The run's folder gets checkpoints, samples, TensorBoard's curves and the model. Ctrl-C saves; --resume
    goes on exactly where it stopped. On several GPUs: accelerate launch -m lumiere train CONFIG.toml

    \b
    lumiere train configs/emoji/image.toml
    lumiere train configs/emoji/image.toml --resume --max-minutes 60
    """
    if resume and restart:
        raise click.UsageError("--resume and --restart exclude each other")
    from lumiere.train.config import load

    given = {"run.max_steps": max_steps, "run.max_minutes": max_minutes}
    extra = [f"{key}={value}" for key, value in given.items() if value is not None]
    if out is not None:
        extra.append(f"run.out={out!s}")
    settings = load(config, [*overrides, *extra])

    from diffusers.utils.logging import set_verbosity_error

    from lumiere.train.loop import Trainer

    set_verbosity_error()  # its notes about models that load are none of the user's business
    return Trainer(settings, resume=resume, restart=restart).run()
