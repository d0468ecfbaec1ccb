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
from lumiere.emoji.data import periodic
from lumiere.emoji.data.scenes import FPS, Background
from lumiere.io.video import Clip, read_metadata
from lumiere.research.ablations import designs
from lumiere.research.ablations.measures import measure_periodic, periodic_row
from lumiere.research.ablations.tables import mean_cell, median_cell, share_cell, table

METHODS = [
    "real clips",
    "one pass",
    "every 5th frame, then those between",
    "every 10th frame, then those between",
    "no temporal resampling",
    "frame by frame",
    "one pass, convolution alone",
    "one pass, begun as the identity",
    "one pass, begun at random",
]


@pytest.fixture(scope="module")
def model(make_pipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablated") / "tiny"
    make_pipe(size=128, frames=31, steps=1, guidance=1.0).save_pretrained(folder)
    return folder


@pytest.fixture
def composed(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sprites of ``data``, and a few training clips beside them."""
    if not list(data.glob("train-clips-*.tar")):
        periodic.compose(data / "more", data, 2, seed=1)
        (data / "more" / "train-clips-00000.tar").rename(data / "train-clips-00000.tar")
    return data


def ablate(model: Path, data: Path, out: Path, *arguments: str) -> int:
    given = ["--model", str(model), "--data", str(data), "--train-steps", "2", "--prompts", "2"]
    with pytest.raises(SystemExit) as caught:
        main(["ablate", "cascade", *given, "--out", str(out), *arguments])
    return int(caught.value.code or 0)


@pytest.mark.slow
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
    figures = json.loads((out / "figures.json").read_text())
    assert figures["kind"] == "ablation" and figures["about"]["train_steps"]["one-pass"] == 2
    text, known = figures["tables"]
    assert [row["method"] for row in text["rows"]] == [*METHODS[:3], *METHODS[4:]]
    assert [row["method"] for row in known["rows"]] == METHODS[:4]
    for each in figures["tables"]:
        assert all(len(row["cells"]) == len(each["columns"]) - 2 for row in each["rows"])
    assert "one pass, begun at random" in capsys.readouterr().out

    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert len(lines) == 2 * (8 + 4) == len(figures["clips"])
    for clip in figures["clips"]:
        assert len(Clip.load(out / clip["file"])) == 31
        assert read_metadata(out / clip["file"])["prompt"] == clip["prompt"]
    for picture in figures["pictures"]:
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


def test_a_true_bounce_has_its_frequency_and_one_as_distant_keyframes_show_it_the_alias(data: Path) -> None:
    from lumiere.emoji.data.sprites import load_sprites

    sprites = {sprite.code: sprite for sprite in load_sprites(data)}
    scene = periodic.PeriodicScene(
        min(sprites), Background("solid", ("red",)), "bounce", 1.0, 0.58, (0.0, 0.0)
    )
    slow = dataclasses.replace(scene, frequency=0.6)  # with 1.6 keyframes a second, the same
    right, wrong = (
        measure_periodic(Clip(periodic.render(each, sprites), FPS), 1.0) for each in (scene, slow)
    )
    assert right["error"] < 0.02 and not right["aliased"]
    assert wrong["aliased"] and wrong["hertz"] == pytest.approx(0.6, rel=0.05)


def test_a_clip_without_a_period_is_wrong_and_has_no_error() -> None:
    still = {"hertz": None, "error": None, "aliased": None}
    slow = {"hertz": 0.6, "error": 0.4, "aliased": True}
    right = {"hertz": 1.0, "error": 0.0, "aliased": False}
    near, alias, none, error = periodic_row([still, slow, right, right])
    assert near["mean"] == 0.5 and alias["mean"] == none["mean"] == 0.25 and error["mean"] == 0.0


def test_cells_and_their_text() -> None:
    assert share_cell([]) is None and median_cell([], "x") is None
    cells = [share_cell([True] * 9 + [False]), mean_cell([1.0, 1.0], "pixels")]
    figures = {
        "title": "T",
        "note": "N.",
        "columns": ["method", "clips", "right", "far"],
        "rows": [{"method": "one", "cells": cells}, {"method": "two", "cells": [None, None]}],
    }
    assert table(figures).splitlines() == [
        "T. N.",
        "  right",
        "    one   90.0 % [60, 98]",
        "  far",
        "    one        1 [1, 1]",
    ]
