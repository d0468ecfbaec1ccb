"""Ablation of one-pass generation against a keyframe cascade, with models trained alike (section 1 of arXiv
2401.12945).

Two sets of prompts that training never said: the evaluation's, and bounces, which near keyframes can tell and
distant ones cannot.
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
from lumiere.emoji.data.heldout import HeldOutPrompt, held_out_of_motion
from lumiere.emoji.data.scenes import FPS
from lumiere.emoji.data.sprites import load_sprites
from lumiere.emoji.evaluation.prompts import choose_prompts, first, slice_along, write_text
from lumiere.emoji.evaluation.recogniser import Recogniser
from lumiere.errors import InputError
from lumiere.io.bundle import MANIFEST, objects, read_json, resolve, sha256
from lumiere.io.sheet import stacked
from lumiere.io.video import Clip, save_picture
from lumiere.metrics.features import Features, load_features
from lumiere.pipelines.text_to_video import LumierePipeline
from lumiere.research.ablations.designs import PERIODIC, REAL, TEXT, Method, methods, train_all
from lumiere.research.ablations.measures import (
    PERIODIC_COLUMNS,
    TEXT_COLUMNS,
    measure_periodic,
    measure_text,
    periodic_row,
    text_row,
)
from lumiere.research.ablations.tables import Cell
from lumiere.research.baselines import variants

#: prompts of each set whose slices are drawn, evenly spaced
SHOWN = 4


def clip_folder(out: Path, which: str, name: str) -> Path:
    """Where a method's clips of a set of prompts are."""
    return out / "clips" / which / name.replace(",", "").replace(" ", "-")


def make_clips(
    method: Method, prompts: Sequence[HeldOutPrompt], folder: Path, seed: int, length: int
) -> None:
    """Make what is not there yet: the first ``length`` frames, a file for each prompt's number."""
    paths = [folder / f"{number:03d}.mp4" for number in range(len(prompts))]
    if all(path.exists() for path in paths):
        return
    make = method.load()
    for number, (path, prompt) in enumerate(
        zip(paths, tqdm(prompts, folder.name, disable=None), strict=True)
    ):
        if not path.exists():
            made = make(prompt, seed + number)
            about = {"prompt": prompt.prompt, "seed": seed + number}
            Clip(made.frames[:length], FPS, made.metadata | about).save(path)


def slices(out: Path, which: str, names: Sequence[str], prompts: Sequence[HeldOutPrompt], number: int) -> str:
    """Write the x-t slices of one prompt's clips, one below the other; gives the file's name."""
    motion = prompts[number].scene.motion
    paths = [clip_folder(out, which, name) / f"{number:03d}.mp4" for name in names]
    pictures = [slice_along(Clip.load(path), motion) for path in paths]
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
    prompts: Mapping[str, Sequence[HeldOutPrompt]]
    settings: Mapping[str, Any]
    length: int

    def names(self, which: str) -> list[str]:
        return [name for name, method in self.methods.items() if which in method.sets]

    def make(self) -> None:
        """Make all clips that are not there yet."""
        for which, prompts in self.prompts.items():
            for name in self.names(which):
                folder = clip_folder(self.out, which, name)
                make_clips(self.methods[name], prompts, folder, self.settings["seed"], self.length)

    def measure(self, recogniser: Recogniser, features: Features) -> dict[str, Any]:
        """The figures, as ``lumiere report`` reads them; each clip's are in results.jsonl."""

        def measured(which: str, folder: Path, number: int) -> dict[str, Any]:
            clip = Clip.load(folder / f"{number:03d}.mp4")
            if which == PERIODIC:
                return measure_periodic(clip)
            return measure_text(clip, self.prompts[which][number], recogniser, features)

        lines: dict[tuple[str, str], list[dict[str, Any]]] = {}
        with ThreadPoolExecutor(usable_cores(), initializer=partial(torch.set_num_threads, 1)) as pool:
            for which, prompts in self.prompts.items():
                for name in self.names(which):
                    folder = clip_folder(self.out, which, name)
                    results = pool.map(partial(measured, which, folder), range(len(prompts)))
                    bar = tqdm(results, f"measuring {folder.name}", len(prompts), disable=None)
                    lines[which, name] = list(bar)
        write_text(self.out / "results.jsonl", "".join(self._lines(lines)))
        true = np.array([line["features"] for line in lines[TEXT, REAL]])
        tables = [
            self._table(
                "Prompts of the evaluation",
                TEXT_COLUMNS,
                {
                    name: text_row(lines[TEXT, name], None if name == REAL else true)
                    for name in self.names(TEXT)
                },
                len(self.prompts[TEXT]),
            )
        ]
        rows = {name: periodic_row(lines[PERIODIC, name]) for name in self.names(PERIODIC)}
        tables.append(
            self._table("Bouncing, once a second", PERIODIC_COLUMNS, rows, len(self.prompts[PERIODIC]))
        )
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
            for number, (prompt, line) in enumerate(zip(self.prompts[which], measured, strict=True)):
                about = {"set": which, "method": name, "number": number, "prompt": prompt.prompt}
                yield json.dumps(about | line, ensure_ascii=False) + "\n"

    def _pictures(self) -> Iterator[dict[str, str]]:
        for which, prompts in self.prompts.items():
            for number in np.linspace(0, len(prompts) - 1, SHOWN).round().astype(int).tolist():
                file = slices(self.out, which, self.names(which), prompts, number)
                yield {"file": file, "caption": prompts[number].prompt}

    def _clips(self) -> Iterator[dict[str, str]]:
        for which, prompts in self.prompts.items():
            for name in self.names(which):
                folder = clip_folder(self.out, which, name).relative_to(self.out)
                for number, prompt in enumerate(prompts):
                    file = (folder / f"{number:03d}.mp4").as_posix()
                    yield {"file": file, "method": name, "prompt": prompt.prompt}


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
    data: Path,
    one_pass_steps: int,
    prompts: int,
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
    labels = objects(bundle)
    sprites = {sprite.code: sprite for sprite in load_sprites(data, codes=labels)}
    labels = labels or {code: sprite.label for code, sprite in sprites.items()}
    if lacking := labels.keys() - sprites.keys():
        raise InputError(
            f"{data} lacks {len(lacking)} of the model's objects, such as {labels[min(lacking)]}"
        )
    chosen = {
        TEXT: choose_prompts(labels, prompts),
        PERIODIC: first(held_out_of_motion(labels, "bounce"), prompts),
    }
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
        "objects": len(labels),
    }
    check_settings(out, settings)
    folders = train_all(shipped, [str(data / "train-clips-*.tar")], steps_of, out / "models")
    del shipped
    compared = methods(LumierePipeline.from_pretrained(bundle, dtype).to(device), folders, sprites, steps)
    ablation = Ablation(out, compared, chosen, settings, frames)
    ablation.make()
    return ablation.measure(Recogniser.load(), load_features())
