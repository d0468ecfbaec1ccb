"""Clips to measure: files, folders of files, and shards of training data."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lumiere.errors import InputError
from lumiere.io.bundle import sha256
from lumiere.io.source import HEAD, Kind, Packed, files_of, is_video, kind_of_bytes
from lumiere.io.text import parse_json, read_text
from lumiere.io.video import Clip, read_metadata

_LISTED = 5


@dataclass(frozen=True)
class Source:
    """One clip: a file, a folder of frames, or a member of a shard.

    Attributes:
        name: its path below the folder that was given.
    """

    name: str
    path: Path
    member: str | None = None

    def load(self) -> Clip:
        """Raises :class:`InputError`, which names the clip, if it cannot be read."""
        if self.member is None:
            return Clip.load(self.path)
        return Clip.load(Packed(f"{self.path}: {self.member}", self._packed()))

    def sha256(self) -> str:
        """Of what it holds."""
        if self.member is not None:
            return hashlib.sha256(self._packed()).hexdigest()
        if self.path.is_dir():
            pictures = "".join(sha256(file) for file in sorted(self.path.iterdir()))
            return hashlib.sha256(pictures.encode()).hexdigest()
        return sha256(self.path)

    def prompt(self) -> str | None:
        """What the file itself says that it was made of."""
        return None if self.member is not None else read_metadata(self.path).get("prompt")

    def _packed(self) -> bytes:
        with tarfile.open(self.path, "r:") as shard:
            file = shard.extractfile(str(self.member))
            assert file is not None
            return file.read()


def find(paths: Sequence[Path]) -> list[Source]:
    """All clips in files, folders and shards (.tar), in the order of their names.

    A folder is searched with its sub-folders; of a shard only videos are taken, no stills.

    Raises:
        InputError: a path does not exist, is no shard, or none of them holds a clip.
    """
    found = [source for path in paths for source in _in(path)]
    if not found:
        raise InputError(
            f"no clips in {', '.join(map(str, paths))}; give videos, folders of them or shards (.tar)"
        )
    return found


def _in(path: Path) -> list[Source]:
    if not path.exists():
        raise InputError(f"{path} does not exist; give a video, a folder of videos or a shard (.tar)")
    if path.suffix == ".tar":
        return _in_shard(path)
    if path.is_file() or (path / "clip.json").is_file():
        return [Source(path.name, path)]
    found = []
    for each in sorted(path.rglob("*")):
        if each.name.startswith("."):  # what is being written
            continue
        if each.name == "clip.json":
            found.append(Source(each.parent.relative_to(path).as_posix(), each.parent))
        elif each.suffix == ".tar":
            found += _in_shard(each)
        elif each.is_file() and is_video(each):
            found.append(Source(each.relative_to(path).as_posix(), each))
    return found


def _in_shard(path: Path) -> list[Source]:
    try:
        with tarfile.open(path, "r:") as shard:
            names = [
                member.name
                for member, file in files_of(shard)
                if kind_of_bytes(file.read(HEAD)) is Kind.VIDEO
            ]
    except (OSError, ValueError, EOFError, tarfile.TarError) as error:
        raise InputError(f"the shard {path} cannot be read: {error}; give an uncompressed tar") from error
    return [Source(f"{path.name}:{name}", path, name) for name in names]


def pair(ours: Sequence[Source], others: Sequence[Source]) -> list[tuple[Source, Source]]:
    """Clips of the same name, the ending aside.

    Raises:
        InputError: some have no partner, or several clips one name; the message lists them.
    """
    mine, theirs = _by_stem(ours), _by_stem(others)
    alone = [
        f"{len(missing)} of {what} without a partner ({_some(missing)})"
        for what, missing in (
            ("the clips", sorted(mine.keys() - theirs.keys())),
            ("the true clips", sorted(theirs.keys() - mine.keys())),
        )
        if missing
    ]
    if alone:
        raise InputError(f"{' and '.join(alone)}; clips are paired by their names")
    return [(source, theirs[stem]) for stem, source in mine.items()]


def _stem(source: Source) -> str:
    return source.name.removesuffix(Path(source.name).suffix)


def _by_stem(sources: Sequence[Source]) -> dict[str, Source]:
    stems: dict[str, Source] = {}
    for source in sources:
        stem = _stem(source)
        if stem in stems:
            raise InputError(
                f"{stems[stem].path} and {source.path} have the same name; clips are paired by it"
            )
        stems[stem] = source
    return stems


def prompts_of(sources: Sequence[Source], file: Path | None, needed: bool = False) -> list[str | None]:
    """Each clip's prompt: from ``file``, else from the clip's metadata, else None.

    Args:
        file: .jsonl, one object a line with ``clip`` (a name, or its last part) and ``prompt``; .json, one
            object of prompts by clip; or a folder of clips of the same names that say theirs. It must name
            all clips.
        needed: so must the metadata.

    Raises:
        InputError: the file is not so, or clips have no prompt; the message lists them.
    """
    if file is not None and file.is_dir():
        namesakes = _by_stem(find([file]))
        prompts = [each.prompt() if (each := namesakes.get(_stem(source))) else None for source in sources]
    elif file is not None:
        by_file = _read_prompts(file)
        prompts = [by_file.get(source.name) or by_file.get(Path(source.name).name) for source in sources]
    else:
        prompts = [source.prompt() for source in sources]
    missing = [source.name for source, prompt in zip(sources, prompts, strict=True) if not prompt]
    if missing and (file is not None or needed):
        where = f"in {file}" if file else "in their metadata; give --prompts"
        raise InputError(f"{len(missing)} of {len(sources)} clips have no prompt {where}: {_some(missing)}")
    return prompts


def _read_prompts(file: Path) -> Mapping[str, str]:
    try:
        text = read_text(file)
        if file.suffix == ".json":
            by_file = parse_json(text)
        else:
            lines = [parse_json(line) for line in text.splitlines() if line.strip()]
            by_file = {line["clip"]: line["prompt"] for line in lines}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} holds no prompts ({type(error).__name__}: {error}); a line of it is "
            '{"clip": "000.mp4", "prompt": "a crab"}'
        ) from None
    if not isinstance(by_file, dict) or not all(isinstance(prompt, str) for prompt in by_file.values()):
        raise InputError(f"{file} holds no prompts; give a JSON object of prompts by clip name")
    return by_file


def frames_of(frames: np.ndarray, count: int, stride: int | None, name: str) -> np.ndarray:
    """``count`` of a clip's frames: evenly over all of it, or the first ones, ``stride`` apart.

    Raises:
        InputError: the clip, called ``name``, has fewer. Nothing is repeated to fill it up.
    """
    needed = count if stride is None else (count - 1) * stride + 1
    if len(frames) < needed:
        raise InputError(
            f"{name} has {len(frames)} frames; {needed} are needed, leave it out or ask for fewer"
        )
    places = (
        np.linspace(0, len(frames) - 1, count).round().astype(int)
        if stride is None
        else np.arange(count) * stride
    )
    return frames[places]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
