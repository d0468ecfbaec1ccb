"""Inflation is exact at initialisation, trains what it adds alone, and survives saving and loading."""

import copy

import pytest
import torch
from diffusers import UNet2DConditionModel
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lumiere.errors import InputError
from lumiere.models import temporal
from lumiere.models.extras import FramePosition, PlacedModulation, TextPooling
from lumiere.models.stunet import STUNet

COMMON = {
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "norm_num_groups": 2,
    "cross_attention_dim": 8,
    "attention_head_dim": 2,
}
IMAGE_MODELS = {
    "sd15": {**COMMON, "block_out_channels": (4, 8, 8, 8)},
    "text_embedding": {
        **COMMON,
        "block_out_channels": (4, 8, 12),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 1,
        "resnet_time_scale_shift": "scale_shift",
        "encoder_hid_dim": 6,
        "encoder_hid_dim_type": "text_proj",
        "addition_embed_type": "text",
        "addition_embed_type_num_heads": 2,
        "time_cond_proj_dim": 5,
        "center_input_sample": True,
        "time_embedding_act_fn": "silu",
        "dropout": 0.5,
    },
    "text_time": {
        **COMMON,
        "block_out_channels": (4, 8),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 1,
        "transformer_layers_per_block": (1, 2),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 2,
        "projection_class_embeddings_input_dim": 11,
    },
    "pixel": {
        **COMMON,
        "block_out_channels": (4, 8),
        "down_block_types": ("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
        "up_block_types": ("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        "layers_per_block": 1,
        "act_fn": "gelu",
        "resnet_skip_time_act": True,
        "cross_attention_norm": "layer_norm",
        "num_class_embeds": 3,
        "class_embeddings_concat": True,
        "only_cross_attention": True,
    },
    "super_resolution": {
        **COMMON,
        "block_out_channels": (4, 8),
        "down_block_types": ("DownBlock2D", "DownBlock2D"),
        "mid_block_type": "UNetMidBlock2D",
        "up_block_types": ("UpBlock2D", "UpBlock2D"),
        "layers_per_block": 1,
        "class_embed_type": "timestep",
    },
}
DOUBLE, SINGLE = torch.float64, torch.float32


def image_model(kind: str = "sd15", dtype: torch.dtype = DOUBLE) -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(**IMAGE_MODELS[kind]).to(dtype).eval()


def conditions(kind: str, clips: int, dtype: torch.dtype) -> dict:
    """Random, and different for every clip."""
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(clips, *shape, generator=generator, dtype=dtype)

    given = {
        "timestep": torch.randint(0, 1000, (clips,), generator=generator),
        "encoder_hidden_states": normal(5, IMAGE_MODELS[kind].get("encoder_hid_dim", 8)),
    }
    if kind == "text_embedding":
        given["timestep_cond"] = normal(5)
    if kind in ("pixel", "super_resolution"):
        given["class_labels"] = torch.arange(clips) % 3
    if kind == "text_time":
        given["added_cond_kwargs"] = {"text_embeds": normal(7), "time_ids": normal(2)}
    return given


def clip(clips: int, frames: int, height: int, width: int, dtype: torch.dtype, *, still: bool) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    sample = torch.randn(clips, 4, 1 if still else frames, height, width, generator=generator, dtype=dtype)
    return sample.expand(-1, -1, frames, -1, -1)


def each_frame(conditions: dict, frames: int) -> dict:
    """Every clip's conditions once per frame."""
    return {
        name: each_frame(value, frames) if isinstance(value, dict) else value.repeat_interleave(frames, 0)
        for name, value in conditions.items()
    }


@torch.no_grad()
def image_by_image(unet: UNet2DConditionModel, sample: Tensor, given: dict) -> Tensor:
    clips, _, frames = sample.shape[:3]
    images = unet(sample.transpose(1, 2).flatten(0, 1), **each_frame(given, frames)).sample
    return images.unflatten(0, (clips, frames)).transpose(1, 2)


def assert_same(actual: Tensor, expected: Tensor) -> None:
    tolerance = 1e-11 if actual.dtype == DOUBLE else 2e-4
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def wake(net: torch.nn.Module) -> torch.nn.Module:
    """Give every temporal parameter a random value, so that nothing is zero or the identity."""
    generator = torch.Generator().manual_seed(3)
    for parameter in net.temporal_parameters() if isinstance(net, STUNet) else net.parameters():
        with torch.no_grad():
            parameter.add_(
                torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype), alpha=0.1
            )
    return net


@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=["float64", "float32"])
@pytest.mark.parametrize("frames", [1, 7, 80, 81])
def test_still_clip_gives_the_image_in_every_frame(frames, dtype):
    unet = image_model("sd15", dtype)
    sample, given = clip(2, frames, 8, 16, dtype, still=True), conditions("sd15", 2, dtype)
    image = image_by_image(unet, sample[:, :, :1], given)
    with torch.no_grad():
        assert_same(STUNet.inflate(unet)(sample, **given).sample, image.expand_as(sample))


