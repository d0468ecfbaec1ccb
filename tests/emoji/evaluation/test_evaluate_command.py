"""``lumiere evaluate``, with a tiny random model, sprites of our own making and an untrained recogniser."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lumiere.cli import main
from lumiere.emoji.data.scenes import SIZES
from lumiere.emoji.evaluation.prompts import choose_prompts, summarise, table
from lumiere.emoji.prompt_parser import EmojiPromptParser
from lumiere.io import bundle
from lumiere.io.video import Clip, probe
from lumiere.pipelines.text_to_video import LumierePipeline

SIZE = SIZES[0]
pytestmark = pytest.mark.usefixtures("tiny_recogniser")


def _run(*words: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, words)])


def _times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.mp4")}


def test_a_model_is_measured_beside_real_clips(
    tiny_bundle: Path, data: Path, labels: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = (tiny_bundle, "--data", data, "--out", out, "--steps", 1, "--guidance", 1, "--seed", 5)
    result = _run(*arguments, "--prompts", 1)
    assert result.exit_code == 0, result.output
    first = _times(out / "clips")
    result = _run(*arguments, "--prompts", 2)
    assert result.exit_code == 0, result.output
    assert "2 held-out prompts" in result.output and "background colour right" in result.output
    assert len(_times(out / "clips")) == 2
    assert first.items() <= _times(out / "clips").items(), "what is there is not made again"

    figures = json.loads((out / "figures.json").read_text())
    assert (figures["prompts"], figures["objects"]) == (2, len(labels))
    assert figures["settings"]["steps"] == 1 and figures["settings"]["seed"] == 5
    assert len(figures["settings"]["model_sha256"]) == len(figures["recogniser_sha256"]) == 64
    assert figures["figures"]["real"]["background"]["share"] == 1
    results = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    for number, line in enumerate(results):
        info = probe(out / "clips" / line["clip"])
        assert info.frames == 80 and info.fps == 16
        assert info.metadata["prompt"] == line["prompt"] and info.metadata["seed"] == 5 + number
    for kind in ("clips", "real-clips"):
        assert len(list((out / kind / "xt-slices").glob("*.png"))) == 2
    for sheet in ("results", "real", "results-slices", "real-slices"):
        assert (out / f"{sheet}.png").exists()

    before = _times(out / "clips")
    result = _run(*arguments, "--prompts", 2, "--steps", 2)
    assert result.exit_code == 2 and "was made with steps 1, not 2" in result.output
    result = _run(*arguments, "--prompts", 2, "--dtype", "bfloat16")
    assert result.exit_code == 2 and "was made with dtype float32, not bfloat16" in result.output
    result = _run(*arguments, "--prompts", 2, "--guidance-interval", "0.4,0.8")
    assert (
        result.exit_code == 2
        and "was made with guidance_interval [0.0, 1.0], not [0.4, 0.8]" in result.output
    )
    assert _times(out / "clips") == before


def test_a_model_is_measured_in_half_precision(tiny_bundle: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("--data", data, "--out", out, "--steps", 1, "--prompts", 1, "--dtype", "bfloat16")
    result = _run(tiny_bundle, *arguments)
    assert result.exit_code == 0, result.output
    assert json.loads((out / "figures.json").read_text())["settings"]["dtype"] == "bfloat16"
    assert probe(next((out / "clips").glob("*.mp4"))).metadata["dtype"] == "bfloat16"


def test_an_interruption_keeps_finished_clips(
    tiny_bundle: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, calls = tmp_path / "out", []
    call = LumierePipeline.__call__

    def interrupted(self, *args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return call(self, *args, **kwargs)

    arguments = (tiny_bundle, "--data", data, "--out", out, "--steps", 1, "--guidance", 1, "--prompts", 2)
    monkeypatch.setattr(LumierePipeline, "__call__", interrupted)
    result = _run(*arguments)
    assert result.exit_code == 130 and "Traceback" not in result.output
    assert len(_times(out / "clips")) == 1 and not (out / "figures.json").exists()
    assert _run(*arguments).exit_code == 0
    assert len(calls) == 3, "the first clip is not made again"


def test_real_clips_alone(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = _run("--real-only", "--data", data, "--out", out, "--prompts", 6)
    assert result.exit_code == 0, result.output
    real = json.loads((out / "figures.json").read_text())["figures"]["real"]
    for question in ("background", "direction", "moves"):
        assert real[question]["of"] and real[question]["share"] == 1, question
    assert Clip.load(next((out / "real-clips").glob("000-*.mp4"))).frames.shape == (80, SIZE, SIZE, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "MODEL is missing"),
        (["nowhere"], "no model at nowhere"),
        (["BUNDLE", "--prompts", 0], "--prompts"),
        (["emoji", "--prompts", 9999], "prompts is 9999; give 1 to"),
        (["BUNDLE", "--data", "nowhere"], "lumiere data emoji"),
        (["--real-only"], "--data"),
        (["emoji", "--out", "FILE"], "cannot make the folder"),
        (["BUNDLE", "--steps", 0], "--steps"),
        (["BUNDLE"], "has no objects.json that says which emoji it was trained on; give those of --data"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    arguments: list[object], message: str, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    before = sorted(Path().iterdir())
    named = {"BUNDLE": tiny_bundle, "FILE": "file"}
    result = _run(*(named.get(word, word) if isinstance(word, str) else word for word in arguments))
    assert result.exit_code == 2 and result.output.startswith("error: ")
    assert message in result.output and result.output.count("\n") == 1
    assert sorted(Path().iterdir()) == before


def test_an_altered_model_is_refused_before_anything_is_made(
    tiny_bundle: Path, data: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_bundle, broken)
    next(broken.glob("unet/*.safetensors")).write_bytes(b"cut short")
    result = _run(broken, "--data", data, "--out", tmp_path / "out", "--prompts", 1)
    assert result.exit_code == 2 and "altered" in result.output
    assert not list((tmp_path / "out").rglob("*.mp4"))


def test_prompts_are_balanced_and_held_out() -> None:
    labels = {f"{i:05x}": f"thing {i}" for i in range(120)}
    prompts = choose_prompts(labels, 100)
    assert len({prompt.prompt for prompt in prompts}) > 97
    assert all(prompt.held_out and prompt.scene.background.kind == "solid" for prompt in prompts)
    motions = [prompt.scene.motion for prompt in prompts]
    assert sum(motions.count(m) for m in ("left", "right", "up", "down")) >= 40
    assert prompts[:7] == choose_prompts(labels, 7)


def test_summaries_count_what_was_asked() -> None:
    def result(**answers):
        return {"answers": dict.fromkeys(summarise([]), None) | answers}

    summary = summarise([result(moves=True, top1=False), result(moves=True, direction=True)])
    assert (summary["moves"]["right"], summary["moves"]["of"]) == (2, 2)
    assert (summary["top1"]["right"], summary["top1"]["of"]) == (0, 1)
    assert summary["size"]["share"] is None
    assert summary["moves"]["low"] == pytest.approx(0.342, abs=1e-3) and summary["moves"]["high"] == 1
    lines = table({"model": summary, "real": summary}).splitlines()
    assert "not asked" in lines[3] and lines[-1].count("100.0 % [34, 100] of 2") == 2


def test_prompts_are_about_the_objects_that_the_model_knows(
    tiny_bundle: Path, data: Path, labels: dict[str, str], tmp_path: Path
) -> None:
    narrow = tmp_path / "narrow"
    shutil.copytree(tiny_bundle, narrow)
    known = dict(list(labels.items())[3:6])
    (narrow / bundle.OBJECTS).write_text(json.dumps(known))
    bundle.write_manifest(narrow)
    out = tmp_path / "out"
    result = _run(narrow, "--real-only", "--data", data, "--out", out, "--prompts", 3)
    assert result.exit_code == 0, result.output
    assert "3 held-out prompts about 3 objects" in result.output
    lines = [json.loads(line) for line in (out / "real.jsonl").read_text().splitlines()]
    assert {line["object"] for line in lines} <= known.keys()
    assert not (out / "clips").exists()

    (narrow / bundle.OBJECTS).write_text(json.dumps(known | {"ffff": "unicorn"}))
    result = _run(narrow, "--data", data, "--out", out, "--prompts", 1)
    assert result.exit_code == 2 and "lacks 1 of the model's objects, such as unicorn" in result.output


@pytest.mark.slow
def test_a_model_whose_clips_begin_with_a_picture_is_measured_with_and_without(
    make_pipe: Any, data: Path, tmp_path: Path
) -> None:
    model, out = tmp_path / "model", tmp_path / "out"
    make_pipe(conditioned=True, prompt_parser="emoji").save_pretrained(model)
    arguments = (model, "--data", data, "--out", out, "--steps", 1, "--prompts", 1)
    result = _run(*arguments)
    assert result.exit_code == 0, result.output
    made = probe(next((out / "clips").glob("*.mp4"))).metadata
    assert made["first_frame_prompt"] == EmojiPromptParser().without_motion(made["prompt"])
    result = _run(*arguments, "--one-pass")
    assert result.exit_code == 2 and "was made with one_pass False, not True" in result.output
    result = _run(*arguments[:3], "--out", tmp_path / "without", *arguments[5:], "--one-pass")
    assert result.exit_code == 0, result.output
    made = probe(next((tmp_path / "without" / "clips").glob("*.mp4"))).metadata
    assert made["one_pass"] and "first_frame_prompt" not in made
