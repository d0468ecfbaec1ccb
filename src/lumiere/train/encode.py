"""Pictures and captions as the net meets them: latents and text states, computed or read from a cache.

The cache has one file for each shard and each of the two, named by the hash of the shard and of the encoder's
weights, so that it never goes stale. A file appears when it is complete; building goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from lumiere.errors import InputError
from lumiere.train.dataset import Pictures, Shard, window

Loaded = tuple[
    Tensor, "str | Tensor"
]  # pixels uint8 t h w 3, or latents float16 t c h w; a caption or its states

BATCH = 32
FRAMES_AT_ONCE = 64


def fingerprint(module: nn.Module) -> str:
    """A hash of a module's configuration and weights."""
    digest = hashlib.sha256(type(module).__name__.encode())
    config = {k: v for k, v in dict(getattr(module, "config", {})).items() if not k.startswith("_")}
    digest.update(json.dumps(config, sort_keys=True, default=str).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def to_video(pixels: Tensor, device: torch.device) -> Tensor:
    """uint8 ``b t h w 3`` to float ``b 3 t h w`` in [-1, 1], a view of channels-last memory."""
    return pixels.to(device).float().div_(127.5).sub_(1).movedim(-1, 1)


class Encoder:
    """The frozen codec and text encoder, on the training device."""

    def __init__(self, codec: Any, text: Any, device: torch.device):
        # Pixels come channels-last, and so they stay: convolutions are a fifth faster on CPUs.
        self.codec = codec.to(device, memory_format=torch.channels_last).requires_grad_(False).eval()
        self.text = text.to(device).requires_grad_(False).eval()
        self.device = device
        self.empty = self.text([""])

    @torch.no_grad()
    def __call__(self, batch: Sequence[Loaded]) -> tuple[Tensor, Tensor]:
        """Latents ``b c t h w`` and context ``b l d`` of what :meth:`Source.load` gave, float32."""
        return self._latents([media for media, _ in batch]), self._context([text for _, text in batch])

    def _latents(self, media: Sequence[Tensor]) -> Tensor:
        raw = [i for i, item in enumerate(media) if item.dtype == torch.uint8]
        ready = [i for i, item in enumerate(media) if item.dtype != torch.uint8]
        parts = []
        if raw:
            video = to_video(torch.stack([media[i] for i in raw]), self.device)
            parts.append(self.codec.encode(video))
        if ready:
            latents = torch.stack([media[i] for i in ready]).to(self.device)
            parts.append(latents.float().transpose(1, 2))
        latents = torch.cat(parts)[_inverse(raw + ready, self.device)] if len(parts) > 1 else parts[0]
        # Backward through frozen spatial layers crashes in channels-last memory (torch 2.13, CPU).
        return latents.contiguous()

    def _context(self, texts: Sequence[str | Tensor]) -> Tensor:
        states: list[Any] = list(texts)
        captions = [text for text in texts if isinstance(text, str)]
        if captions:
            fresh = iter(self.text(captions))
            states = [next(fresh) if isinstance(text, str) else text for text in texts]
        return torch.stack([state.float().to(self.device) for state in states])


def _inverse(order: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor(order, device=device).argsort()


class Source:
    """The samples of ``pictures``, each part read from the cache if it has one."""

    def __init__(
        self,
        pictures: Pictures,
        encoder: Encoder,
        cache: Path | None,
        cache_latents: bool,
        *,
        builds: bool = True,
    ):
        """``builds``: whether this process writes what the cache lacks (one of several does)."""
        self.pictures = pictures
        self.latents: list[np.ndarray] | None = None
        self.states: list[np.ndarray] | None = None
        if cache is not None:
            build = _Cache(cache, pictures, encoder, builds)
            self.states = build.all("text", fingerprint(encoder.text), build.states)
            if cache_latents:
                self.latents = build.all("latents", fingerprint(encoder.codec), build.latents)

    def __len__(self) -> int:
        return len(self.pictures)

    def frame(self, i: int, position: float) -> Loaded:
        """One frame, at ``position`` (0 to 1) of its clip."""
        shard, place = self.pictures.where[i]
        if self.latents is None:
            return torch.from_numpy(self.pictures.read(i, position)), self._text(i)
        latents = self.latents[shard][place]
        n = int(position * len(latents))
        return torch.from_numpy(latents[n : n + 1].copy()), self._text(i)

    def window(self, i: int, frames: int, position: float) -> tuple[Loaded, int]:
        """As :func:`lumiere.train.dataset.window`, of one clip."""
        shard, place = self.pictures.where[i]
        clip = self.pictures.read(i) if self.latents is None else self.latents[shard][place]
        chosen, first = window(clip, frames, position, self.pictures.name(i))
        return (torch.from_numpy(chosen.copy()), self._text(i)), first

    def _text(self, i: int) -> str | Tensor:
        if self.states is None:
            return self.pictures.caption(i)
        shard, place = self.pictures.where[i]
        return torch.from_numpy(self.states[shard][place].copy())


class _Cache:
    def __init__(self, folder: Path, pictures: Pictures, encoder: Encoder, builds: bool):
        self.folder, self.pictures, self.encoder, self.builds = folder, pictures, encoder, builds
        firsts = np.cumsum([0] + [len(shard.entries) for shard in pictures.shards])
        self.numbers = [range(a, b) for a, b in itertools.pairwise(firsts.tolist())]

    def all(self, what: str, encoder: str, compute: Any) -> list[np.ndarray]:
        """One memory-mapped array for each shard, the missing ones built first."""
        paths = [self._path(shard, what, encoder) for shard in self.pictures.shards]
        missing = [n for n, path in enumerate(paths) if not path.exists()]
        if missing and self.builds:
            self.folder.mkdir(parents=True, exist_ok=True)
            total = sum(len(self.numbers[n]) for n in missing)
            with tqdm(total=total, desc=f"caching {what}", unit="sample", mininterval=0.5) as bar:
                for n in missing:
                    self._build(paths[n], self.numbers[n], compute, bar)
        return [np.load(path, mmap_mode="r") for path in paths]

    def _path(self, shard: Shard, what: str, encoder: str) -> Path:
        return self.folder / f"{what}-{shard.sha256[:16]}-{encoder[:16]}.npy"

    def _build(self, path: Path, numbers: range, compute: Any, bar: Any) -> None:
        beside = path.with_suffix(".part")
        array: np.ndarray | None = None
        try:
            for start in range(0, len(numbers), BATCH):
                part = compute(numbers[start : start + BATCH])
                if array is None:
                    shape = (len(numbers), *part.shape[1:])
                    _check_space(path, int(np.prod(shape)) * 2)
                    array = np.lib.format.open_memmap(beside, "w+", np.float16, shape)
                if part.shape[1:] != array.shape[1:]:
                    raise InputError(
                        f"clips of {part.shape[1]} and of {array.shape[1]} frames in one shard; the cache "
                        "takes clips of one length: set data.cache_clips = false"
                    )
                array[start : start + len(part)] = part
                bar.update(len(part))
            assert array is not None
            del array  # which writes it out
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def states(self, numbers: Sequence[int]) -> np.ndarray:
        return self.encoder.text([self.pictures.caption(i) for i in numbers]).half().cpu().numpy()

    @torch.no_grad()
    def latents(self, numbers: Sequence[int]) -> np.ndarray:
        pixels = [torch.from_numpy(self.pictures.read(i)) for i in numbers]
        if len({each.shape for each in pixels}) > 1:
            raise InputError(
                f"clips of different lengths from {self.pictures.name(numbers[0])} on; the cache "
                "takes clips of one length: set data.cache_clips = false"
            )
        at_once = max(1, FRAMES_AT_ONCE // len(pixels[0]))
        parts = []
        for start in range(0, len(pixels), at_once):
            video = to_video(torch.stack(pixels[start : start + at_once]), self.encoder.device)
            parts.append(self.encoder.codec.encode(video).transpose(1, 2).half().cpu())
        return torch.cat(parts).numpy()


def _check_space(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise InputError(
            f"the cache file {path} needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; "
            'choose another data.cache, or "" for none'
        )
