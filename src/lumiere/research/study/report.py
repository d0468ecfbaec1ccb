"""The result of a study: preferences, their intervals, and the raters' agreement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from lumiere.errors import InputError
from lumiere.metrics.intervals import wilson
from lumiere.research.study.agreement import krippendorff_alpha
from lumiere.research.study.plan import ANSWERS, Pair, Study, load
from lumiere.research.study.storage import Answer, Storage


@dataclass(frozen=True)
class Preference:
    """How often the method was preferred to a rival.

    Attributes:
        preferred, answers: counts.
        share: preferred over answers, None if there are none; low and high are its 95 % interval (Wilson).
        p: two-sided, of the exact binomial test against 1/2.
        alpha: Krippendorff's, of the raters' agreement on the pairs; None where it is not defined.
    """

    question: str
    rival: str
    preferred: int
    answers: int
    share: float | None
    low: float
    high: float
    p: float
    alpha: float | None


@dataclass(frozen=True)
class Report:
    """The figures of a study.

    Attributes:
        raters: who opened the study and answered something.
        failed: raters left out, for more wrong answers in attention checks than are allowed.
        unchecked: raters left out, since they met no check yet.
        counted: raters whose answers count.
        left: how often, of the answers that count, the left clip was chosen; 0.5 is expected.
        seconds: median time of an answer that counts.
    """

    method: str
    raters: int
    failed: int
    unchecked: int
    counted: int
    left: float | None
    seconds: float | None
    preferences: tuple[Preference, ...]

    @classmethod
    def of(cls, folder: Path, failures: int = 0) -> Report:
        """Count the answers in a study's folder, which may be served meanwhile.

        Args:
            failures: how many wrong answers in checks a rater may give and still be counted.

        Raises:
            InputError: it is no study, or was never served.
        """
        study = load(folder)
        if not (folder / ANSWERS).is_file():
            raise InputError(f"{folder} has no answers yet; ask for some with `lumiere study serve {folder}`")
        storage = Storage(folder / ANSWERS, study.id)
        try:
            return _count(study, storage.answers(), failures)
        finally:
            storage.close()

    def facts(self) -> dict[str, Any]:
        """All of it, as JSON holds it."""
        return asdict(self)


def _count(study: Study, answers: Sequence[Answer], failures: int) -> Report:
    checks = {check.id: check for check in study.checks}
    pairs = {pair.id: pair for pair in study.pairs}
    raters = {answer.rater for answer in answers}
    wrong = dict.fromkeys(raters, 0)
    checked = set()
    for answer in answers:
        if answer.pair in checks:
            checked.add(answer.rater)
            wrong[answer.rater] += answer.chosen != checks[answer.pair].clip
    failed = {rater for rater in raters if wrong[rater] > failures}
    unchecked = raters - checked if checks else set()
    counted = raters - failed - unchecked
    kept = [answer for answer in answers if answer.rater in counted and answer.pair in pairs]
    return Report(
        method=study.method,
        raters=len(raters),
        failed=len(failed),
        unchecked=len(unchecked),
        counted=len(counted),
        left=sum(answer.side == "left" for answer in kept) / len(kept) if kept else None,
        seconds=median(answer.seconds for answer in kept) if kept else None,
        preferences=tuple(
            _preference(pairs, [answer for answer in kept if answer.question == number], text, rival)
            for number, text in enumerate(study.questions, 1)
            for rival in study.rivals
        ),
    )


def _preference(pairs: dict[str, Pair], answers: Sequence[Answer], question: str, rival: str) -> Preference:
    choices: dict[str, list[bool]] = {}
    for answer in answers:
        pair = pairs[answer.pair]
        if pair.rival == rival:
            choices.setdefault(pair.id, []).append(answer.chosen == pair.clip)
    preferred, total = sum(map(sum, choices.values())), sum(map(len, choices.values()))
    low, high = wilson(preferred, total)
    return Preference(
        question,
        rival,
        preferred,
        total,
        preferred / total if total else None,
        low,
        high,
        coin_test(preferred, total),
        krippendorff_alpha(choices.values()),
    )


def coin_test(heads: int, throws: int) -> float:
    """The two-sided p of the exact binomial test against a fair coin; 1 for no throws."""
    tail = ways = 1  # of having at most, and exactly, as few as the rarer side
    for count in range(min(heads, throws - heads)):
        ways = ways * (throws - count) // (count + 1)
        tail += ways
    return min(1.0, 2 * tail / 2**throws)


def table(report: Report) -> str:
    """The report for a terminal: a block of lines per question."""
    width = max(len(preference.rival) for preference in report.preferences)
    lines = [raters_line(report)]
    question = ""
    for preference in report.preferences:
        if preference.question != question:
            question = preference.question
            lines += ["", f"{question}  {report.method} preferred to"]
        lines.append(f"  {preference.rival:<{width}}  {figures_line(preference)}")
    return "\n".join(lines)


def raters_line(report: Report) -> str:
    """Who is counted, and who is not."""
    line = f"{report.counted} of {report.raters} raters counted"
    if report.failed or report.unchecked:
        line += f"; left out: {report.failed} failed an attention check, {report.unchecked} met none yet"
    if report.left is not None:
        line += f"; left clip chosen {100 * report.left:.0f} %, median {report.seconds:.1f} s an answer"
    return line


def figures_line(preference: Preference) -> str:
    """``71.3 % [65, 77] of 240  p < 0.001  alpha 0.31``"""
    if preference.share is None:
        return "no answers yet"
    alpha = "-" if preference.alpha is None else f"{preference.alpha:.2f}"
    p = "p < 0.001" if preference.p < 0.001 else f"p = {preference.p:.3f}"
    interval = f"[{100 * preference.low:.0f}, {100 * preference.high:.0f}]"
    return f"{100 * preference.share:5.1f} % {interval:>9} of {preference.answers:<5} {p}  alpha {alpha}"
