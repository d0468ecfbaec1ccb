"""``lumiere study``: raters say which of two clips is better."""

from __future__ import annotations

from pathlib import Path

import click

from lumiere.cli.options import overwrite_option, path_type
from lumiere.errors import InputError

study_argument = click.argument("study", type=path_type)


@click.group()
def command() -> None:
    """Ask people which of two clips is better: a blind study in a web page."""


@command.command()
@click.argument("methods", metavar="METHOD=FOLDER...", nargs=-1, required=True)
@click.option("--out", required=True, type=path_type, help="The study's folder, to be made.")
@click.option(
    "--question",
    "questions",
    multiple=True,
    help="What is asked about each pair; may be given several times.  [default: the paper's two]",
)
@click.option(
    "--checks",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help="Clips against a broken version of themselves; every rater sees all of them.",
)
@click.option(
    "--pairs-per-rater",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="At most; where there are more pairs, raters share them evenly.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**53), default=0, show_default=True, help="Of order and sides."
)
@click.option("--common", is_flag=True, help="Leave out the prompts that a method lacks.")
@click.option(
    "--fit",
    is_flag=True,
    help="Where two clips differ in size or length, cut and scale both to one: the longer loses its end, the "
    "wider its sides, and the smaller is enlarged.",
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
    """Make a study of the first METHOD's clips against each other METHOD's, and print its folder.

    Clips belong together by their prompt. That is what lumiere wrote into the clip, else what stands in a
    .txt or .json file of the same name, else the file name. All clips are encoded anew under random names,
    without sound and metadata: neither page nor address tells which method made what.

    \b
    lumiere study build emoji=out/evaluate-emoji/clips real=out/evaluate-emoji/real-clips --out study
    lumiere study serve study
    """
    from lumiere.research.study.build import QUESTIONS, build

    folders = [_method(argument) for argument in methods]
    names = [name for name, _ in folders]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"the method {twice} is given twice; give each its own name")
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
        raise InputError(f"{argument!r} is no METHOD=FOLDER; write it as in emoji=clips/emoji")
    return name.strip(), Path(folder)


@command.command()
@study_argument
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 serves other machines too.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes any that is free."
)
def serve(study: Path, host: str, port: int) -> None:
    """Serve STUDY as a web page, until Ctrl-C, and keep the answers in its folder.

    Every answer is on the disk before the page counts it as saved. The same command goes on after any
    interruption. Needs `pip install 'lumiere-video[study]'`.

    \b
    lumiere study serve study
    lumiere study serve study --host 0.0.0.0 --port 8080
    """
    from lumiere.research.study.plan import load
    from lumiere.research.study.serve import application, listen, run

    plan = load(study)
    with listen(host, port) as listening:
        app = application(plan, study)
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
    help="Wrong answers in checks that a rater may give and still be counted.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--html", type=path_type, help="Write a page with a chart.")
@overwrite_option
def report(study: Path, failures: int, as_json: bool, html: Path | None, overwrite: bool) -> None:
    """Count the answers of STUDY, which may still be served.

    For each question and rival: how often the method was preferred, with the 95 % interval (Wilson), the
    two-sided p of the exact binomial test against a coin, and the raters' agreement (Krippendorff's alpha).
    Raters who failed an attention check, or met none yet, are left out and counted.

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
    click.echo(json.dumps(found.facts(), indent=2, ensure_ascii=False) if as_json else table(found))
