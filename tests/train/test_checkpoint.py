from __future__ import annotations

import os

import pytest
import torch

from lumiere.errors import InputError
from lumiere.train.checkpoint import Checkpoint, all_in, check_same, load_latest, save

CONFIG = {
    "seed": 0,
    "optim.lr": 0.1,
    "optim.accumulate": 2,
    "data.batch_size": 4,
    "run.max_steps": 10,
    "data.workers": 1,
}


def at(step: int) -> Checkpoint:
    weight = torch.arange(6.0).view(2, 3).t() + step  # not contiguous, as channels_last ones are not
    return Checkpoint(
        step, 1.5 * step, CONFIG, {"codec": "abc"}, 8, {"w": weight}, {"w": -weight}, {"w.step": weight}
    )


def test_what_is_saved_comes_back_and_the_oldest_go(tmp_path):
    for step in (5, 10, 15):
        save(tmp_path, at(step), keep=2)
    assert [path.name for path in all_in(tmp_path)] == ["step-00000015", "step-00000010"]
    found = load_latest(tmp_path, pytest.fail)
    assert (found.step, found.seconds, found.config) == (15, 22.5, CONFIG)
    assert torch.equal(found.weights["w"], at(15).weights["w"])
    assert torch.equal(found.ema["w"], at(15).ema["w"])
    assert {path.suffix for path in all_in(tmp_path)[0].iterdir()} == {".safetensors", ".json"}


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, name, damage):
    save(tmp_path, at(5), keep=2)
    path = save(tmp_path, at(10), keep=2) / name
    if damage == "remove":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size - 20)
    warnings: list[str] = []
    found = load_latest(tmp_path, warnings.append)
    assert found.step == 5
    assert len(warnings) == 1 and "step-00000010 is damaged" in warnings[0]


def test_nothing_whole_is_an_error_and_nothing_at_all_is_not(tmp_path):
    assert load_latest(tmp_path, pytest.fail) is None
    os.truncate(save(tmp_path, at(5), keep=1) / "ema.safetensors", 30)
    with pytest.raises(InputError, match=r"every checkpoint in .* is damaged"):
        load_latest(tmp_path, lambda _: None)


def test_a_save_that_fails_leaves_the_others_alone(tmp_path, monkeypatch):
    save(tmp_path, at(5), keep=1)
    monkeypatch.setattr("lumiere.train.checkpoint.sha256", lambda _: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        save(tmp_path, at(10), keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005"]


def test_another_configuration_is_refused_by_the_key(tmp_path):
    check_same(at(5), CONFIG | {"run.max_steps": 99, "data.workers": 8}, {"codec": "abc"})
    with pytest.raises(InputError, match=r"optim\.lr = 0\.1, not 0\.2 as the configuration says"):
        check_same(at(5), CONFIG | {"optim.lr": 0.2}, {"codec": "abc"})
    with pytest.raises(InputError, match="the codec has changed"):
        check_same(at(5), CONFIG, {"codec": "other"})


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "advice"),
    [
        (4, 1, "set optim.accumulate to 2"),
        (2, 2, "set optim.accumulate to 4"),
        (3, 3, "use as many"),
    ],
)
def test_the_samples_of_a_step_stay_as_many(batch_size, accumulate, advice):
    for same in ({"data.batch_size": 2}, {"data.batch_size": 1, "optim.accumulate": 4}):
        check_same(at(5), CONFIG | same, {"codec": "abc"}, processes=2)
    other = CONFIG | {"data.batch_size": batch_size, "optim.accumulate": accumulate}
    with pytest.raises(
        InputError, match=f"with 8 samples a step, not {batch_size * accumulate}, .*; {advice}"
    ):
        check_same(at(5), other, {"codec": "abc"})
