"""Adopted temporal layers: the nets are diffusers' own, survive saving, and train with resampling."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel, UNetMotionModel

from families import random_model, tiny_configuration
from lumiere.errors import InputError
from lumiere.io.checkpoints.modelscope import split
from lumiere.io.checkpoints.motion import read_motion
from lumiere.models.adopted.animatediff import stretched_positions
from lumiere.models.stunet import STUNet
from motion_weights import ADAPTERS, make_adapter, make_modelscope, save_original

NAMES = [*ADAPTERS, "modelscope"]


def image_model(family):
    return random_model(UNet2DConditionModel, **tiny_configuration(family)["unet"])


def both(name, folder, **inflation):
    """diffusers' net, and ours of the same weights."""
    if name == "modelscope":
        theirs = make_modelscope().unet
        unet, adopted = split(folder, theirs)
    else:
        unet, adapter = image_model(ADAPTERS[name][0]), make_adapter(name)
        theirs = UNetMotionModel.from_unet2d(unet, adapter).eval()
        if name == "sdxl":  # diffusers 0.42.1 forgets it
            theirs.add_embedding.load_state_dict(unet.add_embedding.state_dict())
        adopted = read_motion(save_original(name, folder / f"{name}.safetensors"))
    net = STUNet.inflate(unet, adopted=adopted.config, **inflation)
    adopted.give_to(net)
    return theirs, net.eval()


def inputs(net, frames=16):
    random = torch.Generator().manual_seed(1)
    x = torch.randn(2, 4, frames, 8, 12, generator=random)
    context = torch.randn(2, 7, net.spatial.config.cross_attention_dim, generator=random)
    added = None
    if net.spatial.config.addition_embed_type == "text_time":
        added = {"text_embeds": torch.randn(2, 12, generator=random), "time_ids": torch.full((2, 6), 64.0)}
    return x, torch.tensor([500, 20]), context, added


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_net_is_diffusers_own(name, tmp_path):
    theirs, net = both(name, tmp_path)
    x, t, context, added = inputs(net)
    more = {} if added is None else {"added_cond_kwargs": added}
    # UNetMotionModel takes a context for each frame where it takes added conditions for each clip
    per_frame = context if name == "modelscope" else context.repeat_interleave(x.shape[2], 0)
    expected = theirs(x, t, per_frame, **more).sample
    made = net(x, t, context, added_cond_kwargs=added).sample
    assert expected.std() > 0.1
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)
    shuffled = net(x.flip(2), t, context, added_cond_kwargs=added).sample.flip(2)
    assert (shuffled - made).abs().max() > 1e-3  # time has a direction, or neighbours


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_what_is_saved_is_loaded(name, tmp_path):
    _, net = both(name, tmp_path)
    net.save_pretrained(tmp_path / "net")
    loaded = STUNet.from_pretrained(tmp_path / "net").eval()
    ours, theirs = net.state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
    x, t, context, added = inputs(net)
    outputs = [each(x, t, context, added_cond_kwargs=added).sample for each in (net, loaded)]
    assert torch.equal(*outputs)


@pytest.mark.parametrize("name", ["v2", "modelscope"])
def test_with_temporal_resampling_the_temporal_layers_train(name, tmp_path):
    theirs, net = both(name, tmp_path, temporal_resample=[True, True, True])
    x, t, context, _ = inputs(net)
    with torch.no_grad():
        per_frame = context if name == "modelscope" else context.repeat_interleave(x.shape[2], 0)
        expected = theirs(x, t, per_frame).sample
    net.train().enable_gradient_checkpointing()
    made = net(x, t, context).sample
    assert torch.corrcoef(torch.stack([made.detach().flatten(), expected.flatten()]))[0, 1] > 0.6
    made.square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.temporal_parameters())
    assert all(p.grad is None for p in net.spatial.parameters())


def test_more_frames_than_positions_are_refused(tmp_path):
    _, net = both("v1", tmp_path)
    x, t, context, _ = inputs(net, frames=25)
    with pytest.raises(InputError, match="25 frames; the temporal layers take up to 24"):
        net(x, t, context)


@torch.no_grad()
def test_stretched_positions_take_longer_clips():
    config = {"kind": "animatediff", "middle": False, "positions": 24, "frames": 80}
    net = STUNet.inflate(image_model("sd1"), adopted=config).eval()
    x, t, context, _ = inputs(net, frames=80)
    assert net(x, t, context).sample.shape == x.shape
    plain = STUNet.inflate(net.spatial, adopted={**config, "frames": 24})
    name = "down.0.blocks.0.transformer_blocks.0.pos_embed.pe"
    stretched, trained = (each.temporal.get_buffer(name)[0] for each in (net, plain))
    torch.testing.assert_close(stretched[[0, -1]], trained[[0, -1]])
    torch.testing.assert_close(stretched_positions(24, 24, 8)[0], trained)


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"kind": "hotshot"}, "of kind 'hotshot'; choose one of animatediff, modelscope"),
        ({"kind": "modelscope"}, "head_channels"),
        ({"kind": "animatediff", "middle": False, "positions": 24, "heads": 3}, "has 3 heads"),
    ],
)
def test_a_configuration_that_makes_no_layers_is_refused(config, match):
    with pytest.raises(InputError, match=match):
        STUNet.inflate(image_model("sd1"), adopted=config)
