"""``lumiere study``: run a user study of which of two clips is better."""

from __future__ import annotations

from pathlib import Path

import click

from lumiere.cli.options import overwrite_option, path_type
from lumiere.errors import InputError
from lumiere.io.text import plain

study_argument = click.argument("study", type=path_type)


@click.group()
def command() -> None:
    """Run a user study: raters choose the better of two clips, blind, on a web page."""


@command.command()
@click.argument("methods", metavar="METHOD=FOLDER...", nargs=-1, required=True)
@click.option("--out", required=True, type=path_type, help="Folder of the study to write.")
@click.option(
    "--question",
    "questions",
    multiple=True,
    help="Question about each pair; repeatable.  [default: the paper's two]",
)
@click.option(
    "--checks",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help="Attention checks: clips paired with a broken version of themselves, shown to every rater.",
)
@click.option(
    "--pairs-per-rater",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="Most pairs per rater; more pairs are split evenly over raters.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**53), default=0, show_default=True, help="Seed of order and sides."
)
@click.option("--common", is_flag=True, help="Use only the prompts that all methods share.")
@click.option(
    "--fit",
    is_flag=True,
    help="Fit two clips of different size or length to each other: trim the longer, crop the wider and "
    "enlarge the smaller.",
)
def build(
    methods: tuple[str, ...],
    out: Path,
    questions: tuple[str, ...],
    checks: int,
    pairs_per_rater: int,
    seed: int,
    common: bool,
    fit: bool,
) -> None:
    """Build a study of the first METHOD's clips against those of every other METHOD, and print its folder.

    Clips are paired by prompt: from the clip's metadata, else from a .txt or .json file of the same name,
    else the file name. All clips are re-encoded under random names, without sound and metadata, so that the
    page does not reveal the method.

    \b
    lumiere study build emoji=out/evaluate-emoji/clips real=out/evaluate-emoji/real-clips --out study
    lumiere study serve study
    """
    from lumiere.research.study.build import QUESTIONS, build

    folders = [_method(argument) for argument in methods]
    names = [name for name, _ in folders]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"two methods are named {twice}; give each its own name")
    study = build(
        dict(folders),
        out,
        questions=questions or QUESTIONS,
        checks=checks,
        pairs_per_rater=pairs_per_rater,
        seed=seed,
        common=common,
        fit=fit,
    )
    click.echo(
        f"pairs: {len(study.pairs)}, checks: {len(study.checks)}; a rater sees "
        f"{len(study.trials(1))} and answers {len(study.trials(1)) * len(study.questions)} questions",
        err=True,
    )
    click.echo(out)


def _method(argument: str) -> tuple[str, Path]:
    name, equals, folder = argument.partition("=")
    if not name.strip() or not equals or not folder:
        raise InputError(f"{argument!r} is not METHOD=FOLDER; write it as in emoji=clips/emoji")
    return name.strip(), Path(folder)


@command.command()
@study_argument
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind; 0.0.0.0 for all.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port; 0 for any free one.",
)
@click.option(
    "--allow-host",
    "allowed",
    multiple=True,
    metavar="NAME",
    help="Name under which browsers may ask for the page, such as a proxy's; repeatable.  [default: this "
    "machine's own; any with --host 0.0.0.0]",
)
def serve(study: Path, host: str, port: int, allowed: tuple[str, ...]) -> None:
    """Serve STUDY as a web page until Ctrl-C, and store the answers in its folder.

    Every answer is on disk before the page shows it as saved. Run the same command again to resume. Requires
    `pip install 'lumiere-video[study]'`.

    \b
    lumiere study serve study
    lumiere study serve study --host 0.0.0.0 --port 8080
    """
    from lumiere.io.serving import listen, run
    from lumiere.research.study.plan import load
    from lumiere.research.study.serve import application

    plan = load(study)
    with listen(host, port) as listening:
        own = {"localhost", "127.0.0.1", "[::1]", host}
        local = host in ("localhost", "127.0.0.1", "::1")
        app = application(plan, study, own | set(allowed) if local or allowed else None)
        bound, port = listening.getsockname()[:2]
        click.echo(f"http://{f'[{bound}]' if ':' in bound else bound}:{port}/  (Ctrl-C ends it)")
        run(app, listening)


@command.command()
@study_argument
@click.option(
    "--failures",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Failed attention checks a rater may have and still be counted.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--html", type=path_type, help="Write a page with a chart.")
@overwrite_option
def report(study: Path, failures: int, as_json: bool, html: Path | None, overwrite: bool) -> None:
    """Report the answers of STUDY, which may still be running.

    For each question and rival: the preference rate with its 95 % interval (Wilson), the two-sided p-value of
    the exact binomial test against 50 %, and the raters' agreement (Krippendorff's alpha). Raters who failed
    an attention check, or have seen none yet, are excluded and counted.

    \b
    lumiere study report study
    lumiere study report study --html report.html
    """
    import json

    from lumiere.research.report.page import check_page, write_page
    from lumiere.research.report.studies import section
    from lumiere.research.study.report import Report, table

    if html is not None:
        check_page(html, overwrite)
    found = Report.of(study, failures)
    if html is not None:
        write_page([section(found)], html, "User study", overwrite=overwrite)
    click.echo(json.dumps(found.facts(), indent=2, ensure_ascii=False) if as_json else plain(table(found)))
