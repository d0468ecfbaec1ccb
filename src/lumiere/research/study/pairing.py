"""Pairing of clips of two folders by prompt."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lumiere.errors import InputError
from lumiere.io.source import is_video
from lumiere.io.text import parse_json, read_text
from lumiere.io.video import ClipInfo, probe

_SHOWN = 5  # of a list in a message


@dataclass(frozen=True)
class Found:
    """A clip in a method's folder; ``named`` says that its prompt is read from the file's name."""

    path: Path
    prompt: str
    info: ClipInfo
    named: bool

    @property
    def key(self) -> str:
        """The prompt's words: capitals and punctuation make no difference."""
        return " ".join(re.findall(r"[^\W_]+", self.prompt.casefold()))


def pair_up(folders: Mapping[str, Path], common: bool = False) -> list[dict[str, Found]]:
    """The clips of each prompt, by method, in the order of the first method's files.

    A clip's prompt is that of its own metadata, else the text of ``{name}.txt`` or the "prompt" or "caption"
    of ``{name}.json`` beside it, else the prompt of another method's clip of the same file name, else the
    file name, read as words. Of several clips of a prompt the first belongs to the others' first, and so on.

    Args:
        folders: of two or more methods, by name.
        common: leave out the prompts that a method lacks, instead of refusing them.

    Raises:
        InputError: a folder or a clip cannot be read, or a method lacks a prompt that another one has.
    """
    found = {method: _clips(folder) for method, folder in folders.items()}
    prompts = {clip.path.stem: clip.prompt for clips in found.values() for clip in clips if not clip.named}
    numbered: dict[str, dict[tuple[str, int], Found]] = {}
    everything: dict[tuple[str, int], str] = {}
    for method, clips in found.items():
        seen: Counter[str] = Counter()
        numbered[method] = {}
        for clip in clips:
            if clip.named and clip.path.stem in prompts:
                clip = replace(clip, prompt=prompts[clip.path.stem])
            seen[clip.key] += 1
            key = clip.key, seen[clip.key]
            numbered[method][key] = clip
            everything.setdefault(key, clip.prompt)
    lacking = {
        method: [
            f"{prompt!r}" + (f" (clip {key[1]})" if key[1] > 1 else "")
            for key, prompt in everything.items()
            if key not in clips
        ]
        for method, clips in numbered.items()
    }
    if any(lacking.values()) and not common:
        raise InputError(
            "; ".join(f"{method} lacks {listed(lacks)}" for method, lacks in lacking.items() if lacks)
            + ". Add these clips, or leave out what is not common to all (--common)"
        )
    first, *others = numbered.values()
    shared = [key for key in first if all(key in other for other in others)]
    if not shared:
        names = ", ".join(f"{method} of {clips[0].prompt!r}" for method, clips in found.items())
        raise InputError(f"the methods have no prompt in common; the first clips are {names}")
    return [{method: clips[key] for method, clips in numbered.items()} for key in shared]


def _clips(folder: Path) -> list[Found]:
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give a folder of clips as METHOD=FOLDER")
    paths = sorted(path for path in folder.iterdir() if _is_clip(path))
    if not paths:
        raise InputError(f"{folder} holds no clips; give a folder of videos")
    return [_read(path) for path in paths]


def _is_clip(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return (path / "clip.json").is_file()
    return path.is_file() and is_video(path)


def _read(path: Path) -> Found:
    info = probe(path)
    said = info.metadata.get("prompt") or _beside(path)
    words = re.sub(r"[\W_]+", " ", re.sub(r"^\d+[-_. ]+", "", path.stem)).strip()
    return Found(path, str(said or words or path.stem), info, named=not said)


def _beside(path: Path) -> str:
    """The prompt in a text or JSON file of the same name."""
    text, sidecar = path.with_suffix(".txt"), path.with_suffix(".json")
    try:
        if text.is_file():
            return " ".join(read_text(text).split())
        if sidecar.is_file():
            fields = parse_json(read_text(sidecar))
            return str(fields.get("prompt") or fields.get("caption") or "")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"no prompt can be read from what lies beside {path}: {error}") from None
    return ""


def listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
