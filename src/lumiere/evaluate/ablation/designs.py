"""The designs that are compared: trained, loaded, and asked for a clip of a prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lumiere.baselines import variants
from lumiere.baselines.cascade import KeyframeCascade
from lumiere.baselines.untrained import frame_by_frame
from lumiere.data import periodic
from lumiere.data.compose import FPS, Scene, Sprite, render
from lumiere.data.heldout import HeldOutPrompt
from lumiere.data.periodic import PeriodicPrompt
from lumiere.pipeline import LumierePipeline
from lumiere.train.loop import MODEL, Trainer
from lumiere.video import Clip

#: the sets of prompts: the evaluation's, and motion of known frequency
TEXT, PERIODIC = "text", "periodic"
REAL = "real clips"
ONE_PASS = "one pass"
CASCADE = "keyframes, then the frames between"

Prompt = HeldOutPrompt | PeriodicPrompt
Make = Callable[[Prompt, int], Clip]


@dataclass(frozen=True)
class Method:
    """A way to make a clip of a prompt with a seed, loaded when it is needed; and the sets of prompts that it
    is asked for."""

    load: Callable[[], Make]
    sets: tuple[str, ...] = (TEXT, PERIODIC)


def train_all(
    pipe: LumierePipeline, clips: Sequence[str], steps_of: Mapping[str, int], out: Path
) -> dict[str, Path]:
    """Train each of ``lumiere.baselines.variants`` of ``pipe``, or go on with it, for its number of steps;
    gives the models' folders.

    Raises:
        InputError: data or weights do not fit.
        KeyboardInterrupt: a run was interrupted; what it learnt is saved.
    """
    folders = {}
    for name, steps in steps_of.items():
        start, run = out / name / "start", out / name / "run"
        if not start.exists():
            torch.manual_seed(0)
            variants.variants(pipe)[name].start(pipe).save_pretrained(start)
        config = variants.configuration(name, pipe, start, clips, steps, run, out / "cache")
        if Trainer(config, resume=True).run():
            raise KeyboardInterrupt
        folders[name] = run / MODEL
    return folders


def methods(
    shipped: LumierePipeline, folders: Mapping[str, Path], sprites: dict[str, Sprite]
) -> dict[str, Method]:
    """What is compared, by name."""
    options = {
        "num_inference_steps": shipped.config["steps"],
        "guidance_scale": shipped.config["guidance"],
        "guidance_rescale": shipped.config["guidance_rescale"],
    }

    def loaded(name: str) -> LumierePipeline:
        pipe = LumierePipeline.from_pretrained(folders[name], shipped.unet.dtype)
        return _quiet(pipe.to(shipped.device))

    def calls(pipe: Any) -> Make:
        return lambda prompt, seed: pipe(prompt.prompt, seed=seed, **options)

    def trained(name: str) -> Callable[[], Make]:
        return lambda: calls(loaded(name))

    def cascade() -> KeyframeCascade:
        return KeyframeCascade(loaded(variants.KEYFRAMES), loaded(variants.BETWEEN))

    def untold() -> Make:
        both = cascade()

        def make(prompt: Prompt, seed: int) -> Clip:
            keyframes = both.keyframes(prompt.prompt, seed=seed, **options).frames
            return both.fill(keyframes, "", seed=seed, **options)

        return make

    def between_real() -> Make:
        both = cascade()
        count = both.keyframes.config["frames"]

        def make(prompt: Prompt, seed: int) -> Clip:
            keyframes = real(prompt, sprites)[:: both.interval][:count]
            return both.fill(keyframes, prompt.prompt, seed=seed, **options)

        return make

    return {
        REAL: Method(lambda: lambda prompt, _: Clip(real(prompt, sprites), FPS)),
        ONE_PASS: Method(trained(variants.ONE_PASS)),
        CASCADE: Method(lambda: calls(cascade())),
        "keyframes, then the frames between, untold": Method(untold, (PERIODIC,)),
        "real keyframes, then the frames between": Method(between_real, (PERIODIC,)),
        "no temporal resampling": Method(trained(variants.NO_RESAMPLING)),
        "frame by frame": Method(lambda: calls(_quiet(frame_by_frame(shipped))), (TEXT,)),
        "one pass, convolution alone": Method(trained(variants.CONVOLUTION), (TEXT,)),
        "one pass, begun as the identity": Method(trained(variants.IDENTITY), (TEXT,)),
        "one pass, begun at random": Method(trained(variants.RANDOM), (TEXT,)),
        "one pass, as shipped": Method(lambda: calls(_quiet(shipped)), (TEXT,)),
    }


def _quiet(pipe: LumierePipeline) -> LumierePipeline:
    pipe.set_progress_bar_config(disable=True)
    return pipe


def real(prompt: Prompt, sprites: dict[str, Sprite]) -> np.ndarray:
    """The clip that the prompt describes, composed: uint8, t x s x s x 3."""
    draw: Any = render if isinstance(prompt.scene, Scene) else periodic.render
    return draw(prompt.scene, sprites)
