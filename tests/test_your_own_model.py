"""The commands of docs/your-own-model.md, each as it stands there, on videos and a model that are small."""

from __future__ import annotations

import json
import math
import re
import shlex
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from families import save_family
from lumiere import Clip, LumierePipeline
from lumiere.cli import main
from lumiere.train.dataset import CLIPS, Pictures
from movies import add_sound, heard, smooth_frames, write_movie

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "your-own-model.md"
CONFIG = ROOT / "configs" / "your-own-model.toml"
#: what someone with small videos and little time changes in the commands and in the configuration
COMMAND_CHANGES = {"--size 512": "--size 32 --multiple-of 8 --jobs 1"}
CONFIG_CHANGES = {
    "size = [512, 512]": "size = [32, 32]",
    "accumulate = 8": "accumulate = 1",
    "max_steps = 20000": "max_steps = 2",
}


def changed(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def fences(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """A folder with what the document asks for: captioned videos, with sound, and an image model."""
    save_family("sd1", tmp_path / "stable-diffusion-v1-5")
    (tmp_path / "videos").mkdir()
    for name, size in {"rabbit": (96, 96), "bicycles": (72, 128), "man": (128, 72)}.items():
        film = write_movie(tmp_path / f"{name}.mp4", smooth_frames(40, *size))
        film = add_sound(film, "aac", 1.6).rename(tmp_path / "videos" / f"{name}.mp4")
        assert heard(film)[0] == "aac"
        film.with_suffix(".txt").write_text(f"a {name} that moves")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / CONFIG.name).write_text(changed(CONFIG.read_text("utf-8"), CONFIG_CHANGES))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_document_shows_the_configuration_that_is_there():
    assert fences("toml")[0] == CONFIG.read_text("utf-8")


def test_the_commands_lead_to_a_trained_model_and_a_clip(workplace):
    commands = changed(fences("bash")[0], COMMAND_CHANGES).splitlines()
    assert len(commands) <= 10
    install, *rest = map(shlex.split, commands)
    assert install[:2] == ["pip", "install"]
    wanted = re.search(r"\[(.*)\]", install[2])
    extras = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert wanted and set(wanted[1].split(",")) <= set(extras)
    for program, *words in rest:
        assert program == "lumiere"
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, (words, result.output, result.exception)

    clips = Pictures(["data/videos/clips-*.tar"], CLIPS, None)
    assert {clips.caption(i) for i in range(len(clips))} == {
        "a rabbit that moves",
        "a bicycles that moves",
        "a man that moves",
    }
    assert len({clips.size(i) for i in range(len(clips))}) == 3

    before, after = (
        LumierePipeline.from_pretrained(workplace / folder)
        for folder in ("inflated", "runs/your-own-model/model")
    )
    for name in ("codec", "text_encoder", "unet"):
        old, new = (getattr(each, name).state_dict() for each in (before, after))
        assert old.keys() == new.keys()
        moved = {key for key in old if not torch.equal(old[key], new[key])}
        assert bool(moved) == (name == "unet") and all(key.startswith("temporal.") for key in moved)
    assert after.scheduler.config == before.scheduler.config
    assert after.scheduler.config["prediction_type"] == "epsilon"
    assert [after.config[name] for name in ("size", "fps", "frames", "guidance")] == [32, 16, 16, 7.5]

    clip = Clip.load(workplace / "after.mp4")
    assert clip.frames.shape == (16, 32, 32, 3) and clip.fps == 16 and clip.frames.std() > 1
    assert clip.metadata["prompt"] == "a white rabbit in a meadow"
    assert (workplace / "after.png").is_file() and (workplace / "slices.png").is_file()
    measured = json.loads((workplace / "metrics.json").read_text("utf-8"))
    assert len(measured["clips"]) == 2
    assert all(math.isfinite(each["motion_smoothness"]) for each in measured["clips"])
