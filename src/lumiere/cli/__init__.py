"""The command line: one verb per file of this folder, imported only when it is called.

A verb's file exports ``command``, a :class:`click.Command`. It keeps heavy imports (torch, diffusers, av,
numpy) inside functions, so that ``lumiere VERB --help`` answers at once.
"""

from __future__ import annotations

import errno
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from lumiere.errors import InputError
from lumiere.io.text import plain, printable
from lumiere.startup import light_imports

VERBS = {
    "generate": ("lumiere.cli.generate", "Generate a clip from a prompt."),
    "loop": ("lumiere.cli.loop", "Generate a seamless loop."),
    "animate": ("lumiere.cli.animate", "Animate an image (first-frame conditioning)."),
    "transition": ("lumiere.cli.transition", "Interpolate between a first and a last frame."),
    "cinemagraph": ("lumiere.cli.cinemagraph", "Animate a region of an image (cinemagraph)."),
    "inpaint": ("lumiere.cli.inpaint", "Inpaint a masked region of a video."),
    "outpaint": ("lumiere.cli.outpaint", "Outpaint a video onto a larger canvas."),
    "extend": ("lumiere.cli.extend", "Extend a video."),
    "edit": ("lumiere.cli.edit", "Edit a video with a prompt (SDEdit)."),
    "stylize": ("lumiere.cli.stylize", "Generate a clip in the style of a reference image."),
    "style": ("lumiere.cli.style", "Fit a style to reference images."),
    "upscale": ("lumiere.cli.upscale", "Upscale a video with MultiDiffusion."),
    "sticker": ("lumiere.cli.sticker", "Convert a clip to a messenger's sticker."),
    "batch": ("lumiere.cli.batch", "Generate a clip for every line of a file."),
    "studio": ("lumiere.cli.studio", "Serve a page that generates and edits clips."),
    "rival": ("lumiere.cli.rival", "Generate clips with another video model from the same prompts."),
    "show": ("lumiere.cli.show", "Show a clip's properties and generation settings."),
    "words": ("lumiere.cli.words", "List the words that a model knows."),
    "xt-slice": ("lumiere.cli.xt_slice", "Plot and measure an x-t slice of videos."),
    "metrics": ("lumiere.cli.metrics", "Measure clips and their distance from real clips."),
    "data": ("lumiere.cli.data", "Prepare training data."),
    "inflate": ("lumiere.cli.inflate", "Inflate an image model into a video model."),
    "convert": ("lumiere.cli.convert", "Convert a pickled checkpoint to safetensors."),
    "train": ("lumiere.cli.train", "Train a model from a configuration file."),
    "evaluate": ("lumiere.cli.evaluate", "Evaluate a model on held-out prompts."),
    "study": ("lumiere.cli.study", "Run a user study: which of two clips is better."),
    "ablate": ("lumiere.cli.ablate", "Ablate a part of the method and measure the effect."),
    "report": ("lumiere.cli.report", "Collect measured figures into one HTML page."),
    "bench": ("lumiere.cli.bench", "Benchmark one denoising step against other networks."),
}
_LONGEST = 1000
INTERRUPTED = 128 + 2  # what a shell reports for a program that SIGINT ended
USERS_TO_MEND = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.ENOTDIR,
    errno.EISDIR,
}


class LazyGroup(click.Group):
    """A group that lists its verbs without importing them, and prints errors without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(VERBS[cmd_name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            raise click.UsageError(f"unknown verb {args[0]!r}; choose from {', '.join(VERBS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, help_line) for verb, (_, help_line) in VERBS.items()])

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        extra["standalone_mode"] = False
        if logging.lastResort is not None:
            logging.lastResort.setFormatter(_Plain())
        try:
            with light_imports():
                status = super().main(args, prog_name or "lumiere", **extra)
            sys.stdout.flush()
            sys.exit(status if isinstance(status, int) else 0)
        except click.exceptions.NoArgsIsHelpError as exception:
            exception.show()
            sys.exit(2)
        except click.UsageError as exception:
            where = exception.ctx.command_path if exception.ctx else "lumiere"
            said = exception.format_message().rstrip(".")
            if "unexpected extra argument" in said and exception.ctx and _takes_prompt(exception.ctx):
                said += '; quote a prompt of several words, such as "a red frog"'
            _fail(f"{said} (see {where} --help)")
        except click.ClickException as exception:
            _fail(exception.format_message())
        except InputError as exception:
            _fail(str(exception))
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted", err=True)
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            # The reader left; what Python would still flush at exit has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except OSError as exception:
            if exception.errno not in USERS_TO_MEND:
                raise
            _fail(f"{exception.strerror}: {exception.filename or 'while writing'}")


class _Plain(logging.Formatter):
    """Messages name files, whose names may hold what a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        return plain(super().format(record))


def _takes_prompt(context: click.Context) -> bool:
    return any(parameter.name == "prompt" for parameter in context.command.params)


def _fail(message: str) -> NoReturn:
    said = printable(message)
    click.echo(f"error: {said if len(said) <= _LONGEST else said[:_LONGEST] + ' ...'}", err=True)
    sys.exit(2)


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"lumiere {version('lumiere-video')}")
        except PackageNotFoundError:
            click.echo("lumiere, from a source tree that is not installed")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    subcommand_metavar="VERB [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
def main() -> None:
    """Text-to-video with a Space-Time U-Net: every frame of a clip in one pass.

    \b
    lumiere generate "a frog growing on a purple background" --out frog.mp4
    lumiere show frog.mp4
    """
