"""The clips that a rival generates, named as the clips they are compared with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np

from lumiere.batch.lines import Line, read_lines
from lumiere.batch.plan import clip_name
from lumiere.errors import InputError
from lumiere.io.pictures import is_still, read_picture
from lumiere.io.source import Kind, kind_of
from lumiere.io.video import stream
from lumiere.metrics.clips import find, prompts_of
from lumiere.research.study.pairing import listed

_ENDING = re.compile(r"\.[a-z][a-z0-9]{1,3}", re.IGNORECASE)
_KEYS = {"prompt", "id", "clip", "seed"}
_LARGEST_SEED = 2**53


@dataclass(frozen=True)
class Case:
    """A clip to make; ``name`` is that of its file below the folder of clips, without the ending."""

    name: str
    prompt: str
    seed: int


def read_cases(source: Path, seed: int) -> list[Case]:
    """The clips of a file's lines, called as ``lumiere batch`` calls them; or those of a folder of clips.

    Args:
        source: a .txt of prompts; a .jsonl or .csv of ``prompt`` and, where it says them, ``id`` or ``clip``
            (the name of the file) and ``seed``; or a folder of clips whose metadata say their prompts.
        seed: clip N, counted from 1, or line N, has ``seed + N``, if it says none.

    Raises:
        InputError: the file or folder cannot be read, holds nothing, or a line of it is not so.
    """
    if source.is_dir():
        clips = find([source])
        prompts = prompts_of(clips, None, needed=True)
        cases = [
            Case(_without_ending(clip.name), str(prompt), seed + number)
            for number, (clip, prompt) in enumerate(zip(clips, prompts, strict=True), 1)
        ]
        return _different(source, cases)
    cases = []
    for line in read_lines(source):
        try:
            cases.append(_case(line, seed))
        except InputError as error:
            raise InputError(f"{source}:{line.number}: {error}") from None
    return _different(source, cases)


def _case(line: Line, seed: int) -> Case:
    said = line.options
    if unknown := sorted(said.keys() - _KEYS):
        raise InputError(f"{unknown[0]!r} is not used by a rival; give prompt, id or clip, and seed")
    prompt = str(said.get("prompt") or "").strip()
    if not prompt:
        raise InputError('the prompt is empty; write {"prompt": "..."}')
    own = str(said.get("seed", seed + line.number))
    if not own.isdecimal() or int(own) > _LARGEST_SEED:
        raise InputError(f"seed is {own}; give a number from 0 to {_LARGEST_SEED}")
    if said.get("clip") is None:
        return Case(clip_name(line.number, prompt, said.get("id")), prompt, int(own))
    clip = PurePosixPath(str(said["clip"]))
    if clip.is_absolute() or ".." in clip.parts or not clip.name:
        raise InputError(f"clip is {str(clip)!r}; give the name of a file, such as 000.mp4")
    return Case(_without_ending(str(clip)), prompt, int(own))


def _without_ending(name: str) -> str:
    ending = PurePosixPath(name).suffix
    return name.removesuffix(ending) if _ENDING.fullmatch(ending) else name


def _different(source: Path, cases: Sequence[Case]) -> list[Case]:
    named: dict[str, Case] = {}
    for case in cases:
        if (first := named.setdefault(case.name.casefold(), case)) is not case:
            raise InputError(f"{source} has two clips of the name {case.name}: {first.prompt!r} is the first")
    return list(named.values())


def find_pictures(folder: Path, cases: Iterable[Case]) -> dict[str, Path]:
    """Of each case the picture, or the clip, of its name.

    Raises:
        InputError: a case has none, or several; the message lists the former.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give pictures, or clips, of the clips' names")
    found: dict[str, Path] = {}
    missing = []
    for case in cases:
        path = folder / case.name
        files = [each for each in _by_stem(path.parent).get(path.name, []) if _is_shown(each)]
        if (folder / case.name / "clip.json").is_file():
            files.append(folder / case.name)
        if len(files) > 1:
            raise InputError(f"{files[0]} and {files[1]} have the same name; leave one of them")
        if files:
            found[case.name] = files[0]
        else:
            missing.append(case.name)
    if missing:
        raise InputError(f"{folder} has no picture or clip called {listed(missing)}")
    return found


def first_frame(path: Path) -> np.ndarray:
    """A picture, or the first frame of a clip; uint8, h x w x 3.

    Raises:
        InputError: it is neither.
    """
    if path.is_file() and is_still(path):
        return read_picture(path)
    return next(stream(path)[1])


@lru_cache(maxsize=1)
def _by_stem(folder: Path) -> dict[str, list[Path]]:
    """The files of a folder by their names without the ending."""
    stems: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_file():
            stems.setdefault(path.stem, []).append(path)
    return stems


def _is_shown(path: Path) -> bool:
    return kind_of(path) is not Kind.OTHER