@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=["float64", "float32"])
@pytest.mark.parametrize("frames", [1, 7, 80, 81])
def test_without_resampling_any_clip_is_the_image_model(frames, dtype):
    unet = image_model("text_time", dtype)
    sample, given = clip(2, frames, 6, 4, dtype, still=False), conditions("text_time", 2, dtype)
    expected = image_by_image(unet, sample, given)
    with torch.no_grad():
        assert_same(STUNet.inflate(unet, temporal_resample=[False])(sample, **given).sample, expected)


@pytest.mark.parametrize("kind", IMAGE_MODELS)
def test_every_kind_of_image_model(kind):
    unet = image_model(kind)
    given = conditions(kind, 3, DOUBLE)
    still = clip(3, 5, 8, 12, DOUBLE, still=True)
    moving = clip(3, 5, 8, 12, DOUBLE, still=False)
    expected = image_by_image(unet, moving, given)
    expected_still = image_by_image(unet, still, given)
    resizes = len(unet.down_blocks) - 1
    with torch.no_grad():
        assert_same(STUNet.inflate(unet)(still, **given).sample, expected_still)
        assert_same(STUNet.inflate(unet)(moving[:, :, 0], **given).sample, expected[:, :, 0])
        assert_same(
            STUNet.inflate(unet, temporal_resample=[False] * resizes)(moving, **given).sample, expected
        )


@settings(max_examples=10, deadline=None)
@given(
    clips=st.integers(1, 3),
    frames=st.integers(1, 19),
    height=st.integers(4, 13),
    width=st.integers(4, 13),
    resample=st.lists(st.booleans(), min_size=2, max_size=2),
)
def test_any_shape_and_any_resampling(clips, frames, height, width, resample):
    unet = image_model("text_embedding")
    sample = clip(clips, frames, height, width, DOUBLE, still=any(resample))
    given = conditions("text_embedding", clips, DOUBLE)
    expected = image_by_image(unet, sample, given)
    with torch.no_grad():
        assert_same(STUNet.inflate(unet, temporal_resample=resample)(sample, **given).sample, expected)


@pytest.mark.parametrize("kind", IMAGE_MODELS)
def test_slices_of_frames_change_nothing(kind, monkeypatch):
    net = wake(STUNet.inflate(image_model(kind)))
    sample, given = clip(2, 7, 8, 8, DOUBLE, still=False), conditions(kind, 2, DOUBLE)
    with torch.no_grad():
        whole = net(sample, **given).sample
        monkeypatch.setattr(temporal, "SLICE_ELEMENTS", 3 * 4 * 8 * 8)
        assert_same(net(sample, **given).sample, whole)


def test_a_doubled_batch_is_two_clips_apart():
    net = wake(STUNet.inflate(image_model()))
    sample, given = clip(2, 7, 8, 8, DOUBLE, still=False), conditions("sd15", 2, DOUBLE)
    apart = [
        net(sample[i : i + 1], **{name: value[i : i + 1] for name, value in given.items()}).sample
        for i in range(2)
    ]
    assert_same(net(sample, **given).sample, torch.cat(apart))


def test_woken_layers_mix_frames_and_know_their_order():
    net = wake(STUNet.inflate(image_model()))
    sample, given = clip(1, 9, 8, 8, DOUBLE, still=False), conditions("sd15", 1, DOUBLE)
    other = sample.clone()
    other[:, :, 8] = 0
    with torch.no_grad():
        out, changed, backwards = (net(x, **given).sample for x in (sample, other, sample.flip(2)))
    assert ((out - changed).abs().amax(dim=(0, 1, 3, 4)) > 1e-9).all(), "the last frame reaches every frame"
    assert not torch.allclose(backwards, out.flip(2), atol=1e-3)


