"""Tiny shards, and tiny models trained on them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from lumiere.models.codec import PatchAutoencoder

SIDE = 32
FRAMES = 12
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 60), "blue": (40, 60, 220)}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def picture(colour: tuple[int, int, int], x: int) -> np.ndarray:
    frame = np.full((SIDE, SIDE, 3), 235, np.uint8)
    frame[8:24, x : x + 10] = colour
    return frame


def webp(frame: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "WEBP", lossless=True)
    return file.getvalue()


def mp4(frames: list[np.ndarray]) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=16)
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def write_shard(path: Path, samples: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in samples.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def about(caption: str) -> bytes:
    return json.dumps({"caption": caption}).encode()


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


TINY_UNET = """
[model]
block_out_channels = [16, 32]
down_block_types = ["DownBlock2D", "CrossAttnDownBlock2D"]
up_block_types = ["CrossAttnUpBlock2D", "UpBlock2D"]
attention_head_dim = [2, 2]
norm_num_groups = 8
time_embedding_dim = 32
"""


@pytest.fixture
def image_config(tmp_path: Path, shards: Path, codec: Path) -> Path:
    path = tmp_path / "image.toml"
    path.write_text(f"""
name = "tiny"
stage = "image"
codec = "{codec}"
[data]
stills = ["{shards}/train-stills-*.tar"]
clips = ["{shards}/train-clips-*.tar"]
size = [{SIDE}, {SIDE}]
batch_size = 4
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
[data]
stills = ["{shards}/train-stills-*.tar"]
clips = ["{shards}/train-clips-*.tar"]
size = [{SIDE}, {SIDE}]
batch_size = 4
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
