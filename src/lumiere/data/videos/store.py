"""Append-only shards, and a journal of the result of every video.

A line of ``progress.jsonl`` is written after the clips of its video, and says how far each shard went then.
So a run that was killed is taken up again exactly: what shards hold beyond the last whole line is cut off.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from lumiere.data.videos.buckets import Size
from lumiere.data.videos.clips import Clip, Outcome, Video
from lumiere.errors import InputError

JOURNAL, LOCK = "progress.jsonl", ".lock"
SHARD_CLIPS, SHARD_BYTES = 1000, 10**9
_END = bytes(2 * tarfile.BLOCKSIZE)
_SHARD = re.compile(r"\.?(clips-\d+x\d+-\d{5,}\.tar)(\.part)?")


@dataclass(frozen=True)
class Line:
    """What became of a video. ``ends``: the bytes and clips that those shards held then that it added to."""

    file: str
    identity: str
    clips: int = 0
    frames: int = 0
    short: int = 0
    reason: str = ""
    detail: str = ""
    ends: dict[str, list[int]] = field(default_factory=dict)


class Store:
    """The shards and the journal of a folder; one process at a time may have it open.

    ``lines`` are those of the journal; ``ends`` the bytes and clips of all shards.
    """

    def __init__(self, folder: Path):
        """Take up what ``folder`` holds. Raises :class:`InputError` if another run has it open."""
        self.folder = folder
        self.lines: list[Line] = []
        self.ends: dict[str, list[int]] = {}
        self._lock = FileLock(folder / LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise InputError(f"another run is writing {folder}; wait for it to end, or stop it") from None
        self._journal = (folder / JOURNAL).open("a+b")
        self._replay()
        self._cut_back()
        self._parts: dict[str, BinaryIO] = {}

    def _replay(self) -> None:
        """Read whole lines, as far as the shards hold what these say."""
        self._journal.seek(0)
        good = 0
        for text in self._journal:
            try:
                line = Line(**json.loads(text))
            except (ValueError, TypeError):
                break
            if not text.endswith(b"\n") or any(
                self._held(name) < end for name, (end, _) in line.ends.items()
            ):
                break
            self.lines.append(line)
            self.ends |= line.ends
            good += len(text)
        self._journal.truncate(good)

    def _held(self, name: str) -> int:
        whole, part = self.folder / name, self._part(name)
        if whole.exists():
            return whole.stat().st_size - len(_END)
        return part.stat().st_size if part.exists() else -1

    def _cut_back(self) -> None:
        for path in sorted(self.folder.iterdir()):
            if (match := _SHARD.fullmatch(path.name)) is None:
                continue
            end = self.ends.get(match[1], [0, 0])[0]
            if not end:
                path.unlink()
            elif match[2] or path.stat().st_size != end + len(_END):
                part = self._part(match[1])
                path.replace(part)
                os.truncate(part, end)

    def _part(self, name: str) -> Path:
        return self.folder / f".{name}.part"

    def add(self, video: Video, outcome: Outcome) -> None:
        """Append the clips, then the line. Raises :class:`InputError` if they cannot be written."""
        ends = {}
        try:
            for clip in outcome.clips:
                name = self._append(clip)
                ends[name] = self.ends[name]
            line = Line(
                video.name,
                video.identity,
                len(outcome.clips),
                sum(clip.about["frames"] for clip in outcome.clips),
                outcome.short,
                outcome.reason,
                outcome.detail,
                ends,
            )
            self._journal.write((json.dumps(asdict(line), ensure_ascii=False) + "\n").encode())
            self._journal.flush()
        except OSError as error:
            raise InputError(
                f"cannot write into {self.folder}: {error.strerror}; free some space and run "
                "the same command again to resume"
            ) from error
        self.lines.append(line)

    def _append(self, clip: Clip) -> str:
        name = self._shard(clip.size)
        end, clips = self.ends[name]
        key = f"{name.removeprefix('clips-').removesuffix('.tar')}-{clips:05d}"
        about = json.dumps(clip.about, ensure_ascii=False).encode()
        data = _member(f"{key}.mp4", clip.mp4) + _member(f"{key}.json", about)
        self._parts[name].write(data)
        self._parts[name].flush()
        self.ends[name] = [end + len(data), clips + 1]
        return name

    def _shard(self, size: Size) -> str:
        """The name of the shard that the next clip of this size goes into, opened."""
        count = sum(name.startswith(f"clips-{size}-") for name in self.ends)
        name = f"clips-{size}-{count - 1:05d}.tar"
        if count and not (self.folder / name).exists():
            end, clips = self.ends[name]
            if clips >= SHARD_CLIPS or end >= SHARD_BYTES:
                self._close(name)
        if not count or (self.folder / name).exists():
            name = f"clips-{size}-{count:05d}.tar"
            self.ends[name] = [0, 0]
        if name not in self._parts:
            self._parts[name] = self._part(name).open("ab")
        return name

    def _close(self, name: str) -> None:
        part = self._part(name)
        with self._parts.pop(name, None) or part.open("ab") as file:
            file.write(_END)
        part.replace(self.folder / name)

    def finish(self) -> None:
        """Give the shards that are still growing their ends and their names."""
        for name in self.ends:
            if not (self.folder / name).exists():
                self._close(name)

    def close(self) -> None:
        """Leave everything as it is, to be taken up again."""
        for file in [*self._parts.values(), self._journal]:
            file.close()
        self._lock.release()


def _member(name: str, data: bytes) -> bytes:
    about = tarfile.TarInfo(name)
    about.size = len(data)
    return about.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % tarfile.BLOCKSIZE)
