from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from lumiere.errors import InputError
from lumiere.models.stunet import STUNet
from lumiere.pipelines.text_to_video import LumierePipeline
from lumiere.style import Style, applied_style
from lumiere.train.config import load
from lumiere.train.loop import Trainer


@pytest.fixture
def trained(image: Path, tmp_path: Path) -> Path:
    """The folder of a space-time net whose temporal layers do something."""
    folder = tmp_path / "trained"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = STUNet.inflate(UNet2DConditionModel.from_pretrained(image / "unet"))
        for parameter in net.temporal_parameters():
            parameter.data.add_(0.05 * torch.randn_like(parameter))
    net.save_pretrained(folder)
    return folder


def trainer(config: Path, out: Path, trained: Path, *overrides: str, resume: bool = False) -> Trainer:
    settings = [f"run.out={out}", f"init={trained}", "lora.rank=4", "run.max_steps=2", "optim.lr=1e-2"]
    settings += ["samples.frames=0", "optim.ema_decay=0", "optim.ema_every=1", *overrides]
    return Trainer(load(config, settings), resume=resume)


def predicted(net: STUNet) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    sample, context = (torch.randn(size, generator=generator) for size in ((1, 48, 5, 8, 8), (1, 12, 384)))
    with torch.no_grad():
        return net.eval()(sample, torch.tensor(500), context).sample


@pytest.mark.parametrize("layers", ["temporal", "spatial"])
def test_low_rank_weights_learn_beside_layers_that_stay(layers, temporal_config, trained, tmp_path):
    run = trainer(temporal_config, tmp_path, trained, f"lora.layers={layers}")
    net, base = run.stage.net, STUNet.from_pretrained(trained)
    torch.testing.assert_close(predicted(net), predicted(base))  # they begin as no change
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    assert run.trained and all(f"{layers}." in name and ".lora_" in name for name in run.trained)
    assert sum(p.numel() for p in run.trained.values()) < sum(p.numel() for p in base.parameters()) / 4
    assert run.run() == 0
    moved = {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}
    assert moved and moved <= run.trained.keys()

    # The model that is exported has them merged; they also stand by themselves
    after = predicted(net)
    merged = LumierePipeline.from_pretrained(tmp_path / "model").unet
    assert merged.state_dict().keys() == base.state_dict().keys()
    torch.testing.assert_close(predicted(merged), after, atol=1e-4, rtol=0)
    assert (after - predicted(base)).abs().max() > 1e-3
    file = load_file(tmp_path / "lora" / "pytorch_lora_weights.safetensors")
    assert len(file) == len(run.trained)
    for net in (base, base.spatial) if layers == "spatial" else (base,):
        with applied_style(net, Style.from_pretrained(tmp_path / "lora")):
            torch.testing.assert_close(predicted(base), after, atol=1e-4, rtol=0)
    if layers == "temporal":
        assert all(name.startswith("unet.temporal.") for name in file)

    again = trainer(temporal_config, tmp_path, trained, f"lora.layers={layers}", resume=True)
    assert all(torch.equal(again.trained[name], value) for name, value in run.trained.items())
    weights = load_file(trained / "diffusion_pytorch_model.safetensors")
    weights["temporal.position.out.bias"] += 1
    save_file(weights, trained / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="the temporal has changed since the checkpoint"):
        trainer(temporal_config, tmp_path, trained, f"lora.layers={layers}", resume=True)


def test_the_layers_that_they_stand_beside_must_be_there(temporal_config):
    with pytest.raises(InputError, match=r'"lora.layers" is .temporal., .* name .* with "init"'):
        load(temporal_config, ["lora.layers=temporal"])
