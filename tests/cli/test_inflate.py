from __future__ import annotations

import json
import subprocess
import sys

import pytest
from safetensors import SafetensorError

from families import save_family
from lumiere import Clip
from lumiere.cli import main
from lumiere.io import bundle


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_family("sd1", tmp_path_factory.mktemp("checkpoints") / "sd1")


@pytest.fixture
def run(capfd):
    """Run ``lumiere`` in this process; returns exit code, output and errors."""

    def call(*arguments):
        with pytest.raises(SystemExit) as caught:
            main([*map(str, arguments)])
        captured = capfd.readouterr()
        return caught.value.code, captured.out, captured.err

    return call


def test_a_checkpoint_becomes_a_model_that_makes_clips(run, checkpoint, tmp_path):
    model, clip = tmp_path / "model", tmp_path / "clip.mp4"
    code, out, err = run(
        "inflate", checkpoint, "--out", model, "--frames", 4, "--fps", 8, "--dtype", "float16"
    )
    assert (code, out) == (0, f"{model}\n"), err
    assert "image model 0.2 M parameters, added 0.2 M" in err
    bundle.verify(model)
    index = bundle.index(model)
    assert (index["frames"], index["fps"], index["size"], index["guidance"]) == (4, 8, 32, 7.5)

    code, _, err = run(
        "generate", "a red cat", "--model", model, "--steps", 1, "--out", clip, "--device", "cpu"
    )
    assert code == 0, err
    made = Clip.load(clip)
    assert made.frames.shape == (4, 32, 32, 3) and made.fps == 8
    assert made.metadata["prompt"] == "a red cat" and made.metadata["model"] == "model"


def test_out_is_never_replaced(run, checkpoint, tmp_path):
    (tmp_path / "model").mkdir()
    code, _, err = run("inflate", checkpoint, "--out", tmp_path / "model")
    assert code == 2 and "model exists; choose another name" in err


def test_a_full_disk_leaves_nothing(run, checkpoint, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("lumiere.models.stunet.STUNet.save_pretrained", full)
    code, _, err = run("inflate", checkpoint, "--out", tmp_path / "new" / "model")
    assert code == 2 and err.startswith("error: ") and "No space left on device" in err
    assert not list((tmp_path / "new").iterdir())


@pytest.mark.parametrize(
    ("change", "options", "match"),
    [
        (
            {"_class_name": "FluxPipeline", "unet": [None, None]},
            [],
            "is a FluxPipeline whose unet is nothing",
        ),
        ({}, ["--size", 20], "size is 20; this model makes multiples of 8"),
        ({}, ["--prediction-type", "epsilon"], "has a scheduler that says it"),
    ],
)
def test_bad_input_is_one_line(run, checkpoint, tmp_path, change, options, match):
    folder = tmp_path / "folder"
    folder.mkdir()
    for part in checkpoint.iterdir():
        (folder / part.name).symlink_to(part)
    (folder / "model_index.json").unlink()
    index = json.loads((checkpoint / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | change))
    code, _, err = run("inflate", folder, "--out", tmp_path / "model", *options)
    assert code == 2 and match in err and err.count("\n") == 1
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
def test_a_model_of_ones_own_never_meets_the_emoji(checkpoint, tmp_path):
    commands = [
        ["inflate", str(checkpoint), "--out", "model", "--frames", "2"],
        ["generate", "a cat", "--model", "model", "--steps", "1", "--size", "512", "--out", "cat.mp4"],
    ]
    script = (
        "import json, sys\nfrom lumiere.cli import main\n"
        "for command in json.loads(sys.argv[1]):\n"
        "    try:\n        main(command)\n"
        "    except SystemExit as end:\n        assert not end.code, end.code\n"
        "found = [name for name in sys.modules if name.startswith('lumiere.emoji')]\n"
        "assert not found, found\n"
    )
    arguments = [sys.executable, "-c", script, json.dumps(commands)]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Clip.load(tmp_path / "cat.mp4").frames.shape == (2, 512, 512, 3)
