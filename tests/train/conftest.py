"""Tiny shards, and tiny models trained on them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_shards import COLOURS, FRAMES, SIDE, about, mp4, picture, webp, write_shard

from lumiere.models.codec import PatchAutoencoder


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of stills and one of clips: a coloured block, at rest or moving right."""
    folder = tmp_path_factory.mktemp("shards")
    for shard in range(2):
        samples = {}
        for n, (name, colour) in enumerate(COLOURS.items()):
            samples[f"{shard}{n}.webp"] = webp(picture(colour, 4 + 8 * shard))
            samples[f"{shard}{n}.json"] = about(f"a {name} block on a white background")
        write_shard(folder / f"train-stills-{shard:05d}.tar", samples)
    clips = {}
    for n, (name, colour) in enumerate(COLOURS.items()):
        clips[f"{n}.mp4"] = mp4([picture(colour, x) for x in range(FRAMES)])
        clips[f"{n}.json"] = about(f"a {name} block moving right on a white background")
    write_shard(folder / "train-clips-00000.tar", clips)
    return folder


@pytest.fixture(scope="session")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("codec")
    PatchAutoencoder(channels=4, widths=(8, 16), blocks=1).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def temporal_config(tmp_path_factory: pytest.TempPathFactory, shards: Path, image: Path) -> Path:
    """Temporal layers, of 4 samples a step, that see stills in some steps, and sample longer clips than they
    are trained on: in windows."""
    path = tmp_path_factory.mktemp("temporal") / "temporal.toml"
    path.write_text(f"""
name = "tiny"
stage = "temporal"
codec = "{image}/codec"
image = "{image}/unet"
{data(shards)}
frames = 5
still_share = 0.3
[text]
length = 12
[objective]
caption_dropout = 0.3
shared_noise = 0.5
[optim]
lr = 3e-3
warmup_steps = 2
ema_every = 2
[samples]
prompts = ["a red block"]
steps = 1
frames = 9
[run]
max_steps = 7
checkpoint_steps = 2
device = "cpu"
""")
    return path


TINY_UNET = """
[model]
block_out_channels = [16, 32]
down_block_types = ["DownBlock2D", "CrossAttnDownBlock2D"]
up_block_types = ["CrossAttnUpBlock2D", "UpBlock2D"]
attention_head_dim = [2, 2]
norm_num_groups = 8
time_embedding_dim = 32
"""


def data(shards: Path) -> str:
    return f"""[data]
stills = ["{shards}/train-stills-*.tar"]
clips = ["{shards}/train-clips-*.tar"]
size = [{SIDE}, {SIDE}]
batch_size = 4"""


@pytest.fixture
def image_config(tmp_path: Path, shards: Path, codec: Path) -> Path:
    path = tmp_path / "image.toml"
    path.write_text(f"""
name = "tiny"
stage = "image"
codec = "{codec}"
{data(shards)}
[text]
length = 12
{TINY_UNET}
[optim]
warmup_steps = 2
[samples]
steps = 2
[run]
out = "{tmp_path}/run"
max_steps = 6
device = "cpu"
""")
    return path


@pytest.fixture
def codec_config(tmp_path: Path, shards: Path) -> Path:
    path = tmp_path / "codec.toml"
    path.write_text(f"""
name = "tiny"
stage = "codec"
{data(shards)}
[model]
channels = 4
widths = [8, 16]
blocks = 1
[loss]
crop = 16
[run]
out = "{tmp_path}/run"
max_steps = 6
device = "cpu"
""")
    return path


@pytest.fixture
def superres_config(tmp_path: Path, shards: Path) -> Path:
    path = tmp_path / "superres.toml"
    path.write_text(f"""
name = "tiny"
stage = "superres"
{data(shards)}
frames = 5
[model]
patch = 2
block_out_channels = [16, 32]
norm_num_groups = 8
[degrade]
crop = 16
factors = [2, 4]
[optim]
lr = 3e-3
warmup_steps = 2
[samples]
steps = 2
[run]
out = "{tmp_path}/run"
max_steps = 40
log_steps = 5
device = "cpu"
""")
    return path
