"""The designs under comparison: training, loading and sampling them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lumiere.io.video import Clip
from lumiere.pipelines.text_to_video import FROM_PROMPT_ALONE, LumierePipeline
from lumiere.research.baselines import variants
from lumiere.research.baselines.cascade import KeyframeCascade
from lumiere.research.baselines.untrained import frame_by_frame
from lumiere.train.loop import MODEL, Trainer

#: the sets of cases: prompts whose clips are judged, and motion of known frequency
TEXT, PERIODIC = "text", "periodic"
REAL = "real clips"
ONE_PASS = "one pass"
CASCADE = "every {}th frame, then those between"


@dataclass(frozen=True)
class Case:
    """A prompt that every method makes a clip of.

    Attributes:
        real: the clip that the prompt describes.
        judge: answers by question of frames (uint8, t x h x w x 3) that are to show the prompt; None for what
            it does not ask.
        vertical: whether its motion is up and down, so that the x-t slice is of a column.
    """

    prompt: str
    real: Callable[[], Clip]
    judge: Callable[[np.ndarray], Mapping[str, bool | None]]
    vertical: bool


Make = Callable[[Case, int], Clip]


@dataclass(frozen=True)
class Method:
    """A way to make a clip of a case with a seed, loaded when it is needed; and the sets of cases that it is
    asked for."""

    load: Callable[[], Make]
    sets: tuple[str, ...] = (TEXT, PERIODIC)


def train_all(
    pipe: LumierePipeline, clips: Sequence[str], steps_of: Mapping[str, int], out: Path
) -> dict[str, Path]:
    """Train or resume each of ``lumiere.research.baselines.variants`` of ``pipe`` for its number of steps.

    Returns the models' folders.

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


def methods(shipped: LumierePipeline, folders: Mapping[str, Path], steps: int) -> dict[str, Method]:
    """What is compared, by name; all sample in as many steps."""
    options = {
        "num_inference_steps": steps,
        "guidance_scale": shipped.config["guidance"],
        "guidance_rescale": shipped.config["guidance_rescale"],
        **FROM_PROMPT_ALONE,
    }

    def loaded(name: str) -> LumierePipeline:
        pipe = LumierePipeline.from_pretrained(folders[name], shipped.unet.dtype)
        return _quiet(pipe.to(shipped.device))

    def calls(pipe: Any, **others: int) -> Make:
        return lambda case, seed: pipe(case.prompt, seed=seed, **options, **others)

    def trained(name: str) -> Callable[[], Make]:
        return lambda: calls(loaded(name))

    def cascade(interval: int) -> KeyframeCascade:
        return KeyframeCascade(loaded(variants.KEYFRAMES[interval]), loaded(variants.BETWEEN[interval]))

    often, seldom = variants.INTERVALS
    frames = variants.length(shipped)

    return {
        REAL: Method(lambda: lambda case, _: case.real()),
        ONE_PASS: Method(trained(variants.ONE_PASS)),
        CASCADE.format(often): Method(lambda: calls(cascade(often))),
        CASCADE.format(seldom): Method(lambda: calls(cascade(seldom)), (PERIODIC,)),
        "no temporal resampling": Method(trained(variants.NO_RESAMPLING), (TEXT,)),
        "frame by frame": Method(lambda: calls(_quiet(frame_by_frame(shipped)), num_frames=frames), (TEXT,)),
        "one pass, convolution alone": Method(trained(variants.CONVOLUTION), (TEXT,)),
        "one pass, begun as the identity": Method(trained(variants.IDENTITY), (TEXT,)),
        "one pass, begun at random": Method(trained(variants.RANDOM), (TEXT,)),
    }


def _quiet(pipe: LumierePipeline) -> LumierePipeline:
    pipe.set_progress_bar_config(disable=True)
    return pipe
