"""Pictures and captions as inputs of the net: latents and text states, computed or read from a cache.

The cache has one file for each shard and each of the two, named by the hash of the shard and of the encoder's
weights, so that it is never stale. Files are written atomically; an interrupted build resumes, and one
process at a time builds.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn
from tqdm import tqdm

from lumiere.errors import InputError
from lumiere.io.pixels import from_uint8
from lumiere.train.dataset import Entry, Pictures, Shard, Size, window

#: pixels uint8 ``t h w 3`` or latents float16 ``t c h w``; a caption or its states ``l d``
Loaded = tuple[Tensor, "str | Tensor"]

BATCH = 32
FRAMES_AT_ONCE = 64
#: axes of the latents of clips of several lengths, concatenated; those of one length are stacked, with 5 axes
RAGGED = 4


def fingerprint(module: nn.Module) -> str:
    """A hash of a module's configuration, weights and tokenizers."""
    digest = hashlib.sha256(type(module).__name__.encode())
    config = {k: v for k, v in dict(getattr(module, "config", {})).items() if not k.startswith("_")}
    digest.update(json.dumps(config, sort_keys=True, default=str).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    for name, tokenizer in sorted(getattr(module, "tokenizers", {}).items()):
        digest.update(f"{name}{tokenizer.to_str()}".encode())
    return digest.hexdigest()


class Encoder:
    """The frozen codec and text encoder, on the training device.

    Args:
        precision: of the text encoder for captions that are not cached: "no" (float32) or "bf16". The codec's
            is float32, as small differences in latents are what a video model learns from.
    """

    def __init__(self, codec: Any, text: Any, device: torch.device, precision: str = "no"):
        # Pixels come channels-last, and so they stay: convolutions are a fifth faster on CPUs.
        self.codec = codec.to(device, memory_format=torch.channels_last).requires_grad_(False).eval()
        self.text = text.to(device).requires_grad_(False).eval()
        self.device, self.precision = device, precision
        self.empty = self.text([""])

    @torch.no_grad()
    def latents(self, media: Sequence[Tensor]) -> Tensor:
        """Latents ``b c t h w``, float32, of pixels or cached latents as in :data:`Loaded`."""
        raw = [i for i, item in enumerate(media) if item.dtype == torch.uint8]
        ready = [i for i, item in enumerate(media) if item.dtype != torch.uint8]
        parts = []
        if raw:
            video = from_uint8(torch.stack([media[i] for i in raw]), self.device)
            parts.append(self.codec.encode(video))
        if ready:
            latents = torch.stack([media[i] for i in ready]).to(self.device)
            parts.append(latents.float().transpose(1, 2))
        latents = torch.cat(parts)[_inverse(raw + ready, self.device)] if len(parts) > 1 else parts[0]
        # Backward through frozen spatial layers crashes in channels-last memory (torch 2.13, CPU).
        return latents.contiguous()

    @torch.no_grad()
    def context(self, texts: Sequence[str | Tensor]) -> Tensor:
        """Text states ``b l d``, float32, of captions or cached states as in :data:`Loaded`."""
        states: list[Any] = list(texts)
        captions = [text for text in texts if isinstance(text, str)]
        if captions:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                fresh = iter(self.text(captions))
            states = [next(fresh) if isinstance(text, str) else text for text in texts]
        return torch.stack([state.float().to(self.device) for state in states])


def _inverse(order: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor(order, device=device).argsort()


class Ragged:
    """Clips of several lengths, their frames in one array."""

    def __init__(self, frames: np.ndarray, starts: Sequence[int]):
        self.frames, self.starts = frames, starts

    def __getitem__(self, place: int) -> np.ndarray:
        return self.frames[self.starts[place] : self.starts[place + 1]]


Encoded = np.ndarray | Ragged


class EncodedPictures:
    """The samples of ``pictures``, with latents and text states read from the cache where it has them."""

    def __init__(
        self,
        pictures: Pictures,
        encoder: Encoder,
        cache: Path | None,
        cache_latents: bool,
        *,
        builds: bool = True,
    ):
        """``builds``: whether this process fills the cache (one of several does)."""
        self.pictures = pictures
        self.latents: list[Encoded] | None = None
        self.states: list[Encoded] | None = None
        _check_sides(pictures, encoder.codec.factor)
        if cache is not None:
            build = _Cache(cache, pictures, encoder, builds)
            self.states = build.all("text", fingerprint(encoder.text), build.states)
            if cache_latents:
                self.latents = build.all("latents", fingerprint(encoder.codec), build.latents)

    def __len__(self) -> int:
        return len(self.pictures)

    def size(self, i: int) -> Size:
        return self.pictures.size(i)

    def frame(self, i: int, position: float) -> Loaded:
        """One frame, at ``position`` (0 to 1) of its clip."""
        shard, place = self.pictures.where[i]
        if self.latents is None:
            return torch.from_numpy(self.pictures.read(i, position)), self._text(i)
        latents = self.latents[shard][place]
        n = int(position * len(latents))
        return torch.from_numpy(latents[n : n + 1].copy()), self._text(i)

    def window(self, i: int, frames: int, position: float, stride: int = 1) -> tuple[Loaded, int]:
        """As :func:`lumiere.train.dataset.window`, of one clip."""
        shard, place = self.pictures.where[i]
        clip = self.pictures.read(i) if self.latents is None else self.latents[shard][place]
        chosen, first = window(clip, frames, position, self.pictures.name(i), stride)
        return (torch.from_numpy(chosen.copy()), self._text(i)), first

    def _text(self, i: int) -> str | Tensor:
        if self.states is None:
            return self.pictures.caption(i)
        shard, place = self.pictures.where[i]
        return torch.from_numpy(self.states[shard][place].copy())


def _check_sides(pictures: Pictures, factor: int) -> None:
    for i in range(len(pictures)):
        size = pictures.size(i)
        if size.height % factor or size.width % factor:
            raise InputError(
                f"{pictures.name(i)} is {size} pixels; the codec takes multiples of {factor}: prepare the "
                f"clips again with `lumiere data videos --multiple-of`"
            )


class _Cache:
    def __init__(self, folder: Path, pictures: Pictures, encoder: Encoder, builds: bool):
        self.folder, self.pictures, self.encoder, self.builds = folder, pictures, encoder, builds

    def all(self, what: str, encoder: str, compute: Any) -> list[Encoded]:
        """The encoding of each sample of each shard, memory-mapped; missing files are built first."""
        paths = [self._path(shard, what, encoder) for shard in self.pictures.shards]
        if self.builds and not all(path.exists() for path in paths):
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".lock"):
                self._build_all(
                    [n for n, path in enumerate(paths) if not path.exists()], paths, what, compute
                )
        return [_opened(path, shard) for path, shard in zip(paths, self.pictures.shards, strict=True)]

    def _build_all(self, missing: list[int], paths: list[Path], what: str, compute: Any) -> None:
        total = sum(len(self.pictures.shards[n].entries) for n in missing)
        with tqdm(total=total, desc=f"caching {what}", unit="sample", mininterval=0.5) as bar:
            for n in missing:
                self._build(paths[n], n, compute, bar)

    def _path(self, shard: Shard, what: str, encoder: str) -> Path:
        return self.folder / f"{what}-{shard.sha256[:16]}-{encoder[:16]}.npy"

    def _build(self, path: Path, shard: int, compute: Any, bar: Any) -> None:
        beside = path.with_suffix(".part")
        entries = self.pictures.shards[shard].entries
        starts = _starts(entries) if compute == self.latents else None
        array: np.ndarray | None = None
        try:
            for first in range(0, len(entries), BATCH):
                places = range(first, min(first + BATCH, len(entries)))
                for place, part in zip(places, compute(shard, places), strict=True):
                    if array is None:
                        shape = (starts[-1], *part.shape[1:]) if starts else (len(entries), *part.shape)
                        _check_space(path, int(np.prod(shape)) * 2)
                        array = np.lib.format.open_memmap(beside, "w+", np.float16, shape)
                    room = array[starts[place] : starts[place + 1]] if starts else array[place]
                    if part.shape != room.shape:
                        raise InputError(
                            f"{self.pictures.name_at(shard, place)} differs from others of its shard in "
                            "size, or in a length that the shard does not state; the cache takes no such "
                            "clips: set data.cache_clips = false"
                        )
                    room[...] = part
                bar.update(len(places))
            assert array is not None
            del array, room  # flushes it to disk
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def states(self, shard: int, places: range) -> np.ndarray:
        captions = [self.pictures.entry_at(shard, place).caption for place in places]
        return self.encoder.text(captions).half().cpu().numpy()

    def latents(self, shard: int, places: range) -> Iterator[np.ndarray]:
        clips = (self.pictures.read_at(shard, place) for place in places)
        for shape, alike in itertools.groupby(clips, key=np.shape):
            while some := list(itertools.islice(alike, max(1, FRAMES_AT_ONCE // shape[0]))):
                with torch.no_grad():
                    video = from_uint8(np.stack(some), self.encoder.device)
                    yield from self.encoder.codec.encode(video).transpose(1, 2).half().cpu().numpy()


def _starts(entries: Sequence[Entry]) -> list[int] | None:
    """Index of the first frame of each clip in one array of all frames, and the end; None if all clips have
    one length."""
    frames = [entry.frames for entry in entries]
    if None in frames or len(set(frames)) == 1:
        return None
    return [0, *itertools.accumulate(count or 0 for count in frames)]


def _opened(path: Path, shard: Shard) -> Encoded:
    array: np.ndarray = np.load(path, mmap_mode="r")
    starts = _starts(shard.entries) if array.ndim == RAGGED else None
    return Ragged(array, starts) if starts else array


def _check_space(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise InputError(
            f"the cache file {path} needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; "
            'choose another data.cache, or "" for none'
        )
