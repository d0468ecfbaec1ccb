"""``lumiere ablate cascade`` end to end: tiny models are trained, make clips, and are measured."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lumiere.cli import main
from lumiere.data import periodic
from lumiere.data.compose import FPS
from lumiere.data.periodic import held_out_periodic
from lumiere.evaluate.ablation import cascade, designs
from lumiere.evaluate.ablation.measures import measure_periodic, periodic_row
from lumiere.evaluate.ablation.tables import mean_cell, median_cell, share_cell, table
from lumiere.video import Clip, read_metadata

METHODS = [
    "real clips",
    "one pass",
    "keyframes, then the frames between",
    "keyframes, then the frames between, untold",
    "real keyframes, then the frames between",
    "no temporal resampling",
    "frame by frame",
    "one pass, convolution alone",
    "one pass, begun as the identity",
    "one pass, begun at random",
    "one pass, as shipped",
]


@pytest.fixture(scope="module")
def model(make_pipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablated") / "tiny"
    make_pipe(size=128, frames=16, steps=1, guidance=1.0).save_pretrained(folder)
    return folder


@pytest.fixture
def composed(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sprites of ``data``, and a few training clips beside them."""
    monkeypatch.setattr(cascade, "PERIODIC_CLIPS", 2)
    if not list(data.glob("train-clips-*.tar")):
        periodic.compose(data / "more", data, 2, seed=1)
        (data / "more" / "train-clips-00000.tar").rename(data / "train-clips-00000.tar")
    return data


def ablate(model: Path, data: Path, out: Path, *arguments: str) -> int:
    given = ["--model", str(model), "--data", str(data), "--train-steps", "2", "--prompts", "2"]
    with pytest.raises(SystemExit) as caught:
        main(["ablate", "cascade", *given, "--out", str(out), *arguments])
    return int(caught.value.code or 0)


def test_all_is_trained_made_and_measured_once(
    model: Path,
    composed: Path,
    tiny_recogniser: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.set_num_threads(1)
    out = tmp_path / "out"
    assert ablate(model, composed, out) == 0
    told = json.loads((out / "figures.json").read_text())
    assert told["kind"] == "ablation" and told["about"]["train_steps"]["one-pass"] == 2
    text, known = told["tables"]
    assert [row["method"] for row in text["rows"]] == [*METHODS[:3], *METHODS[5:]]
    assert [row["method"] for row in known["rows"]] == METHODS[:6]
    for each in told["tables"]:
        assert all(len(row["cells"]) == len(each["columns"]) - 2 for row in each["rows"])
    assert "one pass, begun at random" in capsys.readouterr().out

    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert len(lines) == 2 * (9 + 6) == len(told["clips"])
    for clip in told["clips"]:
        assert len(Clip.load(out / clip["file"])) == 16
        assert read_metadata(out / clip["file"])["prompt"] == clip["prompt"]
    for picture in told["pictures"]:
        assert np.asarray(Image.open(out / picture["file"])).std() > 0

    files = {path: path.stat().st_mtime_ns for path in out.rglob("*.mp4")}
    (first := next(iter(files))).unlink()
    monkeypatch.setattr(designs.Trainer, "_train", None)  # nothing trains again
    assert ablate(model, composed, out) == 0
    assert first.exists()
    assert all(path.stat().st_mtime_ns == when for path, when in files.items() if path != first)

    assert ablate(model, composed, out, "--seed", "5") == 2
    assert "was made with seed 0, not 5" in capsys.readouterr().err


def test_a_model_of_other_objects_is_refused(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ablate(tiny_bundle, tmp_path, tmp_path / "out") == 2
    assert "holds no sprites.json" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_true_clip_has_its_frequency_and_one_through_keyframes_the_alias(data: Path) -> None:
    from lumiere.data.emoji import load_sprites

    sprites = {sprite.code: sprite for sprite in load_sprites(data)}
    labels = {code: sprite.label for code, sprite in sprites.items()}
    prompt = next(
        each
        for each in held_out_periodic(labels, 8)
        if each.scene.motion == "bounce" and each.scene.frequency == 2.0
    )
    true = designs.real(prompt, sprites)
    held = periodic.render(dataclasses.replace(prompt.scene, frequency=1.2), sprites)  # the same keyframes
    right, wrong = (measure_periodic(Clip(each, FPS), prompt) for each in (true, held))
    assert right["error"] < 0.02 and not right["aliased"]
    assert wrong["aliased"] and wrong["hertz"] == pytest.approx(1.2, rel=0.05)


def test_a_clip_without_a_period_is_wrong_and_has_no_error() -> None:
    still = {"motion": "bounce", "asked": 2.0, "hertz": None, "error": None, "aliased": None}
    fast = {"motion": "bounce", "asked": 2.0, "hertz": 1.2, "error": 0.4, "aliased": True}
    slow = {"motion": "bounce", "asked": 0.8, "hertz": 0.8, "error": 0.0, "aliased": None}
    near, below, above, alias, none, error = periodic_row([still, fast, slow])
    assert near["mean"] == pytest.approx(1 / 3) and below["mean"] == 1 and above["mean"] == 0
    assert alias["mean"] == 0.5 and none["mean"] == pytest.approx(1 / 3) and error["mean"] == 0.2


def test_cells_and_their_text() -> None:
    assert share_cell([]) is None and median_cell([], "x") is None
    cells = [share_cell([True] * 9 + [False]), mean_cell([1.0, 1.0], "pixels")]
    told = {
        "title": "T",
        "note": "N.",
        "columns": ["method", "clips", "right", "far"],
        "rows": [{"method": "one", "cells": cells}, {"method": "two", "cells": [None, None]}],
    }
    assert table(told).splitlines() == [
        "T. N.",
        "  right",
        "    one   90.0 % [60, 98]",
        "  far",
        "    one        1 [1, 1]",
    ]
