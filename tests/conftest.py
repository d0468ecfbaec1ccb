"""A model small enough to sample in a second, made of the real classes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from letter_encoder import LetterEncoder
from tiny_nets import random_net, tiny_net


@pytest.fixture(autouse=True)
def own_precision():
    """accelerate has one precision a process, and tests have several, in any order."""
    yield
    if (state := sys.modules.get("accelerate.state")) is not None:
        state.AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def make_pipe():
    """Makes a tiny pipeline, with settings of the caller's."""
    from lumiere.diffusion.conditioning import condition_channels
    from lumiere.diffusion.sampling import make_scheduler, noise_schedule
    from lumiere.models.codec import PatchCodec
    from lumiere.pipelines.text_to_video import LumierePipeline

    def make(conditioned=False, warp_net=None, text_encoder=None, **settings):
        scheduler = make_scheduler("dpm++", noise_schedule().config)
        settings = {"size": 32, "steps": 3, "guidance": 2.0} | settings
        codec = PatchCodec(4)
        text_encoder = text_encoder or LetterEncoder()
        channels = condition_channels(codec) if conditioned else 0
        net = tiny_net(text_encoder.dim, condition_channels=channels)
        pipe = LumierePipeline(net, codec, text_encoder, scheduler, warp_net, **settings)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    return make


@pytest.fixture(scope="session")
def pipe(make_pipe):
    """A tiny pipeline, shared: tests must not change it."""
    return make_pipe()


@pytest.fixture(scope="session")
def tiny_bundle(pipe, tmp_path_factory):
    """The folder of the tiny pipeline, shared: tests must not change it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipe.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_upscaler():
    """Makes a tiny super-resolution pipeline: random, with temporal layers that are not the identity."""
    from lumiere.diffusion.sampling import make_scheduler, noise_schedule
    from lumiere.models.codec import PatchCodec
    from lumiere.pipelines.superres import UpscalePipeline

    def make():
        image_model = {
            "in_channels": 24,
            "out_channels": 12,
            "block_out_channels": (8, 16),
            "down_block_types": ("DownBlock2D", "DownBlock2D"),
            "mid_block_type": "UNetMidBlock2D",
            "up_block_types": ("UpBlock2D", "UpBlock2D"),
            "class_embed_type": "timestep",
        }
        net = random_net(image_model, temporal_resample=[False], attention_blocks=0)
        scheduler = make_scheduler("ddim", noise_schedule().config)
        pipe = UpscalePipeline(net, PatchCodec(2), scheduler, window=6)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    return make


@pytest.fixture(scope="session")
def tiny_upscaler(make_upscaler, tmp_path_factory):
    """The folder of the tiny super-resolution pipeline, shared: tests must not change it."""
    folder = tmp_path_factory.mktemp("models") / "tiny-upscaler"
    make_upscaler().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def family_folder(tmp_path_factory):
    """The folder of a family of image models as diffusers saves it, made once: tests must not change it."""
    from families import save_family

    made = {}

    def folder(family):
        if family not in made:
            made[family] = save_family(family, tmp_path_factory.mktemp("families") / family)
        return made[family]

    return folder


@pytest.fixture(scope="session")
def inflated(family_folder, tmp_path_factory):
    """A family inflated, and the folder that it was saved in, made once: tests must not change them."""
    import torch

    from lumiere.pipelines.inflation import inflate, read_image_model

    made = {}

    def pipeline(family):
        if family not in made:
            torch.manual_seed(0)
            pipe = inflate(read_image_model(family_folder(family)), frames=6)
            pipe.set_progress_bar_config(disable=True)
            folder = tmp_path_factory.mktemp("inflated") / family
            pipe.save_pretrained(folder)
            made[family] = pipe, folder
        return made[family]

    return pipeline


@pytest.fixture(scope="session")
def sprites() -> Path:
    """Six animated objects of 128 pixels."""
    return Path(__file__).parent / "sample" / "sprites"


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image model, ``unet``, for patches of 4 x 4 pixels, ``codec``."""
    from lumiere.models.codec import PatchCodec

    torch.manual_seed(2)
    folder = tmp_path_factory.mktemp("image")
    PatchCodec(4).save_pretrained(folder / "codec")
    UNet2DConditionModel(
        in_channels=48,
        out_channels=48,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        norm_num_groups=8,
        cross_attention_dim=384,
    ).save_pretrained(folder / "unet")
    return folder
