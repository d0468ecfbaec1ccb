"""An STUNet behaves as a model of diffusers does: what diffusers' own tests ask of every ``ModelMixin``."""

import inspect
import json

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from lumiere.models.stunet import STUNet, STUNetOutput

IMAGE_MODEL = {
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "norm_num_groups": 2,
    "cross_attention_dim": 8,
    "attention_head_dim": 2,
    "block_out_channels": (4, 8),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
}
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


@pytest.fixture
def net() -> STUNet:
    """Of random weights everywhere, so that no layer is without effect."""
    torch.manual_seed(0)
    made = STUNet.inflate(UNet2DConditionModel(**IMAGE_MODEL), condition_channels=3)
    with torch.no_grad():
        for parameter in made.temporal_parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return made.eval()


def inputs(dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(dtype)

    return {
        "sample": normal(2, 4, 5, 8, 8),
        "timestep": torch.tensor([3, 800]),
        "encoder_hidden_states": normal(2, 6, 8),
        "condition": normal(2, 3, 5, 8, 8),
    }


@torch.no_grad()
def output(net: STUNet, dtype: torch.dtype = torch.float32) -> Tensor:
    return net(**inputs(dtype)).sample


def test_the_first_arguments_are_sample_and_timestep():
    assert list(inspect.signature(STUNet.forward).parameters)[1:4] == [
        "sample",
        "timestep",
        "encoder_hidden_states",
    ]


def test_output_is_determined_shaped_as_the_sample_and_finite(net):
    first = output(net)
    assert torch.equal(first, output(net))
    assert first.shape == inputs()["sample"].shape and first.isfinite().all()


def test_a_tuple_holds_what_the_output_class_does(net):
    with torch.no_grad():
        named, plain = net(**inputs()), net(**inputs(), return_dict=False)
    assert isinstance(named, STUNetOutput) and isinstance(plain, tuple) and len(plain) == 1
    assert torch.equal(named.sample, plain[0])
    assert torch.equal(named[0], plain[0]) and torch.equal(named["sample"], plain[0])
    assert torch.equal(named.to_tuple()[0], plain[0])


@pytest.mark.parametrize("options", [{}, {"variant": "fp16"}, {"max_shard_size": "20KB"}], ids=str)
@pytest.mark.parametrize("low_cpu_mem_usage", [True, False])
def test_a_saved_net_is_loaded_whole(net, options, low_cpu_mem_usage, tmp_path):
    net.save_pretrained(tmp_path, **options)
    if "max_shard_size" in options:
        assert len(list(tmp_path.glob("*.safetensors"))) > 1
    variant = options.get("variant")
    if variant:
        with pytest.raises(OSError):
            STUNet.from_pretrained(tmp_path)
    loaded, report = STUNet.from_pretrained(
        tmp_path, variant=variant, low_cpu_mem_usage=low_cpu_mem_usage, output_loading_info=True
    )
    assert not any(report.values())
    assert not loaded.training
    assert torch.equal(output(loaded), output(net))
    assert [p.requires_grad for p in loaded.parameters()] == [p.requires_grad for p in net.parameters()]


@pytest.mark.parametrize("dtype", DTYPES)
def test_types_are_saved_loaded_and_changed(net, dtype, tmp_path):
    net.save_pretrained(tmp_path / "full")
    net.to(dtype)
    assert net.dtype == dtype and {p.dtype for p in net.parameters()} == {dtype}
    net.save_pretrained(tmp_path / "saved")
    as_saved = STUNet.from_pretrained(tmp_path / "full", torch_dtype=dtype)
    assert {p.dtype for p in as_saved.parameters()} == {dtype}
    again = STUNet.from_pretrained(tmp_path / "saved", torch_dtype=dtype)
    made = output(net, dtype)
    assert made.dtype == dtype and made.isfinite().all()
    assert torch.equal(output(as_saved, dtype), made) and torch.equal(output(again, dtype), made)


def test_half_precision_is_close_to_single(net):
    single = output(net)
    half = output(net.to(torch.bfloat16), torch.bfloat16)
    torch.testing.assert_close(half.float(), single, rtol=0.1, atol=0.1)


def test_the_configuration_makes_a_round_trip(net, tmp_path):
    net.save_config(tmp_path)
    loaded = STUNet.load_config(tmp_path)
    again = STUNet.from_config(loaded)
    again.save_config(tmp_path / "again")
    first, second = ((folder / "config.json").read_text() for folder in (tmp_path, tmp_path / "again"))
    assert json.loads(first) == json.loads(second)
    assert json.loads(first)["_class_name"] == "STUNet"
    assert again.state_dict().keys() == net.state_dict().keys()


def test_every_option_is_in_the_configuration(net):
    options = set(inspect.signature(STUNet.__init__).parameters) - {"self"}
    assert options == {name for name in net.config if not name.startswith("_")}
    assert options - {"spatial_config"} == set(inspect.signature(STUNet.inflate).parameters) - {"unet2d"}


def test_a_step_of_training_changes_temporal_weights_alone(net):
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    loss = torch.nn.functional.mse_loss(net(**inputs()).sample, torch.zeros(2, 4, 5, 8, 8))
    loss.backward()
    torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=1e-2).step()
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    # Softmax ignores what is added to all keys.
    assert changed | {"temporal.position.text.key.bias"} == net.temporal_state_dict().keys()
    assert torch.nn.functional.mse_loss(output(net), torch.zeros(2, 4, 5, 8, 8)) < loss


def test_gradient_checkpointing_changes_no_gradient(net):
    def gradients() -> list[Tensor]:
        net.zero_grad()
        net(**inputs()).sample.square().mean().backward()
        return [parameter.grad.clone() for parameter in net.temporal_parameters()]

    net.train()
    assert not net.is_gradient_checkpointing
    plain = gradients()
    net.enable_gradient_checkpointing()
    assert net.is_gradient_checkpointing and net.gradient_checkpointing
    saved = gradients()
    net.disable_gradient_checkpointing()
    assert not net.is_gradient_checkpointing
    for one, other in zip(plain, saved, strict=True):
        torch.testing.assert_close(one, other)


def test_training_in_autocast(net):
    net.train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = net(**inputs()).sample.float().square().mean()
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in net.temporal_parameters())


def test_attention_processors_of_the_image_model_can_be_replaced(net):
    before = output(net)
    net.spatial.set_attn_processor(AttnProcessor())
    torch.testing.assert_close(output(net), before, rtol=1e-4, atol=1e-5)


def test_layerwise_casting_keeps_weights_small(net):
    before = output(net)
    net.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    assert torch.float8_e4m3fn in {parameter.dtype for parameter in net.parameters()}
    made = output(net)
    assert made.isfinite().all() and (made - before).abs().mean() < before.abs().mean()
