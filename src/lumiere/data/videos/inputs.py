"""The videos of a folder and their captions.

A caption comes from a ``metadata.csv`` or ``metadata.jsonl`` beside or above the video (columns ``file_name``
and ``text``, as Hugging Face's datasets have them), else from the text file of the same name. A ``.tar`` is
taken for a WebDataset shard: ``{key}.mp4`` beside ``{key}.txt`` or ``{key}.json``.
"""

from __future__ import annotations

import csv
import hashlib
import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lumiere.data.videos.clips import Video
from lumiere.errors import InputError
from lumiere.io.source import HEAD, VIDEO_ENDINGS, Kind, files_of, is_video, kind_of_bytes
from lumiere.io.text import parse_json

METADATA = ("metadata.csv", "metadata.jsonl")
#: names of the caption's column
CAPTION = ("text", "caption")
_SIDECARS = frozenset({".txt", ".json"})


@dataclass
class Inputs:
    """What a folder holds: videos, sorted by name, and how many files of other endings."""

    videos: list[Video] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


def find_inputs(folder: Path, out: Path) -> Inputs:
    """All videos in and below ``folder``, sorted by name, but for hidden files and what lies in ``out``.

    Raises :class:`InputError` if the folder is none, holds no video, or has metadata that cannot be used.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give one with videos in it")
    found = Inputs()
    captions: dict[str, str | None] = {}
    files: list[str] = []
    for path in _files(folder, out.resolve()):
        name = path.relative_to(folder).as_posix()
        if path.name in METADATA:
            _read_metadata(path, folder, captions)
        else:
            files.append(name)
    listed = {name for name in files if _is_video(folder / name)} | captions.keys()
    for name in sorted({*files, *listed}):
        path = folder / name
        if name in listed:
            caption = captions.get(name) or _sidecar(path.with_suffix(".txt"))
            found.videos.append(Video(_utf8(name), path, caption, _identity(path, caption)))
        elif _ending(name) == ".tar":
            found.videos += _samples(path, name)
        elif _ending(name) not in _SIDECARS:
            found.ignored[_ending(name) or "no ending"] += 1
    if not found.videos:
        others = ", ".join(f"{count} {ending}" for ending, count in found.ignored.most_common(3))
        raise InputError(
            f"{folder} holds no video{f' but other files ({others})' if others else ''}; give "
            "videos, or .tar shards of them"
        )
    return found


def _is_video(path: Path) -> bool:
    """By its content; and by its name, for which it is said why it is none."""
    return _ending(path.name) in VIDEO_ENDINGS or (
        _ending(path.name) != ".tar" and path.is_file() and is_video(path)
    )


def _utf8(name: str) -> str:
    """The name with escapes for bytes that are no UTF-8, as files' names may hold them."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _files(folder: Path, out: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        here = Path(where)
        # A folder that is named as a video is one of the things that go wrong; it is said, not walked.
        odd = [name for name in folders if _ending(name) in VIDEO_ENDINGS]
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and name not in odd and (here / name).resolve() != out
        ]
        yield from (here / name for name in [*names, *odd] if not name.startswith("."))


def _read_metadata(path: Path, folder: Path, captions: dict[str, str | None]) -> None:
    """Captions by the videos' names in ``folder``."""
    for number, row in _rows(path):
        where = f"{path}, line {number}"
        if not isinstance(row, dict) or not isinstance(row.get("file_name"), str) or not row["file_name"]:
            raise InputError(f'{where}: no "file_name"; each line names a video, and its caption as "text"')
        if not any(key in row for key in CAPTION):
            raise InputError(f'{where}: no "text"; each line has the caption of its video there')
        name = os.path.relpath(path.parent / row["file_name"], folder).replace(os.sep, "/")
        if name in captions:
            raise InputError(f"{where}: {row['file_name']} for the second time; give each video one caption")
        captions[name] = _clean(next((row[key] for key in CAPTION if row.get(key)), None))


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".csv":
                rows = csv.DictReader(file)
                for row in rows:
                    yield rows.line_num, row
            else:
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        yield number, parse_json(line)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}; give CSV or JSON lines in UTF-8") from error


def _sidecar(path: Path) -> str | None:
    try:
        return _clean(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError):
        return None


def _clean(caption: Any) -> str | None:
    """On one line; None for what is empty or no text."""
    return " ".join(caption.split()) or None if isinstance(caption, str) else None


def _samples(path: Path, name: str) -> Iterator[Video]:
    """The videos of a WebDataset shard; of one that is cut short, those before the cut, and then itself."""
    media: dict[str, tarfile.TarInfo] = {}
    captions: dict[str, str | None] = {}
    whole = True
    try:
        with tarfile.open(path, "r:") as archive:
            for member, file in files_of(archive):
                # WebDataset's keys end at the first dot of the file's name.
                parent, _, base = member.name.rpartition("/")
                key, _, ending = base.partition(".")
                key = f"{parent}/{key}"
                if ending.lower() in ("txt", "json"):
                    captions[key] = _member_caption(file.read(), ending.lower())
                elif f".{ending.lower()}" in VIDEO_ENDINGS or kind_of_bytes(file.read(HEAD)) is Kind.VIDEO:
                    media[key] = member
    except (OSError, ValueError, EOFError, tarfile.TarError):
        whole = False
    for key, member in media.items():
        caption = captions.get(key)
        yield Video(
            _utf8(f"{name}/{member.name}"),
            path,
            caption,
            _identity(path, caption),
            member.offset_data,
            member.size,
        )
    if not whole:
        yield Video(_utf8(name), path, None, _identity(path, None), problem="damaged shard")


def _member_caption(data: bytes, ending: str) -> str | None:
    try:
        if ending == "txt":
            return _clean(data.decode("utf-8-sig"))
        about = parse_json(data)
        return _clean(next((about[key] for key in CAPTION if about.get(key)), None))
    except (UnicodeDecodeError, ValueError, TypeError, AttributeError):
        return None


def _identity(path: Path, caption: str | None) -> str:
    try:
        about = path.stat()
        state = f"{about.st_size} {about.st_mtime_ns}"
    except OSError:
        state = "missing"
    return hashlib.blake2s(f"{state} {caption}".encode(), digest_size=8).hexdigest()
