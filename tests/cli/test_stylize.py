"""The verbs of styles: fitted, applied and swept over; bad input is one line, and leaves nothing behind."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from lumiere.cli import main
from lumiere.io.video import Clip, read_metadata
from movies import smooth_frames

QUICK = ("--frames", "4", "--steps", "2", "--seed", "7")


@pytest.fixture
def run(capfd, tmp_path, monkeypatch, tiny_bundle):
    monkeypatch.chdir(tmp_path)

    def call(*arguments, model=tiny_bundle):
        with pytest.raises(SystemExit) as caught:
            main([*map(str, arguments), "--model", str(model)])
        captured = capfd.readouterr()
        return caught.value.code, captured.out, captured.err

    return call


@pytest.fixture
def picture(tmp_path):
    Image.fromarray(smooth_frames(1, 48, 40)[0]).save(tmp_path / "red-cat.png")
    return "red-cat.png"


@pytest.fixture
def style(run, picture):
    assert run("style", "fit", picture, "--out", "style", "--steps", "2", "--rank", "2")[0] == 0
    return "style"


def test_a_style_is_fitted_and_says_what_to(run, picture, tmp_path):
    code, out, _ = run("style", "fit", picture, "--out", "mine", "--steps", "2", "--rank", "2")
    assert (code, out) == (0, "mine\n")
    note = json.loads((tmp_path / "mine" / "style.json").read_text())
    assert (note["captions"], note["steps"], note["rank"]) == (["red cat"], 2, 2)
    assert len(list((tmp_path / "mine" / "references").glob("*.png"))) == 1
    assert sum(file.stat().st_size for file in (tmp_path / "mine").rglob("*.*")) < 5e6


def test_a_clip_in_a_style(run, style, tmp_path):
    assert run("generate", "a cat", *QUICK, "--out", "plain.webp")[0] == 0
    for alpha, name in (("0", "none.webp"), ("0.5", "half.webp")):
        assert run("generate", "a cat", *QUICK, "--style", style, "--alpha", alpha, "--out", name)[0] == 0
    plain, none, half = (Clip.load(tmp_path / f"{name}.webp").frames for name in ("plain", "none", "half"))
    assert np.array_equal(plain, none) and not np.array_equal(plain, half)
    about = read_metadata(tmp_path / "half.webp")
    assert (about["style"], about["alpha"]) == ("style", 0.5)


def test_a_sweep_over_alpha_is_a_sheet(run, style, tmp_path):
    code, out, err = run("generate", "a cat", *QUICK, "--style", style, "--alpha-sweep", "sweep.png")
    assert (code, out) == (0, "sweep.png\n") and "seed 7" in err
    assert Image.open(tmp_path / "sweep.png").height > 5 * 128
    assert not list(tmp_path.glob("*.mp4"))


def test_a_loop_an_edit_and_a_style_in_one_go(run, style, picture, tmp_path):
    assert run("loop", "a cat", *QUICK, "--style", style, "--out", "loop.webp")[0] == 0
    arguments = ("--style", style, "--steps", "2", "--seed", "7", "--out", "edit.webp")
    assert run("edit", "loop.webp", "a dog", *arguments)[0] == 0
    assert read_metadata(tmp_path / "edit.webp")["style"] == "style"
    options = ("--reference", picture, "--fit-steps", "1", "--keep", "kept", "--out", "cat.webp")
    assert run("stylize", "a cat", *QUICK, *options)[0] == 0
    assert len(Clip.load(tmp_path / "cat.webp")) == 4
    assert read_metadata(tmp_path / "cat.webp")["style"] == "kept"
    again = ("--style", "kept", "--out", "again.webp")
    assert run("generate", "a cat", *QUICK, *again)[0] == 0


def test_a_lora_is_a_style_by_another_name(run, style, tmp_path):
    file = f"{style}/pytorch_lora_weights.safetensors"
    for name, options in {"styled": ("--style", "--alpha"), "lora": ("--lora", "--lora-scale")}.items():
        arguments = (options[0], file, options[1], "0.5", "--out", name)
        code, _, err = run("generate", "a cat", *QUICK, *arguments)
        assert code == 0, err
    assert (Clip.load(tmp_path / "lora").frames == Clip.load(tmp_path / "styled").frames).all()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--lora", "a", "--style", "b"), "--style b and --lora a exclude each other; give one of them"),
        (("--lora", "a", "--alpha", "0.5"), "--alpha 0.5 goes with --style; give --lora-scale with --lora"),
        (("--lora-scale", "0.5"), "--lora-scale 0.5 needs a --lora"),
        (("--lora", "a"), "no style at a; give a folder of `lumiere style fit`, or a LoRA file"),
    ],
)
def test_a_lora_and_a_style_exclude_each_other(run, arguments, what):
    for verb in (["generate", "a cat"], ["edit", "clip.mp4", "a cat"]):
        code, out, err = run(*verb, *arguments)
        assert (code, out) == (2, "") and what in err, err


def test_an_alpha_above_1_has_to_be_asked_for(run, style, tmp_path):
    arguments = ("generate", "a cat", *QUICK, "--style", style, "--alpha", "1.5", "--out", "more.webp")
    code, _, err = run(*arguments)
    assert code == 2 and "--alpha is 1.5; give 0 to 1, or add --extrapolate" in err
    assert run(*arguments, "--extrapolate")[0] == 0
    assert read_metadata(tmp_path / "more.webp")["alpha"] == 1.5


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("style", "fit", "--out", "x"), "Missing argument 'REFERENCE...'"),
        (("style", "fit", "none.png", "--out", "x"), "none.png does not exist"),
        (("style", "fit", "letter.txt", "--out", "x"), "letter.txt is no picture"),
        (("style", "fit", "red-cat.png", "--out", "letter.txt"), "something else than a style"),
        (
            ("style", "fit", "red-cat.png", "--out", "x", "--caption", "a", "--caption", "b"),
            "2 captions for 1",
        ),
        (("generate", "a cat", "--style", "none"), "no style at none"),
        (("generate", "a cat", "--style", "letter.txt"), "letter.txt is no style"),
        (("generate", "a cat", "--alpha", "0.5"), "--alpha 0.5 needs a --style"),
        (("generate", "a cat", "--alpha-sweep", "x.png"), "--alpha-sweep needs a --style"),
        (("generate", "a cat", "--style", ".", "--alpha-sweep", "x.mp4"), "ending '.mp4' is not known"),
        (
            ("generate", "a cat", "--style", ".", "--alpha-sweep", "x.png", "--count", "2"),
            "leave out --count",
        ),
        (("generate", "a cat", "--style", ".", "--alpha", "-1"), "-1.0 is not in the range"),
        (("edit", "cat.mp4", "a dog", "--alpha", "0.5"), "--alpha 0.5 needs a --style"),
        (("stylize", "a cat"), "Missing option '--reference'"),
        (("stylize", "a cat", "--reference", "none.png"), "none.png does not exist"),
    ],
)
def test_bad_input_is_one_line(run, picture, tmp_path, arguments, what):
    (tmp_path / "letter.txt").write_text("Dear")
    code, out, err = run(*arguments)
    assert code == 2 and out == "" and what in err and len(err.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letter.txt", "red-cat.png"]


def test_another_models_style_is_refused(run, style, make_pipe, tmp_path):
    other = make_pipe()
    other.unet.spatial.conv_in.weight.data.add_(1)
    other.save_pretrained(tmp_path / "other")
    code, _, err = run("generate", "a cat", *QUICK, "--style", style, model=tmp_path / "other")
    assert code == 2 and "was made for the model tiny" in err and len(err.strip().splitlines()) == 1
    assert not list(tmp_path.glob("*.mp4"))


def test_a_fit_that_is_interrupted_keeps_what_was_fitted(run, picture, tmp_path, monkeypatch):
    from lumiere.train import style as module

    calls = iter(range(10))

    def loss(*arguments, **options):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    original = module._redrawing_loss
    monkeypatch.setattr(module, "_redrawing_loss", loss)
    code, out, _ = run("style", "fit", picture, "--out", "mine", "--steps", "5", "--rank", "2")
    assert (code, out) == (130, "mine\n")
    assert json.loads((tmp_path / "mine" / "style.json").read_text())["steps"] == 2
