"""WebDataset shards as sources: single pictures for image models, windows of clips for temporal layers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lumiere.conditions import Box
from lumiere.errors import InputError
from lumiere.io.pixels import from_uint8
from lumiere.train.config import Data
from lumiere.train.dataset import CLIPS, STILLS, Pictures, Size, spanned, window
from lumiere.train.draw import numbers
from lumiere.train.encode import EncodedPictures, Encoder, Loaded
from lumiere.train.masks import object_box
from lumiere.train.sources.base import Prepared, Source


def open_pictures(data: Data, clips_only: bool = False) -> tuple[Pictures | None, Pictures | None]:
    """Index the shards of stills and of clips; None for those without a pattern.

    Raises :class:`InputError` if neither has one that a stage can use.
    """
    if not data.clips and (clips_only or not data.stills):
        raise InputError(
            f"{'data.clips' if clips_only else 'data.stills and data.clips'} name no shards; give some"
        )
    stills = Pictures(data.stills, STILLS, data.size) if data.stills and not clips_only else None
    clips = None
    if data.clips:
        size = None if data.buckets else data.size
        least = spanned(data.frames, data.frame_stride) if clips_only else 0
        clips = Pictures(data.clips, CLIPS, size, least)
    return stills, clips


class Mixture:
    """Draws of single pictures, from stills and from the frames of clips."""

    def __init__(self, stills: Any, clips: Any, clip_share: float):
        if clips is None or stills is None:
            clip_share = 0.0 if clips is None else 1.0
        self.stills, self.clips, self.clip_share = stills, clips, clip_share

    def size(self, rng: Any) -> Size:
        """A size, drawn in proportion to its samples."""
        pictures, i, _ = self.pick(rng)
        size: Size = pictures.size(i)
        return size

    def pick(self, rng: Any, size: Size | None = None) -> tuple[Any, int, float]:
        """Stills or clips, the number of a sample among them (of ``size``, if given), and a position in it
        (0 to 1)."""
        while True:
            pictures = self.clips if rng.random() < self.clip_share else self.stills
            i, position = int(rng.integers(len(pictures))), float(rng.random())
            if size in (None, pictures.size(i)):
                return pictures, i, position


class Choice:
    """Draws of samples by number, all those of a step of one size."""

    def __init__(self, pictures: Pictures, numbers: Iterable[int] | None = None):
        """Of the samples ``numbers``; of all by default."""
        self.pictures = pictures
        self.numbers = list(range(len(pictures)) if numbers is None else numbers)
        self._of_size: dict[Size, list[int]] = defaultdict(list)
        for i in self.numbers:
            self._of_size[pictures.size(i)].append(i)

    def size(self, rng: np.random.Generator) -> Size:
        """A size, drawn in proportion to its samples."""
        return self.pictures.size(self.numbers[int(rng.integers(len(self.numbers)))])

    def pick(self, rng: np.random.Generator, size: Size) -> tuple[int, float]:
        """The number of a sample of this size, and a position in it (0 to 1)."""
        among = self._of_size[size]
        return among[int(rng.integers(len(among)))], float(rng.random())


def matching(pictures: Pictures, pattern: str) -> list[int]:
    """Numbers of the samples whose caption ``pattern`` finds. Raises :class:`InputError` if it finds none."""
    try:
        found = [i for i in range(len(pictures)) if re.search(pattern, pictures.caption(i))]
    except re.error as error:
        raise InputError(f"data.captions is {pattern!r}, no regular expression: {error}") from None
    if not found:
        raise InputError(f"data.captions is {pattern!r}; none of the {len(pictures)} captions matches it")
    return found


@dataclass(frozen=True)
class Windows:
    """A batch as it was read.

    Attributes:
        loaded: pixels or cached latents of each window, with its caption or that caption's cached states.
        first_frames: index in its clip of each window's first frame, in strides.
        pixels: uint8 ``b t h w 3``, if asked for.
    """

    loaded: list[Loaded]
    first_frames: list[int]
    pixels: Tensor | None = None


class _Shards(Source):
    """Encoding and prompts of both sources. Subclasses draw :class:`Windows`."""

    def __init__(self, data: Data, encoder: Encoder, seed: int, builds_cache: bool):
        self.data, self.encoder, self.seed, self._builds_cache = data, encoder, seed, builds_cache

    def _encoded(self, pictures: Pictures, cache_latents: bool) -> EncodedPictures:
        cache = Path(self.data.cache) if self.data.cache else None
        return EncodedPictures(pictures, self.encoder, cache, cache_latents, builds=self._builds_cache)

    def _captions(self, pictures: Pictures, count: int) -> list[str]:
        chosen = numbers("prompts", self.seed).choice(len(pictures), count, replace=len(pictures) < count)
        return [pictures.caption(int(i)) for i in chosen]

    def shape(self, drawn: Windows) -> tuple[int, int, int]:
        assert drawn.pixels is not None
        frames, height, width = drawn.pixels.shape[1:4]
        return frames, height, width

    def boxes(self, drawn: Windows) -> list[Callable[[], Box | None]]:
        assert drawn.pixels is not None
        if not self.data.plain_background:
            return [lambda: None] * len(drawn.pixels)
        return [partial(object_box, clip) for clip in drawn.pixels.numpy()]

    def prepare(self, drawn: Windows) -> Prepared:
        latents = self.encoder.latents([media for media, _ in drawn.loaded])
        first_frames = torch.tensor(drawn.first_frames, device=self.encoder.device)
        video = None if drawn.pixels is None else from_uint8(drawn.pixels, self.encoder.device)
        return Prepared(latents, first_frames, video)

    def context(self, drawn: Windows) -> Tensor:
        return self.encoder.context([text for _, text in drawn.loaded])


class PictureShards(_Shards):
    """Stills and single frames of clips, those of a step of one size."""

    def __init__(self, data: Data, encoder: Encoder, seed: int, builds_cache: bool = True):
        """Open the shards that ``data`` names, and build the caches that it asks for if ``builds_cache``.

        Raises :class:`InputError` for shards that are missing or do not fit.
        """
        super().__init__(data, encoder, seed, builds_cache)
        self._stills, self._clips = open_pictures(data)
        self.mixture = Mixture(
            self._stills and self._encoded(self._stills, True),
            self._clips and self._encoded(self._clips, data.cache_clips),
            data.clip_share,
        )

    def prompts(self, count: int) -> list[str]:
        pictures = self._stills or self._clips
        assert pictures is not None
        return self._captions(pictures, count)

    def draw(
        self, step: int, samples: range, rngs: Sequence[np.random.Generator], pixels: bool = False
    ) -> Windows:
        assert not pixels
        size = self.mixture.size(numbers("size", self.seed, step))
        picks = [self.mixture.pick(rng, size) for rng in rngs]
        return Windows([source.frame(i, position) for source, i, position in picks], [0] * len(picks))


class ClipShards(_Shards):
    """Windows of clips, those of a step of one size; stills as clips of one frame in a share of the steps."""

    def __init__(self, data: Data, encoder: Encoder, seed: int, builds_cache: bool = True):
        """As :class:`PictureShards`."""
        super().__init__(data, encoder, seed, builds_cache)
        stills, clips = open_pictures(data, clips_only=not data.still_share)
        assert clips is not None
        self.clips = self._encoded(clips, data.cache_clips)
        self.stills = None if stills is None else self._encoded(stills, True)
        self.choice = Choice(clips, matching(clips, data.captions))
        self.fps = clips.fps

    def prompts(self, count: int) -> list[str]:
        return self._captions(self.clips.pictures, count)

    def draw(
        self, step: int, samples: range, rngs: Sequence[np.random.Generator], pixels: bool = False
    ) -> Windows:
        # All processes see the same kind: their gradients are gathered at the same layers.
        if numbers("kind", self.seed, step).random() < self.data.still_share:
            assert not pixels
            read = [self._still(rng) for rng in rngs]
            return Windows([loaded for loaded, _ in read], [first for _, first in read])
        size = self.choice.size(numbers("size", self.seed, step))
        picks = [self.choice.pick(rng, size) for rng in rngs]
        frames, stride = self.data.frames, self.data.frame_stride
        read = [self.clips.window(i, frames, position, stride) for i, position in picks]
        loaded = [each for each, _ in read]
        video = None
        if pixels:
            video = torch.stack(
                [self._pixels(media, *pick) for (media, _), pick in zip(loaded, picks, strict=True)]
            )
        return Windows(loaded, [first for _, first in read], video)

    def _still(self, rng: np.random.Generator) -> tuple[Loaded, int]:
        assert self.stills is not None
        i, place = int(rng.integers(len(self.stills))), int(rng.integers(self.data.frames))
        return self.stills.frame(i, 0.0), place

    def _pixels(self, media: Tensor, i: int, position: float) -> Tensor:
        """The window in pixels; read here if ``media`` are its cached latents."""
        if media.dtype == torch.uint8:
            return media
        pictures, data = self.clips.pictures, self.data
        frames, _ = window(pictures.read(i), data.frames, position, pictures.name(i), data.frame_stride)
        return torch.from_numpy(frames)
