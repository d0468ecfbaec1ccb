"""Paired comparison of two evaluations on the same prompts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lumiere.emoji.evaluation.prompts import QUESTIONS
from lumiere.emoji.evaluation.tasks import FIGURES
from lumiere.errors import InputError
from lumiere.metrics.bootstrap import mean_interval

_RESULTS = "results.jsonl"


@dataclass(frozen=True)
class Difference:
    """Shares of the prompts that both evaluations asked a question of, and ours less theirs.

    ``low`` and ``high`` are its 95 % percentile interval, bootstrapped over prompts.
    """

    title: str
    ours: float
    theirs: float
    low: float
    high: float
    prompts: int

    @property
    def value(self) -> float:
        return self.ours - self.theirs


def compare(ours: Path, theirs: Path) -> list[Difference]:
    """Compare two folders of ``lumiere evaluate`` on their common prompts.

    Only figures that are true or false are compared.

    Raises:
        InputError: a folder holds no results, or they have no prompt in common.
    """
    one, other = _answers(ours), _answers(theirs)
    common = [case for case in one if case in other]
    if not common:
        raise InputError(f"{ours} and {theirs} have no prompt in common; compare evaluations of one task")
    found = []
    for question, title in (QUESTIONS | FIGURES).items():
        both = [(one[case].get(question), other[case].get(question)) for case in common]
        asked = [pair for pair in both if all(isinstance(answer, bool) for answer in pair)]
        if asked:
            shares = np.array(asked, float)
            low, high = mean_interval(shares[:, 0] - shares[:, 1])
            mean = shares.mean(0)
            found.append(Difference(title, float(mean[0]), float(mean[1]), low, high, len(asked)))
    return found


def _answers(folder: Path) -> dict[str, dict[str, object]]:
    """By case what was answered; cases are called by their clip, and of the other tasks by their prompt."""
    path = folder / _RESULTS
    try:
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    except OSError:
        raise InputError(
            f"no {_RESULTS} in {folder}; give what `lumiere evaluate` wrote, of a task the folder of its name"
        ) from None
    return {line.get("clip", line["prompt"]): line.get("answers") or line["figures"] for line in lines}


def table(differences: Sequence[Difference], ours: str, theirs: str) -> str:
    """A line for each question, in percent."""
    width = max(len(each.title) for each in differences)
    lines = [f"{'':<{width}}  {ours:>12}  {theirs:>12}  {'difference, 95 % interval':>26}  {'prompts':>7}"]
    for each in differences:
        interval = f"[{100 * each.low:.1f}, {100 * each.high:.1f}]"
        lines.append(
            f"{each.title:<{width}}  {100 * each.ours:>10.1f} %  {100 * each.theirs:>10.1f} %"
            f"  {100 * each.value:>+9.1f} {interval:>16}  {each.prompts:>7}"
        )
    return "\n".join(lines)
