"""Measurements on a clip of the ablation, and their table cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lumiere.emoji.data.heldout import HeldOutPrompt
from lumiere.emoji.data.scenes import BOUNCES_PER_SECOND, FPS
from lumiere.emoji.evaluation.frequency import aliased, frequency, relative_error
from lumiere.emoji.evaluation.prompts import judge
from lumiere.emoji.evaluation.recogniser import Recogniser
from lumiere.io.video import Clip
from lumiere.metrics import bootstrap
from lumiere.metrics.features import Features
from lumiere.metrics.frechet import frechet_distance
from lumiere.metrics.motion_smoothness import motion_smoothness
from lumiere.metrics.warping_error import warping_error
from lumiere.research.ablations.tables import Cell, mean_cell, median_cell, share_cell, value_cell
from lumiere.research.baselines.variants import INTERVALS

#: of the keyframes that lie farthest apart
KEYFRAME_RATE = FPS / max(INTERVALS)
#: of the frequency: a clip this near has it
NEAR = 0.1


def measure_text(
    clip: Clip, prompt: HeldOutPrompt, recogniser: Recogniser, features: Features
) -> dict[str, Any]:
    """What the evaluation asks, and the motion's quality."""
    judged = judge(clip.frames, prompt, recogniser)
    return {
        **judged["answers"],
        "warping": 1000 * warping_error(clip.frames).error,
        "smoothness": motion_smoothness(clip.frames),
        "features": features(clip.frames, prompt.prompt)[0].tolist(),
    }


def measure_periodic(clip: Clip) -> dict[str, Any]:
    """The frequency of the clip's motion, hertz, and what it is to a bounce's; None without any."""
    found = frequency(clip.frames, FPS)
    if found is None:
        return {"hertz": None, "error": None, "aliased": None}
    return {
        "hertz": found.hertz,
        "error": relative_error(found.hertz, BOUNCES_PER_SECOND),
        "aliased": aliased(found.hertz, BOUNCES_PER_SECOND, KEYFRAME_RATE),
    }


TEXT_COLUMNS = (
    "background right",
    "direction right",
    "size right",
    "bounce right",
    "object (top 1)",
    "object (top 5)",
    "moves",
    "warping error x 1000",
    "motion smoothness",
    "Frechet distance of recogniser features (not FVD)",
)
_ASKED = ("background", "direction", "size", "bounce", "top1", "top5", "moves")
PERIODIC_COLUMNS = (
    f"frequency within {NEAR:.0%}",
    "nearer to the alias of distant keyframes",
    "no period found",
    "error of the frequency, median",
)


def text_row(lines: Sequence[dict[str, Any]], true: np.ndarray | None) -> list[Cell | None]:
    """Cells of :data:`TEXT_COLUMNS`; ``true`` are the features of the real clips of the same prompts."""
    cells = [share_cell([line[key] for line in lines if line[key] is not None]) for key in _ASKED]
    cells += [mean_cell([line[key] for line in lines], "") for key in ("warping", "smoothness")]
    distance = None
    if true is not None and len(true) > 1:
        made = np.array([line["features"] for line in lines])
        low, high = bootstrap.interval(frechet_distance, made, true, resamples=20)
        distance = value_cell(frechet_distance(made, true), low, high, "")
    return [*cells, distance]


def periodic_row(lines: Sequence[dict[str, Any]]) -> list[Cell | None]:
    """Cells of :data:`PERIODIC_COLUMNS`. A clip in which nothing repeats is wrong."""
    return [
        share_cell([line["error"] is not None and line["error"] <= NEAR for line in lines]),
        share_cell([bool(line["aliased"]) for line in lines]),
        share_cell([line["hertz"] is None for line in lines]),
        median_cell([line["error"] for line in lines if line["error"] is not None], ""),
    ]
