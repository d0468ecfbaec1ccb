"""Samples from WebDataset shards, by number.

A shard is a tar of pictures (``{key}.webp``, say) or videos (``{key}.mp4``) beside ``{key}.json``, which has
a ``"caption"``, and may state ``"width"``, ``"height"`` and ``"frames"``: clips may then differ in them. What
a file is, is decided by its content, and it is read as all other pictures and videos are. Shards are indexed
once and read by offset, so that any step can read any sample (:mod:`lumiere.train.draw`), and nothing is
replayed on resume.
"""

from __future__ import annotations

import glob
import hashlib
import itertools
import logging
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lumiere.errors import InputError
from lumiere.io.pictures import read_picture
from lumiere.io.source import HEAD, Kind, Packed, files_of, kind_of_bytes
from lumiere.io.text import parse_json, warn_once
from lumiere.io.video import Clip, stream

logger = logging.getLogger(__name__)

STILLS, CLIPS = Kind.PICTURE, Kind.VIDEO


class Size(NamedTuple):
    """Pixels, in the order of ``data.size``."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height} x {self.width}"


@dataclass(frozen=True)
class Entry:
    """One sample: its caption, the place of its media in the shard, and size, length and frame rate where the
    shard states them."""

    key: str
    caption: str
    offset: int
    length: int
    size: Size | None = None
    frames: int | None = None
    fps: int | float | None = None


@dataclass(frozen=True)
class Shard:
    """``kind`` is that of the entries' media, if the shard holds other media too; else empty."""

    path: Path
    entries: list[Entry] = field(repr=False)
    kind: str = ""

    @cached_property
    def sha256(self) -> str:
        """Of the file and of ``kind``."""
        digest = hashlib.sha256(self.kind.encode())
        with open(self.path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()


def spanned(frames: int, stride: int) -> int:
    """Frames of a clip from the first to the last of a window of ``frames`` at ``stride``."""
    return (frames - 1) * stride + 1


def window(
    clip: np.ndarray, frames: int, position: float, name: str, stride: int = 1
) -> tuple[np.ndarray, int]:
    """``frames`` of a clip, one each ``stride``, starting at ``position`` (0 to 1) of all possible starts;
    and the index of the first, in strides. Raises :class:`InputError`, with the clip's name, if it is too
    short."""
    span = spanned(frames, stride)
    if len(clip) < span:
        asked = f"data.frames asks for {frames}" + (f", one each {stride}" if stride > 1 else "")
        raise InputError(f"{name} has {len(clip)} frames; {asked}")
    start = int(position * (len(clip) - span + 1))
    return clip[start : start + span : stride], start // stride


class Pictures:
    """Captioned stills or clips.

    ``read(i)`` gives uint8 t x h x w x 3, t being 1 for stills. Safe to call from several threads.
    """

    def __init__(
        self,
        patterns: Sequence[str],
        kind: Kind,
        size: tuple[int, int] | None,
        least_frames: int = 0,
    ):
        """Index all shards that match ``patterns``.

        Args:
            size: height and width of every picture; None for the sizes that the shards state.
            least_frames: shorter clips are left out, where the shards state their length.

        Raises :class:`InputError` if there are none, one cannot be read, a sample lacks its caption, or is of
        another size.
        """
        paths = [Path(path) for pattern in patterns for path in sorted(glob.glob(pattern))]
        if not paths:
            raise InputError(
                f"no shards match {', '.join(patterns)}; `lumiere data emoji --out DIR` writes some, "
                "and data.stills and data.clips name them"
            )
        self.kind, self._size = kind, size and Size(*size)
        self.shards = [_index(path, kind) for path in paths]
        every = [(s, i) for s, shard in enumerate(self.shards) for i in range(len(shard.entries))]
        if not every:
            raise InputError(
                f"{', '.join(patterns)}: the shards hold no {kind.value}s, beside JSON of the same names"
            )
        self.where = [place for place in every if self._is_long(place, least_frames)]
        if not self.where:
            longest = max(self.entry_at(*place).frames or 0 for place in every)
            raise InputError(
                f"none of the {len(every)} clips has data.frames = {least_frames} frames; the longest has "
                f"{longest}"
            )
        if short := len(every) - len(self.where):
            logger.warning(
                "%d of %d clips have fewer than data.frames = %d frames, and are left out",
                short,
                len(every),
                least_frames,
            )
        for i in range(len(self)):
            self._check_size(i)

    def _is_long(self, place: tuple[int, int], least: int) -> bool:
        frames = self.entry_at(*place).frames
        return frames is None or frames >= least

    def _check_size(self, i: int) -> None:
        stated = self.entry(i).size
        if self._size is None and stated is None:
            raise InputError(
                f"{self.name(i)} does not state its width, height and frames, which data.buckets needs; make "
                "such shards with: lumiere data videos"
            )
        if self._size is not None and stated not in (None, self._size):
            raise InputError(
                f"{self.name(i)} is {stated} pixels; data.size is {self._size}, and data.buckets = true "
                "takes clips of several sizes"
            )

    def __len__(self) -> int:
        return len(self.where)

    @property
    def fps(self) -> int | float | None:
        """Frames per second, if the shards state one rate for all clips."""
        rates = {self.entry(i).fps for i in range(len(self))}
        return rates.pop() if len(rates) == 1 else None

    def entry(self, i: int) -> Entry:
        return self.entry_at(*self.where[i])

    def entry_at(self, shard: int, place: int) -> Entry:
        return self.shards[shard].entries[place]

    def caption(self, i: int) -> str:
        return self.entry(i).caption

    def size(self, i: int) -> Size:
        size = self._size or self.entry(i).size
        assert size is not None
        return size

    def read(self, i: int, position: float | None = None) -> np.ndarray:
        """All frames, or the one at ``position`` (0 to 1 of the clip's length) alone."""
        return self.read_at(*self.where[i], position)

    def read_at(self, shard: int, place: int, position: float | None = None) -> np.ndarray:
        """As :meth:`read`, by the shard's number and the sample's in it."""
        entry, name = self.entry_at(shard, place), self.name_at(shard, place)
        try:
            with open(self.shards[shard].path, "rb") as file:
                file.seek(entry.offset)
                data = file.read(entry.length)
            source = Packed(name, data)
            if self.kind is Kind.PICTURE:
                frames = np.array(read_picture(source))[None]
            elif position is None:
                frames = _as_long(Clip.load(source).frames, entry.frames or 0, name)
            else:
                frames = _frame_at(source, position)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{name} cannot be decoded: {error}") from error
        size = Size(*frames.shape[1:3])
        if size != (self._size or entry.size):
            expected = f"data.size is {self._size}" if self._size else f"its shard states {entry.size}"
            raise InputError(f"{name} is {size} pixels; {expected}")
        return frames

    def name(self, i: int) -> str:
        """The sample, for messages."""
        return self.name_at(*self.where[i])

    def name_at(self, shard: int, place: int) -> str:
        return f"sample {self.entry_at(shard, place).key!r} of {self.shards[shard].path}"


def _index(path: Path, kind: Kind) -> Shard:
    media: dict[str, tuple[int, int]] = {}
    about: dict[str, dict[str, Any]] = {}
    others = False
    try:
        with tarfile.open(path, "r:") as tar:
            for member, file in files_of(tar):
                stem, _, ending = member.name.rpartition(".")
                if ending == "json":
                    about[stem] = _about(file.read(), member.name, path)
                elif (found := kind_of_bytes(file.read(HEAD))) is kind:
                    media[stem] = (member.offset_data, member.size)
                else:
                    others |= found is not Kind.OTHER
    except (OSError, ValueError, EOFError, tarfile.TarError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"the shard {path} cannot be read: {error}; it must be an uncompressed tar"
        ) from error
    for key in media:
        if key not in about:
            raise InputError(f"sample {key!r} of {path} has no {key}.json; each needs one with a caption")
    entries = [
        Entry(key, about[key]["caption"], *place, *_extent(about[key]), _rate(about[key]))
        for key, place in media.items()
    ]
    return Shard(path, entries, kind.value if others else "")


def _about(data: bytes, name: str, path: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = parse_json(data)
        if isinstance(about["caption"], str) and about["caption"]:
            return about
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError(f'{name} of {path} has no caption; it must be JSON such as {{"caption": "a cat"}}')


def _extent(about: dict[str, Any]) -> tuple[Size | None, int | None]:
    """Size and frames, if the sample states both."""
    values = [about.get(key) for key in ("height", "width", "frames")]
    numbers = [number for number in values if isinstance(number, int) and number > 0]
    return (Size(*numbers[:2]), numbers[2]) if len(numbers) == len(values) else (None, None)


def _rate(about: dict[str, Any]) -> int | float | None:
    rate = about.get("fps")
    if not isinstance(rate, int | float) or rate <= 0:
        return None
    return int(rate) if rate == int(rate) else rate


def _as_long(frames: np.ndarray, stated: int, name: str) -> np.ndarray:
    """The frames; where fewer decode than the shard states, the last one repeated, rather than stop a run."""
    if len(frames) >= stated:
        return frames
    warn_once(f"{name} has {len(frames)} frames, of {stated} that its shard states: the last is repeated")
    return np.concatenate([frames, np.repeat(frames[-1:], stated - len(frames), axis=0)])


def _frame_at(source: Packed, position: float) -> np.ndarray:
    """The frame at ``position`` of those that decode, 1 x h x w x 3; the header's count is not believed."""
    info, frames = stream(source)
    chosen = next(frames)
    try:
        for frame in itertools.islice(frames, int(position * info.frames)):
            chosen = frame
    except InputError as error:  # what decoded is used: a run is not stopped for the rest
        warn_once(str(error))
    return np.array(chosen)[None]
