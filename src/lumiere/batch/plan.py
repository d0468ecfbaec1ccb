"""What a batch has to do: the lines of its file with names and seeds, and which clips are there already."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from lumiere.batch.calls import Call, Program, make_call
from lumiere.batch.lines import Line
from lumiere.batch.note import noted_call
from lumiere.errors import InputError
from lumiere.io.files import slug

_ID = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class Job:
    """A clip to make.

    Attributes:
        line: its number in the file.
        path: of the clip.
        about: what the manifest says of it: id, file, seed and command.
        settings: all that decides on the clip.
    """

    line: int
    path: Path
    call: Call
    about: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)


def read_jobs(
    program: Program,
    file: Path,
    lines: Sequence[Line],
    folder: Path,
    ending: str,
    verb: str,
    seed: int,
    given: Mapping[str, Any],
) -> list[Job]:
    """The jobs of a file's lines, whose files are not looked at yet.

    Args:
        program: has the verbs that lines call.
        folder, ending: of the clips, which are called by their number and prompt, or by an ``id``.
        verb: of lines that say none.
        seed: line N has ``seed + N``, if it says none.
        given: options for all lines whose verb has them.

    Raises:
        InputError: of the first bad line, and how many others are bad.
    """
    jobs, wrong = [], []
    for line in lines:
        try:
            jobs.append(_job(program, line, folder, ending, verb, seed, given))
        except InputError as error:
            wrong.append(f"{file}:{line.number}: {error}")
    if wrong:
        others = f" (bad lines: {len(wrong)})" if len(wrong) > 1 else ""
        raise InputError(wrong[0] + others)
    named: dict[str, int] = {}
    for job in jobs:
        first = named.setdefault(job.path.name.casefold(), job.line)
        if first != job.line:
            raise InputError(f"{file}:{job.line}: {job.path.name} is line {first}'s clip; give it another id")
    verbs = {job.call.verb for job in jobs}
    for name in given:
        if not any(name in program.options(each) for each in verbs):
            option = "--" + name.replace("_", "-")
            raise InputError(f"{option} is no option of {', '.join(sorted(verbs))}, which {file} calls")
    return jobs


def _job(
    program: Program,
    line: Line,
    folder: Path,
    ending: str,
    verb: str,
    seed: int,
    given: Mapping[str, Any],
) -> Job:
    options = {name: value for name, value in line.options.items() if value is not None}
    verb, identity = str(options.pop("verb", verb)), options.pop("id", None)
    common = {name: value for name, value in given.items() if name in program.options(verb)}
    call = make_call(program, verb, {"seed": seed + line.number} | common | options)
    name = clip_name(line.number, str(options.get("prompt") or Path(call.arguments[0]).stem), identity)
    path = folder / (name + ending)
    about = {"file": path.name, "seed": call.parsed().params["seed"], "command": str(call)}
    return Job(line.number, path, call, about if identity is None else {"id": name, **about})


def clip_name(line: int, said: str, identity: object = None) -> str:
    """What the clip of a line is called, without its ending: by its number and what it says, or its ``id``.

    Raises:
        InputError: the ``id`` is no name for a file.
    """
    if identity is None:
        return f"{line:05d}-{slug(said)}"
    if _ID.fullmatch(name := str(identity)) is None:
        raise InputError(f"id is {name!r}; give letters, digits, - and _ for the name of a file")
    return name


def with_settings(jobs: Iterable[Job]) -> tuple[list[Job], list[tuple[Job, InputError]]]:
    """The jobs with their settings, and those whose files are not there, with what was said of them."""
    digest = _digests()
    settled, lacking = [], []
    for job in jobs:
        try:
            settled.append(replace(job, settings=job.call.settings(digest)))
        except InputError as error:
            lacking.append((job, error))
    return settled, lacking


def is_made(path: Path, wanted: Mapping[str, Any], overwrite: bool) -> bool:
    """Whether a clip is there.

    Args:
        wanted: the settings that it has to be made with.
        overwrite: whatever else is there is as good as nothing.

    Raises:
        InputError: something else is there.
    """
    from lumiere.io.video import read_metadata

    if not (path.exists() or path.is_symlink()):
        return False
    try:
        settings = noted_call(read_metadata(path))
    except InputError:
        settings = None
    if settings == wanted or overwrite:
        return settings == wanted
    if settings is None:
        raise InputError(f"{path} was not made by a batch; give another --out, or --overwrite")
    name = next(name for name in {**wanted, **settings} if settings.get(name) != wanted.get(name))
    there, asked = (each.get(name, "the default") for each in (settings, wanted))
    raise InputError(f"{path} was made with {name} {there}, not {asked}; give another --out, or --overwrite")


def _digests() -> Callable[[Path], str]:
    """A function that hashes files and folders, each once."""

    @cache
    def digest(path: Path) -> str:
        from lumiere.io import bundle

        if not path.exists():
            raise InputError(f"there is no {path}")
        if (path / bundle.MANIFEST).is_file():
            path = path / bundle.MANIFEST
        try:
            return digest_of(path)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None

    return digest


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or of what ``sha256sum`` would say of a folder's files."""
    from lumiere.io import bundle

    if path.is_file():
        return bundle.sha256(path)
    files = sorted(each for each in path.rglob("*") if each.is_file())
    sums = "".join(f"{bundle.sha256(each)}  {each.relative_to(path).as_posix()}\n" for each in files)
    return sha256(sums.encode()).hexdigest()
