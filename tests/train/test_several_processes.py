"""One process and two train alike, whatever spreads the work, and go on with each other's runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import several_processes
import torch

from lumiere.errors import InputError
from lumiere.io.video import Clip
from lumiere.pipelines.text_to_video import LumierePipeline
from lumiere.train.config import load

STEPS, KILLED_AT, SAVED_AT = 7, 5, 4  # of temporal_config
TWO_EACH = ["data.batch_size=2"]


def launch(folder: Path, jobs: list[dict]) -> int:
    """The status of the launcher of two processes that do ``jobs``."""
    path = folder / "jobs.json"
    path.write_text(json.dumps(jobs))
    command = "accelerate.commands.accelerate_cli launch --multi_gpu --num_processes 2 --num_machines 1"
    command += " --mixed_precision no --dynamo_backend no --main_process_port 0"
    worker = Path(several_processes.__file__)
    return subprocess.run(
        [sys.executable, "-m", *command.split(), str(worker), str(path)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=open(folder / "stderr.txt", "w"),
        timeout=500,
    ).returncode


def losses(out: Path) -> list[float]:
    return json.loads((out / "losses.json").read_text())


def alone(config: Path, out: Path, *overrides: str, resume: bool = False) -> list[float]:
    trainer = several_processes.Recorded(load(config, [f"run.out={out}", *overrides]), resume=resume)
    assert trainer.run() == 0
    return trainer.losses


@pytest.mark.slow
def test_one_process_and_two_train_alike_and_go_on_with_each_others_runs(temporal_config, tmp_path):
    config = temporal_config
    whole = alone(config, tmp_path / "one")
    assert len(whole) == STEPS and max(whole) - min(whole) > 1e-2
    exact = {"rel": 0, "abs": 1e-4}
    assert alone(config, tmp_path / "accumulated", *TWO_EACH, "optim.accumulate=2") == pytest.approx(
        whole, **exact
    )

    def job(name: str, *overrides: str, **options) -> dict:
        settings = [f"run.out={tmp_path / name}", *TWO_EACH, *overrides]
        return {"config": str(config), "overrides": settings, **options}

    status = launch(
        tmp_path,
        [
            job("ddp"),
            job("fsdp", fsdp=True),
            job("bad", fails_at=3),
            job("killed", fsdp=True, killed_at=KILLED_AT),
        ],
    )
    assert status != 0
    for name in ("ddp", "fsdp"):
        assert losses(tmp_path / name) == pytest.approx(whole, **exact)
        (clip,) = (tmp_path / name / "samples" / f"step-{STEPS:08d}").glob("*.mp4")
        assert len(Clip.load(clip)) == 9
        exported = LumierePipeline.from_pretrained(tmp_path / name / "model").unet.state_dict()
        expected = LumierePipeline.from_pretrained(tmp_path / "one" / "model").unet.state_dict()
        torch.testing.assert_close(exported, expected, rtol=0, atol=1e-3)

    # What one process cannot read ends the run of both, and what was learnt is saved
    errors = [path.read_text() for path in (tmp_path / "bad").glob("error-*.txt")]
    assert errors == ["sample 'x' cannot be decoded"] * 2
    assert (tmp_path / "bad" / "checkpoints" / "step-00000003").is_dir()

    saved = tmp_path / "killed" / "checkpoints"
    assert (
        max(saved.iterdir()).name == f"step-{SAVED_AT:08d}" and not (tmp_path / "killed" / "model").exists()
    )
    for name in ("killed-one", "killed-ddp", "killed-fsdp"):
        shutil.copytree(tmp_path / "killed", tmp_path / name)
    assert alone(config, tmp_path / "killed-one", resume=True) == pytest.approx(whole[SAVED_AT:], **exact)
    with pytest.raises(InputError, match=r"4 samples a step, not 2, as .*; set optim.accumulate to 2"):
        alone(config, tmp_path / "killed", *TWO_EACH, resume=True)
    resumed = [job("killed-ddp", resume=True), job("killed-fsdp", resume=True, fsdp=True)]
    assert launch(tmp_path, resumed) == 0
    for name in ("killed-ddp", "killed-fsdp"):
        assert losses(tmp_path / name) == pytest.approx(whole[SAVED_AT:], **exact)
