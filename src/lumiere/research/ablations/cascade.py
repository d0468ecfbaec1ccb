"""Ablation of one-pass generation against a keyframe cascade, with models trained alike (section 1 of arXiv
2401.12945).

Two sets of prompts that are held out from training: one whose clips are judged, and one of periodic motion,
which near keyframes sample often enough and distant ones do not. :class:`Material` holds both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from lumiere.data.parallel import usable_cores
from lumiere.errors import InputError
from lumiere.io.bundle import MANIFEST, read_json, resolve, sha256
from lumiere.io.files import write_text
from lumiere.io.sheet import stacked
from lumiere.io.video import Clip, save_picture
from lumiere.metrics.features import Features
from lumiere.metrics.xt_slice import xt_slice
from lumiere.pipelines.text_to_video import LumierePipeline
from lumiere.research.ablations.designs import PERIODIC, REAL, TEXT, Case, Method, methods, train_all
from lumiere.research.ablations.measures import (
    PERIODIC_COLUMNS,
    QUALITY_COLUMNS,
    measure_periodic,
    measure_text,
    periodic_row,
    text_row,
)
from lumiere.research.ablations.tables import Cell
from lumiere.research.baselines import variants

#: prompts of each set whose slices are drawn, evenly spaced
SHOWN = 4


@dataclass(frozen=True)
class Material:
    """What the designs are trained on and asked for.

    Attributes:
        shards: patterns of the training clips' shards.
        text: cases whose clips are judged.
        questions: columns of the judges' answers, by question.
        periodic: cases of motion that repeats, which are not judged.
        hertz: how often it does.
        periodic_title: of the periodic cases' table.
        features: of the Frechet distance from the real clips.
        about: what else the clips depend on; written beside the figures.
    """

    shards: Sequence[str]
    text: Sequence[Case]
    questions: Mapping[str, str]
    periodic: Sequence[Case]
    hertz: float
    periodic_title: str
    features: Features
    about: Mapping[str, Any]

    @property
    def sets(self) -> dict[str, Sequence[Case]]:
        return {TEXT: self.text, PERIODIC: self.periodic}


def clip_folder(out: Path, which: str, name: str) -> Path:
    """Where a method's clips of a set of prompts are."""
    return out / "clips" / which / name.replace(",", "").replace(" ", "-")


def make_clips(method: Method, cases: Sequence[Case], folder: Path, seed: int, length: int) -> None:
    """Make what is not there yet: the first ``length`` frames, a file for each case's number."""
    paths = [folder / f"{number:03d}.mp4" for number in range(len(cases))]
    if all(path.exists() for path in paths):
        return
    make = method.load()
    for number, (path, case) in enumerate(zip(paths, tqdm(cases, folder.name, disable=None), strict=True)):
        if not path.exists():
            made = make(case, seed + number)
            about = {"prompt": case.prompt, "seed": seed + number}
            Clip(made.frames[:length], made.fps, made.metadata | about).save(path)


