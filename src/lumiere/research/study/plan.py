"""A study, and what each rater sees of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lumiere.errors import InputError
from lumiere.io.text import parse_json, read_text

FORMAT = "lumiere-study/1"
FILE, CLIPS, ANSWERS = "study.json", "clips", "answers.sqlite"
_CLIP_NAME = re.compile(r"[0-9a-f]{16}\.mp4")


@dataclass(frozen=True)
class Pair:
    """Two clips of one prompt: the method's and a rival's.

    Attributes:
        id: random, as the clips' names are: a page that shows them gives no method away.
        rival: its name; None in an attention check, whose ``rival_clip`` is ``clip`` broken.
        clip, rival_clip: file names in the folder of clips.
        width, height: pixels; both clips are of this size.
        sources: the files that they were made from.
    """

    id: str
    prompt: str
    rival: str | None
    clip: str
    rival_clip: str
    width: int
    height: int
    sources: tuple[str, str]


@dataclass(frozen=True)
class Trial:
    """A pair as one rater sees it: ``clips`` are its file names, the left one first."""

    pair: Pair
    clips: tuple[str, str]


@dataclass(frozen=True)
class Study:
    """Pairs of one method against its rivals, and what is asked about each.

    Attributes:
        id: ties a file of answers to its study.
        pairs_per_rater: how many pairs a rater sees; all of ``checks`` besides.
        questions: texts; a question's number is its place, from 1.
    """

    id: str
    seed: int
    method: str
    rivals: tuple[str, ...]
    questions: tuple[str, ...]
    pairs_per_rater: int
    pairs: tuple[Pair, ...]
    checks: tuple[Pair, ...]

    @property
    def clips(self) -> list[str]:
        """The file names of all clips."""
        return [clip for pair in (*self.pairs, *self.checks) for clip in (pair.clip, pair.rival_clip)]

    def trials(self, rater: int) -> list[Trial]:
        """What the rater of this number (from 1) sees, in order: a function of the seed and the number.

        Consecutive raters take consecutive shares of the pairs, so that all pairs are seen equally often.
        Checks are spread: one in each of as many equal stretches.
        """
        circle = self._shuffled(range(len(self.pairs)), "circle")
        count = min(self.pairs_per_rater, len(circle))
        start = (rater - 1) * count
        share = [circle[(start + step) % len(circle)] for step in range(count)]
        shown = [
            self._trial(self.pairs[index], "pair", index, rater)
            for index in self._shuffled(share, "order", rater)
        ]
        checks = [
            self._trial(self.checks[index], "check", index, rater)
            for index in self._shuffled(range(len(self.checks)), "checks", rater)
        ]
        for number, check in reversed(list(enumerate(checks))):
            first, last = number * count // len(checks), (number + 1) * count // len(checks)
            shown.insert(first + self._draw("place", rater, number) % (last - first + 1), check)
        return shown

    def _trial(self, pair: Pair, *place: object) -> Trial:
        swapped = self._draw("side", *place) % 2
        return Trial(pair, (pair.rival_clip, pair.clip) if swapped else (pair.clip, pair.rival_clip))

    def _shuffled(self, indices: Sequence[int], *purpose: object) -> list[int]:
        return sorted(indices, key=lambda index: self._draw(*purpose, index))

    def _draw(self, *purpose: object) -> int:
        """A random number. Hashes stay the same in every version of Python, and need no order of draws."""
        text = "/".join(map(str, (self.seed, *purpose)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

    def dumps(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, ensure_ascii=False) + "\n"


def load(folder: Path) -> Study:
    """The study in a folder. Raises :class:`InputError` if it is none, or lacks a clip."""
    path = folder / FILE
    if not path.is_file():
        raise InputError(f"{folder} is no study (it has no {FILE}); make one with `lumiere study build`")
    try:
        study = _parse(parse_json(read_text(path)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error!r}); build the study again") from None
    if missing := [clip for clip in study.clips if not (folder / CLIPS / clip).is_file()]:
        raise InputError(f"{folder} lacks {len(missing)} of its clips, such as {CLIPS}/{missing[0]}")
    return study


def _parse(fields: dict[str, Any]) -> Study:
    if (found := fields.pop("format")) != FORMAT:
        raise ValueError(f"its format is {found}, not {FORMAT}")
    for name in ("pairs", "checks"):
        fields[name] = tuple(Pair(**{**pair, "sources": tuple(pair["sources"])}) for pair in fields[name])
    study = Study(**{**fields, "rivals": tuple(fields["rivals"]), "questions": tuple(fields["questions"])})
    if strange := [clip for clip in study.clips if not _CLIP_NAME.fullmatch(clip)]:
        raise ValueError(f"{strange[0]} is no clip's name")
    return study
