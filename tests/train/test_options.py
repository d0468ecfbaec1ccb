"""Options of a run: optimisers, gradient checkpointing, stills among clips, trackers, a dry run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from lumiere.cli.train import command
from lumiere.errors import InputError
from lumiere.train.config import load
from lumiere.train.loop import Trainer


def trainer(config: Path, out: Path, *overrides: str, resume: bool = False) -> Trainer:
    return Trainer(load(config, [f"run.out={out}", "samples.frames=0", *overrides]), resume=resume)


def stepped(run: Trainer, steps: int) -> list[float]:
    """The losses of some steps."""
    batches = run.batches()
    try:
        return [run.one_step([next(batches)], 3e-3).item() for _ in range(steps)]
    finally:
        batches.close()


def test_recomputed_activations_change_no_loss(temporal_config, tmp_path):
    plain = stepped(trainer(temporal_config, tmp_path / "a"), 3)
    saving = trainer(temporal_config, tmp_path / "b", "run.gradient_checkpointing=true")
    assert saving.stage.net.is_gradient_checkpointing
    assert stepped(saving, 3) == pytest.approx(plain, rel=1e-5)


def test_some_steps_see_stills_and_all_of_a_step_the_same(temporal_config, tmp_path):
    stage = trainer(temporal_config, tmp_path, "data.still_share=0.5").stage
    lengths = [{len(media) for media, _ in stage.load(step, range(4)).loaded} for step in range(40)]
    assert all(len(each) == 1 for each in lengths)
    assert {1} in lengths and {5} in lengths and 8 <= lengths.count({1}) <= 32
    every, half = (stage.load(3, samples).loaded for samples in (range(12, 16), range(14, 16)))
    assert [text for _, text in every[2:]] == [text for _, text in half]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.still_share=2", '"data.still_share" is 2.0; it must be from 0.0 to 1.0'),
        ("data.stills=[]", '"data.still_share" is 0.3, and "data.stills" names no shards'),
        ("stage=conditioned", '"data.still_share" is 0.3, which is for the stage temporal, not conditioned'),
        ("run.device=gpu", "\"run.device\" is 'gpu'; it must be one of '', 'cpu'"),
        ("run.trackers=tensorboard", "it must be a list of 'tensorboard' or 'wandb'"),
        ('run.trackers=["board"]', "\"run.trackers\" is 'board'; it must be one of 'tensorboard', 'wandb'"),
        (
            "optim.optimizer=Lion",
            "\"optim.optimizer\" is 'Lion'; it must be one of 'AdamW', 'AdamW8bit', 'Muon'",
        ),
    ],
)
def test_what_contradicts_or_is_not_there_is_refused(temporal_config, override, message):
    with pytest.raises(InputError, match=re.escape(message)):
        load(temporal_config, [override])


def test_what_is_not_installed_is_named(temporal_config, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    with pytest.raises(InputError, match=r"AdamW8bit.* pip install bitsandbytes"):
        trainer(temporal_config, tmp_path, "optim.optimizer=AdamW8bit")
    monkeypatch.setattr("lumiere.train.log.find_spec", lambda name: None)
    with pytest.raises(InputError, match="names wandb, which is not installed: pip install wandb"):
        trainer(temporal_config, tmp_path, 'run.trackers=["wandb"]')


def test_a_net_that_cannot_recompute_says_so(codec_config, tmp_path):
    with pytest.raises(InputError, match="a PatchAutoencoder cannot recompute its activations"):
        Trainer(load(codec_config, ["run.gradient_checkpointing=true"]))


@pytest.mark.parametrize("optimizer", ["AdamW8bit", "Muon"])
def test_the_state_of_an_optimizer_survives_a_checkpoint(temporal_config, tmp_path, optimizer):
    if optimizer == "AdamW8bit":
        pytest.importorskip("bitsandbytes")
    settings = [f"optim.optimizer={optimizer}", "optim.cooldown=0"]
    whole = trainer(temporal_config, tmp_path / "whole", *settings, "run.max_steps=6")
    assert whole.run() == 0
    states = list(whole.optimizer.state.values())
    if optimizer == "Muon":
        assert {key for state in states for key in state} == {"momentum", "step", "exp_avg", "exp_avg_sq"}
    else:
        assert torch.uint8 in {v.dtype for state in states for v in state.values() if not isinstance(v, int)}
    assert trainer(temporal_config, tmp_path / "half", *settings, "run.max_steps=3").run() == 0
    resumed = trainer(temporal_config, tmp_path / "half", *settings, "run.max_steps=6", resume=True)
    assert resumed.step == 3 and resumed.run() == 0
    for name, parameter in resumed.trained.items():
        assert torch.equal(parameter, whole.trained[name])


def test_a_dry_run_measures_and_leaves_nothing(temporal_config, tmp_path):
    out = tmp_path / "run"
    arguments = [
        str(temporal_config),
        "--dry-run",
        "--out",
        str(out),
        "--set",
        f"data.cache={tmp_path}/cache",
    ]
    result = CliRunner().invoke(command, [*arguments, "--max-train-time", "0:30:00"], standalone_mode=False)
    assert result.exception is None and result.return_value == 0
    said = re.fullmatch(
        r"parameters  ([\d,]+) trained, ([\d,]+) frozen\n"
        r"memory      ([\d.]+) GB at its highest, a process\n"
        r"step        ([\d.]+) s for 4 clips: data.batch_size 4 x optim.accumulate 1 x processes 1\n"
        r"run         7 steps in 0:\d\d:\d\d, without samples and checkpoints\n",
        result.output,
    )
    net = trainer(temporal_config, tmp_path / "other").stage.net
    counts = [int(number.replace(",", "")) for number in said.groups()[:2]]
    temporal, image = (sum(p.numel() for p in part.parameters()) for part in (net.temporal, net.spatial))
    assert counts == [temporal, image]
    assert 0.05 < float(said[3]) < 20 and 0 < float(said[4]) < 60
    assert not out.exists() and not (tmp_path / "cache").exists()


@pytest.mark.parametrize(("text", "minutes"), [("90", 90), ("0.5", 0.5), ("1:30:00", 90), ("0:00:30", 0.5)])
def test_time_is_minutes_or_a_clock(text, minutes, monkeypatch, tmp_path):
    given = {}
    monkeypatch.setattr(
        "lumiere.train.config.load", lambda path, overrides: given.update(all=overrides) or 1 / 0
    )
    CliRunner().invoke(command, ["c.toml", "--max-train-time", text])
    assert given["all"] == [f"run.max_minutes={float(minutes)}"]


@pytest.mark.parametrize("text", ["0", "-5", "1:75:00", "1:30", "an hour", "nan", "0:00:00"])
def test_what_is_no_time_is_refused(text):
    result = CliRunner().invoke(command, ["c.toml", "--max-train-time", text])
    assert (
        result.exit_code == 2
        and f"{text!r} is not a duration; give minutes, such as 90, or h:mm:ss" in result.output
    )
