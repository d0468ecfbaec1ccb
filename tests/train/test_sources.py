"""What stages draw from shards, and sources that are registered by name."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_shards import SIDE

from lumiere.errors import InputError
from lumiere.models.codec import PatchCodec
from lumiere.models.text import MiniLMTextEncoder
from lumiere.train.config import Data, ImageConfig, Scenes, TemporalConfig
from lumiere.train.draw import sample_rngs
from lumiere.train.encode import Encoder
from lumiere.train.sources import registry
from lumiere.train.sources.registry import clip_source, find_source, picture_source
from lumiere.train.sources.shards import ClipShards


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(PatchCodec(4), MiniLMTextEncoder(12), torch.device("cpu"))


@pytest.fixture
def data(shards: Path) -> Data:
    return Data(clips=(f"{shards}/train-clips-*.tar",), size=(SIDE, SIDE), frames=5)


def test_a_batch_is_a_function_of_its_sample_numbers(data: Data, encoder: Encoder) -> None:
    source = ClipShards(data, encoder, 0)
    every, half = (
        source.prepare(source.draw(3, samples, sample_rngs(0, samples), pixels=True))
        for samples in (range(12, 16), range(14, 16))
    )
    assert every.latents.shape == (4, 48, 5, 8, 8) and every.video.shape == (4, 3, 5, SIDE, SIDE)
    assert torch.equal(every.latents[2:], half.latents) and torch.equal(every.video[2:], half.video)
    assert torch.equal(every.first_frames[2:], half.first_frames)
    assert torch.equal(every.latents, encoder.codec.encode(every.video))


def test_cached_latents_come_with_the_pixels_of_their_window(
    data: Data, encoder: Encoder, tmp_path: Path
) -> None:
    fresh, cached = (
        source.prepare(source.draw(0, range(3), sample_rngs(0, range(3)), pixels=True))
        for source in (
            ClipShards(data, encoder, 0),
            ClipShards(replace(data, cache=str(tmp_path), cache_clips=True), encoder, 0),
        )
    )
    assert torch.equal(fresh.video, cached.video)
    torch.testing.assert_close(fresh.latents, cached.latents, atol=2e-3, rtol=2e-3)


def test_objects_are_looked_for_on_plain_backgrounds_alone(data: Data, encoder: Encoder) -> None:
    def boxes(data: Data) -> list:
        source = ClipShards(data, encoder, 0)
        drawn = source.draw(0, range(2), sample_rngs(0, range(2)), pixels=True)
        assert source.shape(drawn) == (5, SIDE, SIDE)
        return [box() for box in source.boxes(drawn)]

    assert boxes(data) == [None, None]
    for left, top, right, bottom in boxes(replace(data, plain_background=True)):
        assert 6 <= top <= 9 and 23 <= bottom <= 26 and 12 <= right - left <= 18


def test_a_source_is_found_by_the_name_that_a_package_registers(
    data: Data, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = EntryPoint("mine", "tests:nothing", registry.GROUP)
    made, found = [], clip_source(TemporalConfig("x", data=data), encoder)
    monkeypatch.setattr(EntryPoint, "load", lambda _: lambda *arguments: made.append(arguments) or found)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == registry.GROUP else [])
    scenes, plain = Scenes("folder", source="mine"), Data(frames=7)
    assert picture_source(ImageConfig("x", "c", scenes=scenes, data=plain), encoder) is found
    assert clip_source(TemporalConfig("x", scenes=scenes, data=plain, seed=4), encoder) is found
    assert [(arguments[0], *arguments[3:]) for arguments in made] == [(scenes, 0, 1), (scenes, 4, 7)]
    with pytest.raises(InputError, match=r'"scenes\.source" is .yours.; the installed sources are: mine'):
        find_source("yours")
    with pytest.raises(InputError, match="and shards are given"):
        clip_source(TemporalConfig("x", scenes=scenes, data=data), encoder)


def test_rngs_are_left_where_a_stage_goes_on(data: Data, encoder: Encoder) -> None:
    rngs = sample_rngs(0, range(2))
    ClipShards(data, encoder, 0).draw(0, range(2), rngs)
    untouched = sample_rngs(0, range(2))
    for rng, other in zip(rngs, untouched, strict=True):
        other.integers(3), other.random()
        assert np.array_equal(rng.integers(1 << 30, size=4), other.integers(1 << 30, size=4))
