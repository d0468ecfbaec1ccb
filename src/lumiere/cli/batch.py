"""``lumiere batch``: generate a clip for every line of a file."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from copy import copy
from itertools import chain, starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lumiere.batch.calls import Program
from lumiere.cli import main
from lumiere.cli.options import (
    device_option,
    line_seed_option,
    overwrite_option,
    path_type,
    pick_device,
)
from lumiere.errors import InputError

if TYPE_CHECKING:
    from lumiere.batch.work import Result

FORMATS = {"mp4": ".mp4", "webm": ".webm", "gif": ".gif", "webp": ".webp", "png": ""}
SOME_FAILED = 1
VERBS = (
    "generate", "loop", "animate", "transition", "cinemagraph", "inpaint", "outpaint", "extend", "edit",
    "stylize", "upscale",
)  # fmt: skip


def find_verb(verb: str) -> click.Command:
    """The command line's verb. A worker on another machine finds it by this function's name."""
    found = main.get_command(click.Context(main), verb)
    assert found is not None
    return found


PROGRAM = Program(VERBS, find_verb)


@click.command()
@click.argument("file", type=path_type)
@click.option("--out", "folder", required=True, type=path_type, help="Folder for the clips.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(FORMATS)),
    default="mp4",
    show_default=True,
    help="Format of the clips; png writes a folder of frames per clip.",
)
@click.option(
    "--verb",
    type=click.Choice(VERBS),
    default="generate",
    show_default=True,
    help="Verb of lines that name none.",
)
@line_seed_option
@click.option(
    "--ray",
    "address",
    metavar="ADDRESS",
    help="Run on a Ray cluster: HOST:PORT, auto (the running one), or local (a new one).",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Parallel workers, with --ray.  [default: one per GPU; without GPUs, one per machine]",
)
@device_option
@overwrite_option
def command(
    file: Path,
    folder: Path,
    format_: str,
    verb: str,
    seed: int,
    address: str | None,
    workers: int | None,
    device: str | None,
    overwrite: bool,
    **given: Any,
) -> int:
    """Generate a clip for every line of FILE, and print their paths.

    FILE is a .jsonl, a .csv or a .txt. A JSON line or a CSV row holds the options of a verb by name, and
    optionally the verb and an id (the clip's file name); a line of text is a prompt. Options on the command
    line are defaults for all lines.

    Existing clips with the same settings are kept: run the same command again to resume. manifest.jsonl
    records the result of every line.

    \b
    lumiere batch prompts.txt --out clips --frames 40
    lumiere batch prompts.jsonl --out clips --ray local --workers 2
    lumiere batch pictures.csv --verb animate --out clips --ray 192.0.2.1:6379
    """
    from tqdm import tqdm

    from lumiere.batch.lines import read_lines
    from lumiere.batch.plan import is_made, read_jobs, with_settings
    from lumiere.batch.work import MANIFEST, Worker, failed, found, open_batch
    from lumiere.io.files import check_parent

    if workers is not None and address is None:
        raise InputError(f"--workers {workers} needs --ray; add --ray local")
    if address is not None and device not in (None, "cpu", "cuda"):
        raise InputError(f"--device is {device!r}; with --ray, give cpu or cuda, or leave it out")
    given = {
        name: _plain(value)
        for name, value in given.items()
        if value is not None and value is not False and value != ()
    }
    jobs = read_jobs(PROGRAM, file, read_lines(file), folder.absolute(), FORMATS[format_], verb, seed, given)
    planned, lacking = with_settings(jobs)
    if not planned:
        raise InputError(f"{file}:{jobs[0].line}: {lacking[0][1]}")
    check_parent(folder.absolute() / MANIFEST)
    made = {job.line for job in planned if is_made(job.path, job.settings, overwrite)}
    there = [job for job in planned if job.line in made]
    left = [job for job in planned if job.line not in made]

    names = sys.stdout
    counts = Counter({"made": 0, "kept": 0, "failed": 0})
    with ExitStack() as stack:
        results: Iterable[Result] = ()
        if left and address is not None:
            from lumiere.batch.cluster import cluster
            from lumiere.batch.on_ray import make_on_ray

            stack.enter_context(cluster(address))
            results = make_on_ray(left, workers, device, overwrite)
        elif left:
            results = map(Worker(pick_device(device), overwrite).make, left)
        manifest = stack.enter_context(open_batch(folder))
        bar = stack.enter_context(tqdm(total=len(jobs), unit="clip", disable=None))
        for result in chain(starmap(failed, lacking), map(found, there), results):
            manifest.add(result)
            counts[result.status] += 1
            bar.update()
            if result.status == "made":
                bar.write(str(folder / result.job.path.name), file=names)
            if result.error is not None:
                bar.write(f"error: {file}:{result.job.line}: {result.error}", file=sys.stderr)
            if result.hopeless:
                bar.write("stopped: other lines would fail too; fix this, and run it again", file=sys.stderr)
                break
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    click.echo(f"{len(jobs)} clips: {said}; see {folder / MANIFEST}", err=True)
    return SOME_FAILED if counts["failed"] else 0


def _plain(value: Any) -> Any:
    """A value of the command line as a line of a file would hold it."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def _for_all_lines() -> list[click.Option]:
    """Every option of the verbs, as a default for all lines."""
    options: dict[str, click.Option] = {}
    for verb in VERBS:
        for name, parameter in PROGRAM.options(verb).items():
            if isinstance(parameter, click.Option) and name != "seed" and name not in options:
                options[name] = option = copy(parameter)
                option.name, option.required, option.default = name, False, None
                option.show_default = False
    return list(options.values())


command.params += _for_all_lines()
