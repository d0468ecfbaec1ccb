from __future__ import annotations

import numpy as np
import pytest

from lumiere import Clip
from lumiere.cli import main
from lumiere.superres import UpscalePipeline


@pytest.fixture
def run(capfd):
    def call(*arguments):
        with pytest.raises(SystemExit) as caught:
            main(["upscale", *map(str, arguments)])
        captured = capfd.readouterr()
        return caught.value.code, captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def model(tiny_upscaler):
    return tiny_upscaler


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames = np.random.default_rng(0).integers(0, 255, (7, 24, 32, 3), np.uint8)
    return Clip(frames, 12, {"prompt": "noise"}).save(tmp_path / "clip.mp4")


def test_a_file_becomes_a_larger_one(run, model, source):
    code, out, err = run(
        source, "--model", model, "--size", 64, "--device", "cpu", "--window", 4, "--steps", 1
    )
    assert (code, out) == (0, f"{source.with_name('clip-64.mp4')}\n"), err
    assert "upscaling" in err and "3/3" in err
    large = Clip.load("clip-64.mp4")
    assert (large.frames.shape, large.fps) == ((7, 48, 64, 3), 12)
    how = {"model": "tiny-upscaler", "width": 64, "height": 48, "num_inference_steps": 1, "window": 4}
    assert large.metadata["prompt"] == "noise"
    assert large.metadata["upscaled"].items() >= how.items()


def test_a_folder_of_frames_becomes_a_video(run, model, source):
    Clip.load(source).save("frames")
    code, out, err = run("frames", "--model", model, "--size", 64)
    assert (code, out) == (0, "frames-64.mp4\n"), err
    assert len(Clip.load("frames-64.mp4")) == 7


def test_it_writes_what_python_makes(run, model, source):
    assert run(source, "--model", model, "--size", "50x40", "--out", "large", "--seed", 3)[0] == 0
    expected = UpscalePipeline.from_pretrained(model)(Clip.load(source), (40, 50), seed=3)
    assert np.array_equal(Clip.load("large").frames, expected.frames)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "16"], "the size 16x12 is below the source's 32x24; give a larger one"),
        (["--window", "4", "--overlap", "4"], "overlap is 4 and window 4"),
        (["--tile", "8"], "tile is 8; give at least 16"),
        (["--out", "large.avi"], "the ending '.avi' is not known"),
        (["--out", "clip.mp4", "--overwrite"], "clip.mp4 is the source itself"),
    ],
)
def test_bad_input_is_one_line(run, model, source, arguments, message):
    code, out, err = run(
        source, "--model", model, *(arguments if "--size" in arguments else ["--size", "64", *arguments])
    )
    assert (code, out) == (2, "")
    assert message in err and len(err.strip().splitlines()) == 1
    assert [path.name for path in source.parent.iterdir()] == ["clip.mp4"]


def test_what_is_no_video_or_no_model_is_refused(run, model, source):
    source.with_name("text.mp4").write_text("no video")
    assert "no video" in run("text.mp4", "--model", model)[2]
    assert "does not exist" in run("missing.mp4", "--model", model)[2]
    assert "no model at" in run(source, "--model", "nowhere")[2]
