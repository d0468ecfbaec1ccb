"""An image model that no longer hears motion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lumiere.errors import InputError
from lumiere.train.at_rest import AtRestStage
from lumiere.train.config import AtRestConfig, Data, Text
from lumiere.train.draw import draws

CPU = torch.device("cpu")


@pytest.fixture
def config(shards: Path, image: Path) -> AtRestConfig:
    data = Data(clips=(f"{shards}/train-clips-*.tar",), size=(32, 32), batch_size=4)
    return AtRestConfig("tiny", f"{image}/codec", init=f"{image}/unet", data=data, text=Text(24, 2.0))


def test_a_prompt_with_motion_comes_to_draw_what_it_draws_without(config: AtRestConfig) -> None:
    stage = AtRestStage(config, CPU)
    net, says = stage.net, stage.encode.text
    with torch.no_grad():  # fresh models hardly hear anything
        for name, weight in [*net.named_parameters(), *stage.teacher.__self__.named_parameters()]:
            if "attn2.to_v" in name:
                weight *= 30
    plain, said = says(["a red block on a white background", "a red block spinning on a white background"])
    x, t = torch.randn(4, 48, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([500])

    def drawn(text: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return net(x, t, text.expand(4, -1, -1), return_dict=False)[0]

    before, gap = drawn(plain), (drawn(said) - drawn(plain)).square().mean()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-4)
    for step in range(40):
        samples = range(4 * step, 4 * step + 4)
        optimizer.zero_grad()
        stage(*stage.prepare(stage.load(step, samples)), draws(CPU, 0, samples, 4)).backward()
        optimizer.step()
    assert (drawn(said) - before).square().mean() < 0.5 * gap


def test_nothing_is_to_be_learnt_of_captions_without_motion(config: AtRestConfig) -> None:
    stage = AtRestStage(config, CPU)
    latents, context = stage.prepare(stage.load(0, range(4)))
    plain = context.chunk(2, dim=2)[1]
    assert stage(latents, torch.cat([plain, plain], dim=2), draws(CPU, 0, range(4), 4)) == 0


def test_there_must_be_a_model_to_teach(config: AtRestConfig) -> None:
    with pytest.raises(InputError, match="init is empty"):
        AtRestStage(replace(config, init=""), CPU)
