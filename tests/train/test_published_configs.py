"""The configurations that go on from published temporal weights, on tiny random ones."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from families import save_family
from lumiere.cli import main
from lumiere.train.config import load
from lumiere.train.loop import Trainer
from motion_weights import make_modelscope, save_original

CONFIGS = Path(__file__).parents[2] / "configs" / "published"
SMALL = ("data.size=[32,32]", "data.frames=5", "data.buckets=false", "optim.accumulate=1", "samples.steps=1")


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A folder with what the comments of the configurations start from."""
    save_family("sd1", tmp_path / "stable-diffusion-v1-5")
    save_original("v3", tmp_path / "v3_sd15_mm.safetensors")
    make_modelscope().save_pretrained(tmp_path / "zeroscope_v2_576w")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIGS.glob("*.toml")))
def test_it_goes_on_from_what_its_comment_inflates(name, published, shards, tmp_path):
    text = (CONFIGS / name).read_text()
    commands = re.sub(r"\\\n#", "", text)
    (inflate,) = re.findall(r"^#\s+lumiere (inflate .*)$", commands, re.MULTILINE)
    with pytest.raises(SystemExit) as caught:
        main(shlex.split(inflate))
    assert not caught.value.code
    changes = [f'data.clips=["{shards}/train-clips-*.tar"]', 'data.cache=""', "samples.frames=5", *SMALL]
    run = Trainer(load(CONFIGS / name, [*changes, f"run.out={tmp_path}/run", "run.device=cpu"]), dry_run=True)
    assert run.stage.net.config.adopted and run.stage.net.temporal_factor == 8
    assert run.trained and all(name.startswith("temporal.") for name in run.trained)
    batches = run.batches()
    assert run.one_step([next(batches)], 1e-4).isfinite()
    batches.close()
