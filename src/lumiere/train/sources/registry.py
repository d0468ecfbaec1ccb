"""The source that a configuration asks for: shards, or one that a package registers.

A package registers a class under its name in the entry-point group ``lumiere.training_sources``. The class is
called with the sections ``[scenes]`` and ``[data]``, the encoder, the seed and the frames of a sample (1:
single pictures), and makes a :class:`~lumiere.train.sources.base.Source`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from lumiere.errors import InputError
from lumiere.train.config import ImageConfig, TemporalConfig
from lumiere.train.encode import Encoder
from lumiere.train.sources.base import Source
from lumiere.train.sources.shards import ClipShards, PictureShards

GROUP = "lumiere.training_sources"


def find_source(name: str) -> Callable[..., Source]:
    """The class that is registered under ``name``.

    Raises:
        InputError: there is none.
    """
    known = {point.name: point for point in entry_points(group=GROUP)}
    if name not in known:
        names = ", ".join(sorted(known)) or "none"
        raise InputError(f'"scenes.source" is {name!r}; the installed sources are: {names}')
    found: Callable[..., Source] = known[name].load()
    return found


def picture_source(config: ImageConfig, encoder: Encoder, builds_cache: bool = True) -> Source:
    """The source of single pictures. Raises :class:`InputError` for data that do not fit."""
    if config.scenes.sprites:
        return _composed(config, encoder, frames=1)
    return PictureShards(config.data, encoder, config.seed, builds_cache)


def clip_source(config: TemporalConfig, encoder: Encoder, builds_cache: bool = True) -> Source:
    """The source of windows of clips. Raises :class:`InputError` for data that do not fit."""
    if config.scenes.sprites:
        return _composed(config, encoder, frames=config.data.frames)
    return ClipShards(config.data, encoder, config.seed, builds_cache)


def _composed(config: ImageConfig | TemporalConfig, encoder: Encoder, frames: int) -> Source:
    data = config.data
    if data.clips or data.stills:
        raise InputError(
            'both "scenes.sprites" and shards are given; leave "data.stills" and "data.clips" out'
        )
    for key, value in (("captions", data.captions), ("buckets", data.buckets)):
        if value:
            raise InputError(f'"data.{key}" is {value!r}, which is for shards; with [scenes], leave it out')
    return find_source(config.scenes.source)(config.scenes, data, encoder, config.seed, frames)
