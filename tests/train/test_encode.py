from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_shards import FRAMES, SIDE, about, mp4, picture, write_shard

from lumiere.errors import InputError
from lumiere.models.codec import PatchAutoencoder
from lumiere.models.text import MiniLMTextEncoder
from lumiere.train.dataset import CLIPS, STILLS, Pictures
from lumiere.train.encode import EncodedPictures, Encoder, fingerprint


@pytest.fixture(scope="module")
def encoder(codec):
    return Encoder(PatchAutoencoder.from_pretrained(codec), MiniLMTextEncoder(length=12), torch.device("cpu"))


def encode(encoder, batch):
    media, texts = zip(*batch, strict=True)
    return encoder.latents(media), encoder.context(texts)


@pytest.fixture
def stills(shards):
    return Pictures([f"{shards}/train-stills-*.tar"], STILLS, (SIDE, SIDE))


@pytest.fixture
def clips(shards):
    return Pictures([f"{shards}/train-clips-*.tar"], CLIPS, (SIDE, SIDE))


def test_a_frame_and_its_caption_become_latents_and_states(encoder, stills):
    source = EncodedPictures(stills, encoder, None, False)
    latents, context = encode(encoder, [source.frame(1, 0.0), source.frame(4, 0.0)])
    pixels = torch.stack([torch.from_numpy(stills.read(i)) for i in (1, 4)])
    video = pixels.permute(0, 4, 1, 2, 3) / 127.5 - 1
    assert latents.shape == (2, 4, 1, 4, 4)
    torch.testing.assert_close(latents, encoder.codec.encode(video))
    torch.testing.assert_close(context, encoder.text([stills.caption(1), stills.caption(4)]))


def test_bf16_computes_text_states_that_are_close_and_float32(encoder):
    half = Encoder(encoder.codec, encoder.text, encoder.device, "bf16")
    captions = ["a cat on a red background", "two dogs"]
    expected, got = encoder.context(captions), half.context(captions)
    assert got.dtype == torch.float32 and not torch.equal(got, expected)
    assert (got - expected).pow(2).mean() < 1e-3 * expected.var()


def test_the_cache_holds_what_would_be_computed(encoder, stills, clips, tmp_path):
    for pictures in (stills, clips):
        fresh, cached = (
            EncodedPictures(pictures, encoder, None, False),
            EncodedPictures(pictures, encoder, tmp_path, True),
        )
        for i in (0, len(pictures) - 1):
            expected, got = encode(encoder, [fresh.frame(i, 0.6)]), encode(encoder, [cached.frame(i, 0.6)])
            for a, b in zip(expected, got, strict=True):
                torch.testing.assert_close(a, b, atol=2e-3, rtol=2e-3)
    expected, got = (encode(encoder, [source.window(2, 5, 0.99)[0]])[0] for source in (fresh, cached))
    torch.testing.assert_close(expected, got, atol=2e-3, rtol=2e-3)
    assert not list(tmp_path.glob("*.part"))


def test_cached_and_fresh_samples_mix_in_their_order(encoder, stills, tmp_path):
    fresh, cached = (
        EncodedPictures(stills, encoder, None, False),
        EncodedPictures(stills, encoder, tmp_path, True),
    )
    mixed = encode(
        encoder, [cached.frame(0, 0.0), fresh.frame(1, 0.0), cached.frame(2, 0.0), fresh.frame(3, 0.0)]
    )
    expected = encode(encoder, [fresh.frame(i, 0.0) for i in range(4)])
    for a, b in zip(mixed, expected, strict=True):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=2e-3)


def test_only_what_is_missing_is_built(encoder, stills, tmp_path, monkeypatch):
    EncodedPictures(stills, encoder, tmp_path, True)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npy")}
    assert len(files) == 4  # two shards, latents and states of each
    lost = min(path for path in files if path.name.startswith("latents"))
    lost.unlink()
    EncodedPictures(stills, encoder, tmp_path, True)
    rebuilt = {path for path in files if path.stat().st_mtime_ns != files[path]}
    assert rebuilt == {lost}


def test_a_build_that_fails_leaves_nothing(encoder, stills, tmp_path, monkeypatch):
    monkeypatch.setattr(Pictures, "read_at", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        EncodedPictures(stills, encoder, tmp_path, True)
    assert {path.name.partition("-")[0] for path in tmp_path.glob("[!.]*")} == {"text"}


def test_another_codec_has_another_cache(encoder, codec):
    other = PatchAutoencoder.from_pretrained(codec)
    assert fingerprint(other) == fingerprint(encoder.codec)
    with torch.no_grad():
        other.mean[0] += 1
    assert fingerprint(other) != fingerprint(encoder.codec)


def test_windows_lie_within_the_clip(encoder, clips):
    source = EncodedPictures(clips, encoder, None, False)
    whole = clips.read(0)
    for position in (0.0, 0.5, 0.999):
        window = source.window(0, FRAMES - 3, position)[0][0].numpy()
        start = int(position * 4)
        assert np.array_equal(window, whole[start : start + FRAMES - 3])
    with pytest.raises(InputError, match=f"has {FRAMES} frames; data.frames asks for 99"):
        source.window(0, 99, 0.0)


def test_clips_of_different_lengths_are_not_cached(encoder, tmp_path):
    frames = [picture((220, 30, 30), x) for x in range(6)]
    write_shard(
        tmp_path / "c.tar",
        {"a.mp4": mp4(frames), "a.json": about("a"), "b.mp4": mp4(frames[:4]), "b.json": about("b")},
    )
    pictures = Pictures([f"{tmp_path}/c.tar"], CLIPS, (SIDE, SIDE))
    with pytest.raises(InputError, match=r"sample 'b' of .* differs from others of its shard in size, or"):
        EncodedPictures(pictures, encoder, tmp_path / "cache", True)