def test_motion_words_reach_the_temporal_layers():
    """They come with what modulates the temporal blocks, once those do anything at all."""
    net = STUNet.inflate(image_model("text_embedding"))
    sample, given = clip(1, 5, 8, 8, DOUBLE, still=False), conditions("text_embedding", 1, DOUBLE)
    with torch.no_grad():
        asleep = net(sample, **given).sample
        for name, parameter in net.temporal.named_parameters():
            if "modulation" in name:
                parameter.fill_(0.1)
        assert_same(net(sample, **given).sample, asleep)
        wake(net)
        awake = net(sample, **given).sample
        for name, parameter in net.temporal.named_parameters():
            if "modulation" in name:
                parameter.zero_()
        assert not torch.allclose(net(sample, **given).sample, awake, atol=1e-4)


def test_a_frames_place_reaches_what_the_prompt_modulates():
    """Equal frames stay equal at first, and differ once places count, though no frame sees another."""
    net = STUNet.inflate(image_model("super_resolution"), temporal_resample=[False], attention_blocks=0)
    sample, given = clip(1, 6, 8, 8, DOUBLE, still=True), conditions("super_resolution", 1, DOUBLE)
    with torch.no_grad():
        wake(net)
        for name, parameter in net.temporal.named_parameters():
            if "time.weight" in name:
                parameter[..., 0] = parameter[..., 2] = 0
        net.temporal.position.out.weight.zero_()
        net.temporal.position.out.bias.zero_()
        alike = net(sample, **given).sample
        wake(net.temporal.position.out)
        apart = net(sample, **given).sample
    assert_same(alike, alike[:, :, :1].expand_as(alike))
    assert (apart.diff(dim=2).abs().amax((0, 1, 3, 4)) > 1e-6).all()


