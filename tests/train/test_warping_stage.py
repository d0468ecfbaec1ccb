from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_shards import SIDE

from lumiere.errors import InputError
from lumiere.models.codec import PatchCodec
from lumiere.models.warping import WarpNet
from lumiere.train.config import Data, Soften, WarpConfig, WarpModel
from lumiere.train.draw import draws
from lumiere.train.warping import WarpStage, misplaced, softened


@pytest.fixture
def config(shards: Path, tmp_path: Path) -> WarpConfig:
    PatchCodec(4).save_pretrained(tmp_path / "codec")
    data = Data(clips=(f"{shards}/train-clips-*.tar",), size=(SIDE, SIDE), frames=6, batch_size=2)
    return WarpConfig("tiny", str(tmp_path / "codec"), data=data, seen=4, model=WarpModel((8, 16), 16))


def test_batches_show_what_is_to_be_made(config: WarpConfig) -> None:
    stage = WarpStage(config, torch.device("cpu"))
    for step in range(12):
        nearest, video, given, known = stage.prepare(stage.load(step, range(2 * step, 2 * step + 2)))
        assert nearest.shape == video.shape == (2, 3, 4, SIDE, SIDE) and given.shape == (2, 1, 4, SIDE, SIDE)
        assert known.shape == given.shape and bool((known >= given).all())
        assert torch.equal(torch.where(given > 0, video, nearest), nearest), "what is given is near itself"
        assert not given.flatten(1).all(1).any()


def test_it_learns_and_is_exported(config: WarpConfig, tmp_path: Path) -> None:
    torch.manual_seed(0)
    stage = WarpStage(config, torch.device("cpu"))
    batch = stage.prepare(stage.load(0, range(2)))
    optimizer = torch.optim.Adam(stage.net.parameters(), lr=3e-3)

    def loss() -> torch.Tensor:
        return stage(*batch, draws(torch.device("cpu"), 0, range(2), 2))

    before = loss().item()
    for _ in range(30):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < 0.8 * before
    stage.export(tmp_path / "model")
    assert isinstance(WarpNet.from_pretrained(tmp_path / "model"), WarpNet)
    stage.draw_samples(tmp_path)
    assert (tmp_path / "restored.png").exists()


def test_more_frames_than_there_are_cannot_be_seen(config: WarpConfig) -> None:
    with pytest.raises(InputError, match=r"seen is 7; give 1 to data\.frames, which is 6"):
        WarpStage(replace(config, seen=7), torch.device("cpu"))


def test_clips_are_softened_up_to_what_is_asked() -> None:
    video, codec = torch.rand(1, 3, 4, 16, 16) * 2 - 1, PatchCodec(4)
    same = softened(codec, video, Soften(0.0, 0.0), torch.Generator().manual_seed(0))
    assert torch.allclose(same, video, atol=1e-6)
    errors = [
        (softened(codec, video, Soften(0.0, noise), torch.Generator().manual_seed(0)) - video).abs().mean()
        for noise in (0.1, 0.5)
    ]
    assert 0 < errors[0] < errors[1]


def _block(column: int) -> torch.Tensor:
    video = torch.zeros(1, 3, 1, 64, 64)
    video[..., 24:40, column : column + 16] = 1
    return video


def test_what_has_gone_far_is_found() -> None:
    """By gradient descent alone, from no transport, for a block that is nowhere over its old place."""
    moves = torch.zeros(1, 3, 1, 8, 8, requires_grad=True)
    before = misplaced(_block(8), _block(40), moves)
    optimizer = torch.optim.Adam([moves], lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        error = misplaced(_block(8), _block(40), moves)
        error.backward()
        optimizer.step()
    assert error < before / 3
    assert moves[0, 0, 0, 3:5, 5:7].mean().item() == pytest.approx(-0.5, abs=0.1)
    assert moves.grad is not None and not moves.grad[0, 2].any(), "the share is not its business"