def slices(out: Path, which: str, names: Sequence[str], case: Case, number: int) -> str:
    """Write the x-t slices of one case's clips, one below the other; gives the file's name."""
    clips = [Clip.load(clip_folder(out, which, name) / f"{number:03d}.mp4") for name in names]
    pictures = [xt_slice(clip, column=clip.width // 2 if case.vertical else None) for clip in clips]
    file = f"slices-{which}-{number:03d}.png"
    save_picture(stacked(pictures, names), out / file, overwrite=True)
    return file


@dataclass(frozen=True)
class Ablation:
    """All that is made and measured, in the folder ``out``.

    Attributes:
        settings: whatever the clips depend on; a folder of other settings is refused.
        length: frames of every clip, those of the cascade.
    """

    out: Path
    methods: Mapping[str, Method]
    material: Material
    settings: Mapping[str, Any]
    length: int

    def names(self, which: str) -> list[str]:
        return [name for name, method in self.methods.items() if which in method.sets]

    def make(self) -> None:
        """Make all clips that are not there yet."""
        for which, cases in self.material.sets.items():
            for name in self.names(which):
                folder = clip_folder(self.out, which, name)
                make_clips(self.methods[name], cases, folder, self.settings["seed"], self.length)

    def measure(self) -> dict[str, Any]:
        """The figures, as ``lumiere report`` reads them; each clip's are in results.jsonl."""

        def measured(which: str, folder: Path, number: int) -> dict[str, Any]:
            clip = Clip.load(folder / f"{number:03d}.mp4")
            if which == PERIODIC:
                return measure_periodic(clip, self.material.hertz)
            return measure_text(clip, self.material.text[number], self.material.features)

        lines: dict[tuple[str, str], list[dict[str, Any]]] = {}
        with ThreadPoolExecutor(usable_cores(), initializer=partial(torch.set_num_threads, 1)) as pool:
            for which, cases in self.material.sets.items():
                for name in self.names(which):
                    folder = clip_folder(self.out, which, name)
                    results = pool.map(partial(measured, which, folder), range(len(cases)))
                    bar = tqdm(results, f"measuring {folder.name}", len(cases), disable=None)
                    lines[which, name] = list(bar)
        write_text(self.out / "results.jsonl", "".join(self._lines(lines)))
        true = np.array([line["features"] for line in lines[TEXT, REAL]])
        asked, periodic = self.material.questions, self.material.periodic
        judged = {
            name: text_row(lines[TEXT, name], asked, None if name == REAL else true)
            for name in self.names(TEXT)
        }
        columns = (*asked.values(), *QUALITY_COLUMNS)
        rows = {name: periodic_row(lines[PERIODIC, name]) for name in self.names(PERIODIC)}
        tables = [
            self._table("Prompts of the evaluation", columns, judged, len(self.material.text)),
            self._table(self.material.periodic_title, PERIODIC_COLUMNS, rows, len(periodic)),
        ]
        figures = {
            "kind": "ablation",
            "title": "One pass, or a keyframe cascade",
            "about": dict(self.settings),
            "tables": tables,
            "pictures": list(self._pictures()),
            "clips": list(self._clips()),
        }
        write_text(self.out / "figures.json", json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
        return figures

    def _table(
        self, title: str, columns: Sequence[str], rows: Mapping[str, list[Cell | None]], clips: int
    ) -> dict[str, Any]:
        return {
            "title": title,
            "note": f"{clips} prompts, the same for all; 95 % intervals.",
            "columns": ["method", "clips", *columns],
            "rows": [{"method": name, "clips": clips, "cells": cells} for name, cells in rows.items()],
        }

    def _lines(self, lines: Mapping[tuple[str, str], Sequence[dict[str, Any]]]) -> Iterator[str]:
        for (which, name), measured in lines.items():
            for number, (case, line) in enumerate(zip(self.material.sets[which], measured, strict=True)):
                about = {"set": which, "method": name, "number": number, "prompt": case.prompt}
                yield json.dumps(about | line, ensure_ascii=False) + "\n"

    def _pictures(self) -> Iterator[dict[str, str]]:
        for which, cases in self.material.sets.items():
            for number in np.linspace(0, len(cases) - 1, SHOWN).round().astype(int).tolist():
                file = slices(self.out, which, self.names(which), cases[number], number)
                yield {"file": file, "caption": cases[number].prompt}

    def _clips(self) -> Iterator[dict[str, str]]:
        for which, cases in self.material.sets.items():
            for name in self.names(which):
                folder = clip_folder(self.out, which, name).relative_to(self.out)
                for number, case in enumerate(cases):
                    file = (folder / f"{number:03d}.mp4").as_posix()
                    yield {"file": file, "method": name, "prompt": case.prompt}


def check_settings(out: Path, settings: Mapping[str, Any]) -> None:
    """Keep the settings with what is made by them. Raises :class:`InputError` if the folder has others."""
    path = out / "settings.json"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(settings, indent=1) + "\n")
        return
    there = read_json(path)
    if differing := [key for key in settings if there.get(key) != settings[key]]:
        key = differing[0]
        raise InputError(
            f"{out} was made with {key} {there.get(key)}, not {settings[key]}; choose another --out"
        )


def run(
    model: str,
    material: Material,
    one_pass_steps: int,
    out: Path,
    seed: int = 0,
    steps: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> dict[str, Any]:
    """Train, make and measure all; gives what figures.json holds.

    Args:
        steps: of sampling; the model's unless given.
        dtype: that clips are made in; training has mixed precision in any case.

    Raises:
        InputError: an argument is out of its range, data do not fit, or ``out`` has other settings.
    """
    bundle = resolve(model)
    shipped = LumierePipeline.from_pretrained(bundle)
    steps = steps or shipped.config["steps"]
    frames, steps_of = variants.length(shipped), variants.steps_of(shipped, one_pass_steps)
    settings = {
        "model": shipped.model_name,
        "model_sha256": sha256(bundle / MANIFEST),
        "train_steps": steps_of,
        "steps": steps,
        "guidance": shipped.config["guidance"],
        "seed": seed,
        "dtype": str(dtype).removeprefix("torch."),
        **material.about,
    }
    check_settings(out, settings)
    folders = train_all(shipped, material.shards, steps_of, out / "models")
    del shipped
    compared = methods(LumierePipeline.from_pretrained(bundle, dtype).to(device), folders, steps)
    ablation = Ablation(out, compared, material, settings, frames)
    ablation.make()
    return ablation.measure()
