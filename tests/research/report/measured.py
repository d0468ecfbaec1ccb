"""Folders and files as the verbs write them, of tiny clips."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from lumiere.emoji.evaluation import prompts, tasks
from lumiere.io.video import Clip, save_picture
from lumiere.metrics import report as metrics
from lumiere.research.ablations.multidiffusion import Measured, summarise

VERSIONS = {"lumiere": "0.1.0", "torch": "2.13.0+cpu"}
MODEL_SHA256 = "d7b721b6a2855c96"


def make_clip(path: Path, shade: int = 120) -> Path:
    """A bar goes over a plain ground of that shade."""
    frames = np.full((8, 32, 32, 3), shade, np.uint8)
    for index in range(8):
        frames[index, :, 4 * index : 4 * index + 4] = 255
    return Clip(frames, 8, {}).save(path)


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")
    return path


def _write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def settings(model: str) -> dict[str, Any]:
    return {"model": model, "model_sha256": MODEL_SHA256, "steps": 6, "guidance": 2.0, "seed": 0}


def evaluation(folder: Path, model: str, wrong: int = 0, count: int = 8, prompt: str = "") -> Path:
    """Of text to video: the real clips' results, ``wrong`` of whose backgrounds are said to be wrong."""
    known = prompts.REAL_RESULTS.read_text("utf-8").splitlines()[:count]
    real = [{**json.loads(line), "clip": f"{number:03d}-a.mp4"} for number, line in enumerate(known)]
    made = json.loads(json.dumps(real))
    for number, result in enumerate(made):
        result["answers"]["background"] = number >= wrong
        result["prompt"] = prompt or result["prompt"]
        make_clip(folder / "clips" / result["clip"], 20 * number)
        slice_ = folder / "clips" / "xt-slices" / f"{number:03d}-a.png"
        save_picture(np.full((8, 32, 3), 90, np.uint8), slice_)
    _write_lines(folder / "results.jsonl", made)
    about = {
        "figures": {"model": prompts.summarise(made), "real": prompts.summarise(real)},
        "titles": prompts.QUESTIONS,
        "prompts": count,
        "settings": settings(model),
        "versions": VERSIONS,
    }
    write_json(folder / "figures.json", about)
    return folder


def task(folder: Path, model: str) -> Path:
    """Of animation, three cases."""
    cases = [
        {"raw_psnr": psnr, "moves": moves} for psnr, moves in ((30.0, True), (36.0, True), (40.0, False))
    ]
    folder.mkdir(parents=True)
    lines = [{"prompt": f"case {number}", "figures": figures} for number, figures in enumerate(cases)]
    _write_lines(folder / "results.jsonl", lines)
    for number in range(len(cases)):
        make_clip(folder / f"{number:03d}.mp4")
    save_picture(np.zeros((16, 64, 3), np.uint8), folder / "sheet.png")
    about = {
        "figures": tasks.summarise(cases),
        "titles": tasks.FIGURES,
        "prompts": 3,
        "settings": settings(model),
        "versions": VERSIONS,
    }
    write_json(folder / "figures.json", about)
    return folder


def multidiffusion(folder: Path, clips: int = 3) -> Path:
    folder.mkdir(parents=True)
    psnr = {"truth": 148.0, "bicubic": 37.0, "overlap 0": 40.0, "overlap 2": 40.2, "one window": 40.5}
    found = [
        Measured(f"{clip}.mp4", way, better + clip, 0.98, 0.5, [0.5 + clip / 10] * 15, 2.0, 10**9)
        for clip in range(clips)
        for way, better in psnr.items()
    ]
    _write_lines(folder / "results.jsonl", [dataclasses.asdict(each) for each in found])
    rows = [dataclasses.asdict(row) for row in summarise(found, window=8)]
    save_picture(np.zeros((16, 64, 3), np.uint8), folder / "slices.png")
    write_json(
        folder / "figures.json", {"model": "emoji-upscaler", "side": 128, "window": 8, "figures": rows}
    )
    return folder


def cascade(folder: Path) -> dict[str, Any]:
    """An ablation's ``figures.json``; its pictures and clips lie in the folder."""
    methods = ("one pass", "keyframes & TSR")
    clips = [
        {"file": f"clips/{number}-{prompt}.mp4", "method": method, "prompt": f"prompt {prompt}"}
        for number, method in enumerate(methods)
        for prompt in range(3)
    ]
    for clip in clips:
        make_clip(folder / clip["file"])
    save_picture(np.zeros((16, 64, 3), np.uint8), folder / "slices.png")
    share, pixels = {"low": 0.88, "high": 0.98, "unit": "share"}, {"low": 1.1, "high": 1.5, "unit": "pixels"}
    rows = [
        {
            "method": methods[0],
            "clips": 100,
            "cells": [{"mean": 0.95, **share}, {"mean": 1.3, **pixels}, None],
        },
        {"method": methods[1], "clips": 100, "cells": [{"mean": 0.9, **share}, None, None]},
    ]
    columns = ["method", "clips", "direction right", "jitter", "not asked"]
    table = {"title": "Against the cascade", "note": "A note.", "columns": columns, "rows": rows}
    return {
        "kind": "ablation",
        "title": "One pass or a cascade",
        "about": {"seed": 0, "model_sha256": MODEL_SHA256, "versions": VERSIONS},
        "tables": [table],
        "pictures": [{"file": "slices.png", "caption": "x-t slices"}],
        "clips": clips,
    }


def clip_metrics(file: Path) -> Path:
    figures: list[metrics.Figures] = [
        {"psnr": 30.0, "warping_error": 0.5},
        {"psnr": 32.0, "warping_error": 0.7},
    ]
    values = metrics.summarise(figures)
    values[0].warnings.append("too few clips")
    return write_json(
        file, {"lumiere": "0.1.0", "values": list(map(dataclasses.asdict, values)), "clips": []}
    )


def nearest(file: Path) -> Path:
    pairs = [{"clip": "a.mp4", "nearest": "b.mp4", "distance": 0.25, "closer_than": 0.98}]
    return write_json(file, {"lumiere": "0.1.0", "pairs": pairs, "features": {"kind": "recogniser"}})
