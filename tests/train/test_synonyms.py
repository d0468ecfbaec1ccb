"""An image model that draws of any wording what it drew of the plain one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lumiere.errors import InputError
from lumiere.train.config import Data, Scenes, SynonymConfig, Text
from lumiere.train.draw import draws
from lumiere.train.synonyms import SynonymStage

CPU = torch.device("cpu")


@pytest.fixture
def config(sprites: Path, image: Path) -> SynonymConfig:
    scenes = Scenes(str(sprites), count=200, synonyms=1.0)
    data = Data(size=(128, 128), batch_size=4)
    return SynonymConfig(
        "tiny",
        f"{image}/codec",
        init=f"{image}/unet",
        scenes=scenes,
        data=data,
        text=Text(scale=2.0),
    )


@pytest.mark.slow
def test_other_words_come_to_draw_what_plain_ones_do(config: SynonymConfig) -> None:
    stage = SynonymStage(config, CPU)
    assert {name.split(".attn2.")[1] for name in stage.trained()} == {"to_k.weight", "to_v.weight"}
    with torch.no_grad():  # fresh models hardly hear anything
        for name, weight in [*stage.net.named_parameters(), *stage.teacher.__self__.named_parameters()]:
            if "attn2.to_v" in name:
                weight *= 30

    def loss(number: int) -> torch.Tensor:
        samples = range(4 * number, 4 * number + 4)
        batch = stage.prepare(stage.load(number, samples))
        return stage(*batch, draws(CPU, 0, samples, 4, together=True))

    def gap() -> float:
        with torch.no_grad():
            return sum(loss(number).item() for number in range(100, 108))

    before, optimizer = gap(), torch.optim.Adam(stage.trained().values(), lr=2e-3)
    for number in range(40):
        optimizer.zero_grad()
        loss(number).backward()
        optimizer.step()
    assert gap() < 0.7 * before


def test_nothing_is_to_be_learnt_of_plain_captions(config: SynonymConfig) -> None:
    stage = SynonymStage(config, CPU)
    latents, context = stage.prepare(stage.load(0, range(4)))
    plain = context.chunk(2, dim=2)[1]
    assert stage(latents, torch.cat([plain, plain], dim=2), draws(CPU, 0, range(4), 4)) == 0


def test_there_must_be_a_model_to_teach(config: SynonymConfig) -> None:
    with pytest.raises(InputError, match="init is empty"):
        SynonymStage(replace(config, init=""), CPU)


def test_it_learns_from_scenes_alone(config: SynonymConfig) -> None:
    with pytest.raises(InputError, match=r"scenes\.sprites is empty"):
        SynonymStage(replace(config, scenes=Scenes()), CPU)
