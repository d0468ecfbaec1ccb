"""Motion LoRAs, of AnimateDiff's layouts, change the temporal layers as diffusers has them."""

from __future__ import annotations

import pytest
import torch
from diffusers import AnimateDiffPipeline, UNetMotionModel
from safetensors.torch import save_file

from families import random_model, tiny_configuration
from lumiere.errors import InputError
from lumiere.io.checkpoints.motion import read_motion
from lumiere.models.stunet import STUNet
from lumiere.style import Style, applied_style
from motion_weights import make_adapter, save_original

PARTS = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out.0": "to_out"}


def pairs(adapter):
    """Rank 2, of every attention of every module, by the name of the layer in diffusers."""
    random = torch.Generator().manual_seed(5)
    return {
        f"{name}.{layer}": tuple(0.3 * torch.randn(size, generator=random) for size in ((2, c), (c, 2)))
        for name, module in adapter.named_modules()
        if name.endswith((".attn1", ".attn2"))
        for layer in PARTS
        for c in [module.to_q.in_features]
    }


def save_lora(layout, adapter, path):
    state = {}
    for name, (down, up) in pairs(adapter).items():
        module, _, layer = name.partition(".to_")
        old = PARTS[f"to_{layer}"] + "_lora"
        if layout == "original":
            module = module.replace(".transformer_blocks", ".temporal_transformer.transformer_blocks")
            module = module.replace("attn1", "attention_blocks.0").replace("attn2", "attention_blocks.1")
            state[f"module.{module}.processor.{old}.down.weight"] = down
            state[f"module.{module}.processor.{old}.up.weight"] = up
        elif layout == "diffusers":
            state[f"unet.{module}.processor.{old}.down.weight"] = down
            state[f"unet.{module}.processor.{old}.up.weight"] = up
        elif layout == "peft":
            state[f"unet.{name}.lora_A.weight"], state[f"unet.{name}.lora_B.weight"] = down, up
        else:
            state[f"{name}.lora_down.weight"], state[f"{name}.lora_up.weight"] = down, 4 * up
            state[f"{name}.alpha"] = torch.tensor(0.5)
    save_file(state, path)
    return path


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """diffusers' net and ours, and the adapter that both have."""
    from diffusers import UNet2DConditionModel

    folder = tmp_path_factory.mktemp("nets")
    unet = random_model(UNet2DConditionModel, **tiny_configuration("sd1")["unet"])
    adapter = make_adapter("v2")
    theirs = UNetMotionModel.from_unet2d(unet, adapter).eval()
    adopted = read_motion(save_original("v2", folder / "v2.safetensors"))
    net = STUNet.inflate(unet, adopted=adopted.config)
    adopted.give_to(net)
    return theirs, net.eval(), adapter


@torch.no_grad()
def predicted(net):
    random = torch.Generator().manual_seed(1)
    x, text = torch.randn(1, 4, 6, 8, 8, generator=random), torch.randn(1, 7, 8, generator=random)
    if isinstance(net, UNetMotionModel):
        return net(x, 500, text.repeat_interleave(6, 0)).sample
    return net(x, 500, text).sample


@pytest.mark.parametrize("layout", ["original", "diffusers", "peft", "scaled"])
def test_all_layouts_give_diffusers_net(nets, tmp_path, layout):
    theirs, net, adapter = nets
    state = AnimateDiffPipeline.lora_state_dict(save_lora("peft", adapter, tmp_path / "lora.safetensors"))
    plain = predicted(net)
    style = Style.from_pretrained(save_lora(layout, adapter, tmp_path / "zoom.safetensors"))
    theirs.load_lora_adapter(state[0], prefix="unet", adapter_name="zoom")
    try:
        for alpha in (1.0, 0.4):
            theirs.set_adapters(["zoom"], [alpha])
            with applied_style(net, style, alpha):
                made = predicted(net)
            torch.testing.assert_close(made, predicted(theirs), atol=1e-5, rtol=0)
            assert (made - plain).abs().max() > 1e-2
    finally:
        theirs.unload_lora()
    assert torch.equal(predicted(net), plain)


def test_a_lora_of_other_layers_is_refused(nets, tmp_path, make_pipe):
    _, net, adapter = nets
    style = Style.from_pretrained(save_lora("original", adapter, tmp_path / "zoom.safetensors"))
    with pytest.raises(InputError, match=r"the motion LoRA zoom was made for other .* no temporal\."):
        style.weights(make_pipe().unet)
    wide = {name: torch.zeros(99, 99) for name in style.lora}
    with pytest.raises(InputError, match=r"is \(99, 99\) there, and of this model \(8, 8\)"):
        Style(wide).weights(net)


def test_half_a_pair_is_refused(nets, tmp_path):
    name = "down_blocks.0.motion_modules.0.transformer_blocks.0.attn1.to_q"
    for other in ({}, {f"{name}.lora_B.weight": torch.zeros(8, 3)}):
        save_file({f"{name}.lora_A.weight": torch.zeros(2, 8), **other}, tmp_path / "x.safetensors")
        with pytest.raises(InputError, match=r"which it belongs to|of different ranks"):
            Style.from_pretrained(tmp_path / "x.safetensors")


def test_the_command_line_takes_one(nets, tmp_path, capfd):
    from families import save_family
    from lumiere.cli import main

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words)])
        assert ended.value.code == 0, capfd.readouterr().err

    lora = save_lora("original", nets[2], tmp_path / "v2_lora_ZoomIn.safetensors")
    motion = save_original("v2", tmp_path / "mm_sd_v15_v2.safetensors")
    model = tmp_path / "model"
    run("inflate", save_family("sd1", tmp_path / "sd1"), "--motion", motion, "--out", model)
    common = ("--model", model, "--seed", 1, "--steps", 1, "--frames", 4, "--device", "cpu")
    for name, more in (("plain", ()), ("zoom", ("--lora", lora, "--lora-scale", 0.5))):
        run("generate", "a cat", *common, *more, "--out", tmp_path / f"{name}.mp4")
    from lumiere import Clip

    plain, zoom = (Clip.load(tmp_path / f"{name}.mp4") for name in ("plain", "zoom"))
    assert (plain.frames != zoom.frames).any() and zoom.metadata["alpha"] == 0.5
