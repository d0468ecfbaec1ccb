"""A trained condition beside clamping alone, on the shipped model and the clips of ``tests/sample``.

    python benchmarks/clamping.py --clips 8

Image to video: the first step (mean absolute difference of the first two frames) over the median step of the
clip. Inpainting of a box: the mean absolute difference of neighbouring pixels across the border of the hole,
of 255, and the PSNR inside the hole. Known pixels are composited: the first frame
and what surrounds the hole are exact. Medians over the clips.
"""

from __future__ import annotations

import argparse
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lumiere import LumierePipeline, conditions
from lumiere.io.video import Clip

SAMPLE = Path(__file__).parents[1] / "tests" / "sample" / "clips.tar"
BOX = (40, 40, 88, 88)


def clamping_alone(pipe: LumierePipeline) -> LumierePipeline:
    """The pipeline, whose net never sees what is known: its latents are clamped, and no more."""
    denoise = pipe._denoise
    pipe._denoise = lambda x, t, context, condition=None, **more: denoise(x, t, context, **more)
    return pipe


def first_step(frames: np.ndarray) -> float:
    """The first step of a clip over its median step."""
    steps = np.abs(np.diff(frames.astype(np.float32), axis=0)).mean((1, 2, 3))
    return float(steps[0] / max(np.median(steps[1:]), 1e-6))


def seam(frames: np.ndarray) -> float:
    """Mean absolute difference across the border of the hole."""
    left, top, right, bottom = BOX
    frames = frames.astype(np.float32)
    rows = [frames[:, row, left:right] - frames[:, row - 1, left:right] for row in (top, bottom)]
    columns = [frames[:, top:bottom, column] - frames[:, top:bottom, column - 1] for column in (left, right)]
    return float(np.abs(np.concatenate([*rows, *columns], 1)).mean())


def psnr(frames: np.ndarray, source: np.ndarray) -> float:
    """Inside the hole, in dB."""
    left, top, right, bottom = BOX
    error = (frames.astype(np.float32) - source)[:, top:bottom, left:right]
    return float(10 * np.log10(255**2 / np.square(error).mean()))


def sample_clips(count: int) -> list[tuple[np.ndarray, str]]:
    """Composed clips, uint8 t h w 3, and their captions."""
    with tempfile.TemporaryDirectory() as folder, tarfile.open(SAMPLE) as tar:
        tar.extractall(folder, filter="data")
        files = sorted(Path(folder).glob("*.mp4"))[:count]
        return [
            (Clip.load(each).frames, json.loads(each.with_suffix(".json").read_text())["caption"])
            for each in files
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    options = parser.parse_args()
    dtype = getattr(torch, options.dtype)

    def load(**components: Any) -> LumierePipeline:
        return LumierePipeline.from_pretrained("emoji", dtype, **components)

    modes = {
        "trained condition, warp net": (load(), 1),
        "trained condition": (load(warp_net=None), 1),
        "clamped": (clamping_alone(load(warp_net=None)), 1),
        "clamped, resample=4": (clamping_alone(load(warp_net=None)), 4),
    }
    rows: dict[str, list[tuple[float, float, float]]] = {"source clip": [], **{mode: [] for mode in modes}}
    for number, (frames, caption) in enumerate(sample_clips(options.clips)):
        rows["source clip"].append((first_step(frames), seam(frames), float("inf")))
        for mode, (pipe, resample) in modes.items():
            pipe.set_progress_bar_config(disable=True)
            image = conditions.from_image(frames[0], len(frames))
            hole = conditions.inpaint(frames, conditions.rectangle(*frames.shape[1:3], BOX))
            moved, filled = (
                pipe(caption, condition=each, seed=number, resample=resample).frames for each in (image, hole)
            )
            measured = first_step(moved), seam(filled), psnr(filled, frames)
            rows[mode].append(measured)
            print(number, mode, *(f"{each:.2f}" for each in measured), flush=True)
    print(f"\n{'':30}first step   seam  PSNR in the hole")
    for mode, values in rows.items():
        step, border, quality = np.median(np.array(values), 0)
        print(f"{mode:30}{step:10.2f}{border:7.2f}{quality:10.1f} dB")


if __name__ == "__main__":
    main()
