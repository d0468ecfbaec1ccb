"""A folder of videos of several shapes and lengths, prepared and trained on."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from tiny_shards import about, mp4, picture, webp, write_shard

from lumiere.cli import main
from lumiere.data import parallel
from lumiere.data.videos.buckets import Size as Bucket
from lumiere.data.videos.clips import Settings
from lumiere.data.videos.preparing import prepare_folder
from lumiere.errors import InputError
from lumiere.models.codec import PatchAutoencoder
from lumiere.models.text import MiniLMTextEncoder
from lumiere.train.config import load
from lumiere.train.dataset import CLIPS, STILLS, Pictures, Size
from lumiere.train.encode import EncodedPictures, Encoder
from lumiere.train.sources.shards import Choice
from lumiere.train.stages import build
from movies import smooth_frames, write_movie

SHAPES = {"wide": (24, 48), "high": (48, 24), "square": (32, 32)}


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    """Two videos of each shape, of 10 and 20 ticks."""
    folder = tmp_path_factory.mktemp("videos")
    for shape, size in SHAPES.items():
        for seconds, frames in ("short", 16), ("long", 31):
            path = write_movie(folder / f"{shape}-{seconds}.mp4", smooth_frames(frames, *size))
            path.with_suffix(".txt").write_text(f"{shape} waves, {seconds}")
    settings = Settings(
        Fraction(16), (Bucket(24, 48), Bucket(32, 32), Bucket(48, 24)), 8, 32, scenes=False, caption=None
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "in_order", lambda work, jobs, *_: ((job, work(job)) for job in jobs))
        report = prepare_folder(folder, folder / "out", settings, jobs=1)
    assert report.sizes == {"24x48": 2, "32x32": 2, "48x24": 2}
    return folder / "out"


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    torch.manual_seed(0)
    UNet2DConditionModel(
        sample_size=4,
        in_channels=4,
        out_channels=4,
        cross_attention_dim=384,
        layers_per_block=1,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=2,
        norm_num_groups=4,
    ).save_pretrained(folder)
    return folder


@pytest.fixture
def config(tmp_path, shards, codec, image) -> Path:
    path = tmp_path / "videos.toml"
    path.write_text(f"""
name = "videos"
stage = "temporal"
codec = "{codec}"
image = "{image}"
[data]
clips = ["{shards}/clips-*.tar"]
size = [24, 48]
buckets = true
frames = 8
batch_size = 3
cache = "{tmp_path}/cache"
cache_clips = true
[text]
length = 12
[optim]
warmup_steps = 1
[samples]
steps = 1
[run]
out = "{tmp_path}/run"
max_steps = 3
device = "cpu"
""")
    return path


def test_the_command_trains_on_them(config, tmp_path):
    with pytest.raises(SystemExit) as end:
        main(["train", str(config)])
    assert not end.value.code
    assert (tmp_path / "run" / "model" / "unet").is_dir()
    assert len(list((tmp_path / "cache").glob("latents-*.npy"))) == 3


def test_the_clips_of_a_batch_are_of_one_size_and_all_sizes_come(config):
    stage = build(load(config), torch.device("cpu"))
    seen = []
    for draw in range(16):
        batch = stage.load(draw, range(3 * draw, 3 * draw + 3))
        latents, context, _ = stage.prepare(batch)
        assert latents.shape[:3] == (3, 4, 8) and len(context) == 3
        seen.append(tuple(latents.shape[3:]))
    assert set(seen) == {(3, 6), (6, 3), (4, 4)}
    again = stage.prepare(stage.load(15, range(45, 48)))[0]
    assert torch.equal(again, latents)


def test_clips_of_several_lengths_are_cached_as_they_would_be_computed(shards, codec, tmp_path):
    pictures = Pictures([f"{shards}/clips-*.tar"], CLIPS, None)
    encoder = Encoder(
        PatchAutoencoder.from_pretrained(codec), MiniLMTextEncoder(length=12), torch.device("cpu")
    )
    fresh, cached = (
        EncodedPictures(pictures, encoder, None, False),
        EncodedPictures(pictures, encoder, tmp_path, True),
    )
    lengths = {pictures.entry(i).frames for i in range(len(pictures))}
    assert lengths == {10, 20}
    for i in range(len(pictures)):
        frames = pictures.entry(i).frames
        expected, found = (source.window(i, frames, 0.0)[0] for source in (fresh, cached))
        for a, b in (
            (encoder.latents([expected[0]]), encoder.latents([found[0]])),
            (encoder.context([expected[1]]), encoder.context([found[1]])),
        ):
            torch.testing.assert_close(a, b, atol=2e-3, rtol=2e-3)
        with pytest.raises(InputError, match=f"has {frames} frames"):
            cached.window(i, frames + 1, 0.0)


def test_short_clips_are_left_out_and_said(shards, caplog):
    clips = Pictures([f"{shards}/clips-*.tar"], CLIPS, None, least_frames=12)
    assert sorted(clips.caption(i) for i in range(len(clips))) == [
        "high waves, long",
        "square waves, long",
        "wide waves, long",
    ]
    assert "3 of 6 clips have fewer than data.frames = 12 frames" in caplog.text
    assert [len(clips.read(i)) for i in range(3)] == [20, 20, 20]
    with pytest.raises(InputError, match=r"none of the 6 clips has data\.frames = 21 .* longest has 20"):
        Pictures([f"{shards}/clips-*.tar"], CLIPS, None, least_frames=21)


def test_sizes_come_as_often_as_their_clips(shards):
    choice = Choice(Pictures([f"{shards}/clips-*.tar"], CLIPS, None), [0, 2, 3])
    rng = np.random.default_rng(0)
    sizes = [choice.size(rng) for _ in range(300)]
    assert sizes.count(Size(48, 24)) == pytest.approx(100, abs=30) and len(set(sizes)) == 2
    assert {choice.pick(rng, Size(48, 24))[0] for _ in range(9)} == {0}
    assert {choice.pick(rng, Size(32, 32))[0] for _ in range(40)} == {2, 3}


def test_sizes_that_do_not_fit_are_refused(shards, tmp_path, codec):
    with pytest.raises(InputError, match=r"is 48 x 24 pixels; data\.size is 24 x 48, and data\.buckets"):
        Pictures([f"{shards}/clips-*.tar"], CLIPS, (24, 48))
    clip = mp4([picture((220, 30, 30), x)[:20, :20] for x in range(4)])
    write_shard(tmp_path / "a.tar", {"a.mp4": clip, "a.json": about("a")})
    with pytest.raises(InputError, match=r"sample 'a' of .* does not state its width, height and frames"):
        Pictures([f"{tmp_path}/a.tar"], CLIPS, None)
    encoder = Encoder(
        PatchAutoencoder.from_pretrained(codec), MiniLMTextEncoder(length=12), torch.device("cpu")
    )
    with pytest.raises(InputError, match="is 20 x 20 pixels; the codec takes multiples of 8"):
        EncodedPictures(Pictures([f"{tmp_path}/a.tar"], CLIPS, (20, 20)), encoder, None, False)


def test_stills_and_clips_in_one_shard_have_caches_of_their_own(tmp_path):
    clip = mp4([picture((220, 30, 30), x) for x in range(4)])
    samples = {"a.mp4": clip, "a.json": about("a"), "b.webp": webp(picture((220, 30, 30), 3))}
    write_shard(tmp_path / "a.tar", samples | {"b.json": about("b")})
    kinds = [Pictures([f"{tmp_path}/a.tar"], kind, (32, 32)).shards[0] for kind in (CLIPS, STILLS)]
    assert kinds[0].sha256 != kinds[1].sha256