def test_places_count_in_frames_of_the_clip_at_every_level():
    position = FramePosition(16, 4).double()
    of_clip = torch.randn(2, 16, dtype=DOUBLE), torch.randn(2, 3, 4, dtype=DOUBLE)
    whole = position(*of_clip, torch.arange(12)[None])
    assert_same(position(*of_clip, torch.arange(0, 12, 4)[None]), whole[:, ::4])
    assert_same(position(*of_clip, torch.arange(20)[None])[:, :12], whole)
    first = torch.tensor([[0], [5]])
    assert_same(position(*of_clip, first + torch.arange(7))[1], whole[1, 5:])


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("kind", IMAGE_MODELS)
def test_gradients_reach_every_temporal_parameter_and_no_other(kind, checkpointing):
    net = wake(STUNet.inflate(image_model(kind), attention_blocks=2)).train()
    if checkpointing:
        net.enable_gradient_checkpointing()
    frozen = copy.deepcopy(net.spatial.state_dict())
    given = conditions(kind, 2, DOUBLE)
    net(clip(2, 6, 8, 8, DOUBLE, still=False), **given).sample.square().mean().backward()

    without = [name for name, p in net.temporal.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without
    assert all(p.grad is None and not p.requires_grad for p in net.spatial.parameters())
    assert {p for p in net.parameters() if p.requires_grad} == set(net.temporal_parameters())

    before = copy.deepcopy(net.temporal_state_dict())
    torch.optim.AdamW(net.temporal_parameters(), lr=1e-2, weight_decay=0.1).step()
    assert all(not torch.equal(value, before[name]) for name, value in net.temporal_state_dict().items())
    assert all(torch.equal(value, frozen[name]) for name, value in net.spatial.state_dict().items())


def test_a_fresh_net_starts_to_train():
    net = STUNet.inflate(image_model()).train()
    optimiser = torch.optim.Adam(net.temporal_parameters(), lr=1e-2)
    sample, given = clip(1, 8, 8, 8, DOUBLE, still=False), conditions("sd15", 1, DOUBLE)
    target = sample.roll(1, dims=2)
    losses = []
    for _ in range(8):
        loss = (net(sample, **given).sample - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.98 * losses[0]


def test_the_image_model_stays_in_evaluation_mode():
    net = STUNet.inflate(image_model("text_embedding").train()).train()
    assert net.training and net.temporal.training
    assert not any(module.training for module in net.spatial.modules())


def test_save_and_load_are_exact(tmp_path):
    net = wake(STUNet.inflate(image_model("text_embedding", SINGLE), temporal_resample=[False, True]))
    net.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    loaded, report = STUNet.from_pretrained(tmp_path, output_loading_info=True)

    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert loaded.temporal_resample == [False, True]
    assert loaded.state_dict().keys() == net.state_dict().keys()
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in net.state_dict().items())
    assert {p for p in loaded.parameters() if p.requires_grad} == set(loaded.temporal_parameters())
    sample, given = clip(2, 7, 8, 8, SINGLE, still=False), conditions("text_embedding", 2, SINGLE)
    with torch.no_grad():
        assert torch.equal(loaded(sample, **given).sample, net.eval()(sample, **given).sample)


def test_spatial_weights_keep_the_image_models_names():
    unet = image_model()
    names = set(unet.state_dict())
    net = STUNet.inflate(unet)
    assert {name for name in net.state_dict() if name.startswith("spatial.")} == {
        f"spatial.{n}" for n in names
    }
    assert set(net.temporal_state_dict()) == {n for n in net.state_dict() if not n.startswith("spatial.")}


EXTRAS = {
    "frame_position": (FramePosition, "temporal.position."),
    "text_pooling": (TextPooling, "temporal.position.text."),
    "placed_modulation": (PlacedModulation, "slopes_in"),
}


@pytest.mark.parametrize("off", [*([name] for name in EXTRAS), list(EXTRAS)], ids="-".join)
def test_layers_that_are_not_the_papers_can_be_left_out(off, tmp_path):
    unet = image_model("text_embedding")
    sample, given = clip(2, 5, 8, 8, DOUBLE, still=False), conditions("text_embedding", 2, DOUBLE)
    expected = image_by_image(unet, sample, given)
    options = dict.fromkeys(off, False)
    net = STUNet.inflate(unet, temporal_resample=[False] * 2, **options)
    with torch.no_grad():
        assert_same(net(sample, **given).sample, expected)
    for name in off:
        kind, key = EXTRAS[name]
        assert not [module for module in net.modules() if isinstance(module, kind)]
        assert not [entry for entry in net.state_dict() if key in entry]
    full = STUNet.inflate(image_model("text_embedding"), temporal_resample=[False] * 2)
    assert net.temporal_state_dict().keys() < full.temporal_state_dict().keys()

    wake(net).train()
    loss = (net(sample, **given).sample - sample.roll(1, 2)).square().mean()
    loss.backward()
    assert all(p.grad is not None for p in net.temporal_parameters())
    torch.optim.SGD(net.temporal_parameters(), lr=1e-3).step()
    net.save_pretrained(tmp_path)
    with torch.no_grad():
        made = net(sample, **given).sample
        assert (made - sample.roll(1, 2)).square().mean() < loss
        loaded = STUNet.from_pretrained(tmp_path, torch_dtype=DOUBLE)
        torch.testing.assert_close(loaded(sample, **given).sample, made)
    saved = loaded.state_dict()
    assert all(torch.equal(weight, saved[name]) for name, weight in net.state_dict().items())


def test_without_its_place_a_frame_is_the_same_at_any_time():
    net = wake(STUNet.inflate(image_model(), frame_position=False))
    sample, given = clip(1, 4, 8, 8, DOUBLE, still=False), conditions("sd15", 1, DOUBLE)
    with torch.no_grad():
        assert torch.equal(net(sample, **given, first_frame=9).sample, net(sample, **given).sample)


def test_from_config_builds_the_same_net():
    net = STUNet.inflate(image_model(), attention_blocks=2)
    other = STUNet.from_config(net.config)
    assert {n: v.shape for n, v in other.state_dict().items()} == {
        n: v.shape for n, v in net.state_dict().items()
    }


def test_channels_last_and_autocast():
    net = wake(STUNet.inflate(image_model(dtype=SINGLE)))
    sample, given = clip(2, 7, 9, 11, SINGLE, still=False), conditions("sd15", 2, SINGLE)
    with torch.no_grad():
        expected = net(sample, **given).sample
        net.to(memory_format=torch.channels_last)
        assert_same(net(sample, **given).sample, expected)
        with torch.autocast("cpu", torch.bfloat16):
            out = net(sample, **given).sample
    torch.testing.assert_close(out.float(), expected, rtol=0.1, atol=0.1)


def test_without_attention_the_coarsest_level_has_convolution_too():
    net = wake(STUNet.inflate(image_model("super_resolution"), attention_blocks=0))
    assert not [m for m in net.modules() if isinstance(m, temporal.TemporalAttentionBlock)]
    assert len([m for m in net.modules() if isinstance(m, temporal.TemporalConvBlock)]) == 7
    sample, given = clip(1, 40, 8, 8, DOUBLE, still=False), conditions("super_resolution", 1, DOUBLE)
    other = sample.clone()
    other[:, :, -1] = 0
    with torch.no_grad():
        changed = (net(sample, **given).sample - net(other, **given).sample).abs().amax(dim=(0, 1, 3, 4))
    assert changed[-1] > 1e-6 and changed[0] == 0, "what a frame sees is limited"


def test_training_in_channels_last_gives_the_same_gradients():
    """PyTorch's affine GroupNorm crashes here, so a temporal block must not have one."""
    net = wake(STUNet.inflate(image_model())).train()
    sample, given = clip(1, 3, 8, 8, DOUBLE, still=False), conditions("sd15", 1, DOUBLE)
    gradients = []
    for layout in (torch.contiguous_format, torch.channels_last):
        net.to(memory_format=layout).zero_grad()
        net(sample, **given).sample.square().mean().backward()
        gradients.append([parameter.grad.clone() for parameter in net.temporal_parameters()])
    for contiguous, channels_last in zip(*gradients, strict=True):
        assert_same(channels_last, contiguous)


@pytest.mark.parametrize("frames", [8, 5])
def test_an_untrained_condition_changes_nothing_and_a_trained_one_its_frames(frames):
    net = STUNet.inflate(image_model(), condition_channels=7)
    sample, given = clip(1, frames, 8, 8, DOUBLE, still=False), conditions("sd15", 1, DOUBLE)
    condition = torch.randn(1, 7, frames, 8, 8, dtype=DOUBLE)
    with torch.no_grad():
        plain = net(sample, **given).sample
        assert torch.equal(net(sample, **given, condition=condition).sample, plain)
        torch.nn.init.normal_(net.temporal.condition.weight)
        assert torch.equal(net(sample, **given).sample, plain)
        assert torch.equal(net(sample, **given, condition=torch.zeros_like(condition)).sample, plain)
        assert not torch.allclose(net(sample, **given, condition=condition).sample, plain)
    assert "temporal.condition.weight" in dict(net.named_parameters())
    with pytest.raises(InputError, match="the condition has 6 channels; the net takes 7"):
        net(sample, **given, condition=condition[:, :6])
    with pytest.raises(InputError, match="condition_channels is -1"):
        STUNet.inflate(image_model(), condition_channels=-1)


def test_a_number_is_a_timestep_for_all():
    net = STUNet.inflate(image_model())
    sample, given = clip(2, 2, 8, 8, DOUBLE, still=False), conditions("sd15", 2, DOUBLE)
    context = given["encoder_hidden_states"]
    assert_same(net(sample, 7, context).sample, net(sample, torch.tensor([7, 7]), context)[0])
    assert torch.equal(net(sample, 7, context, return_dict=False)[0], net(sample, 7, context).sample)


def test_what_does_not_fit_is_refused():
    unet = image_model()
    with pytest.raises(InputError, match="needs 3"):
        STUNet.inflate(unet, temporal_resample=[True])
    with pytest.raises(InputError, match="at least 0"):
        STUNet.inflate(unet, attention_blocks=-1)
    other = {
        **IMAGE_MODELS["sd15"],
        "down_block_types": ("KDownBlock2D",) * 4,
        "up_block_types": ("KUpBlock2D",) * 4,
    }
    with pytest.raises(InputError, match="KDownBlock2D"):
        STUNet(other)
    with pytest.raises(InputError, match="has dual_cross_attention"):
        STUNet({**IMAGE_MODELS["sd15"], "dual_cross_attention": True})
    with pytest.raises(InputError, match="5 channels"):
        STUNet.inflate(unet)(torch.zeros(1, 5, 2, 8, 8), 0, torch.zeros(1, 5, 8))
