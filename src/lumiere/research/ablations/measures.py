"""Measurements on a clip of the ablation, and their table cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lumiere.io.video import Clip
from lumiere.metrics import bootstrap
from lumiere.metrics.features import Features
from lumiere.metrics.frechet import frechet_distance
from lumiere.metrics.frequency import aliased, frequency, relative_error
from lumiere.metrics.motion_smoothness import motion_smoothness
from lumiere.metrics.warping_error import warping_error
from lumiere.research.ablations.designs import Case
from lumiere.research.ablations.tables import Cell, mean_cell, median_cell, share_cell, value_cell
from lumiere.research.baselines.variants import INTERVALS

#: of the frequency: a clip this near has it
NEAR = 0.1


def measure_text(clip: Clip, case: Case, features: Features) -> dict[str, Any]:
    """What the case's judge answers, and the motion's quality."""
    return {
        **case.judge(clip.frames),
        "warping": 1000 * warping_error(clip.frames).error,
        "smoothness": motion_smoothness(clip.frames),
        "features": features(clip.frames, case.prompt)[0].tolist(),
    }


def measure_periodic(clip: Clip, hertz: float) -> dict[str, Any]:
    """The frequency of the clip's motion, its relative error, and whether it is nearer to the alias that the
    keyframes farthest apart would give; None where nothing repeats.

    Args:
        hertz: the true frequency.
    """
    fps = float(clip.fps)
    found = frequency(clip.frames, fps)
    if found is None:
        return {"hertz": None, "error": None, "aliased": None}
    return {
        "hertz": found.hertz,
        "error": relative_error(found.hertz, hertz),
        "aliased": aliased(found.hertz, hertz, fps / max(INTERVALS)),
    }


#: after the questions of the cases' judges
QUALITY_COLUMNS = (
    "warping error x 1000",
    "motion smoothness",
    "Frechet distance of recogniser features (not FVD)",
)
PERIODIC_COLUMNS = (
    f"frequency within {NEAR:.0%}",
    "nearer to the alias of distant keyframes",
    "no period found",
    "error of the frequency, median",
)


def text_row(
    lines: Sequence[dict[str, Any]], questions: Iterable[str], true: np.ndarray | None
) -> list[Cell | None]:
    """Cells of the questions and of :data:`QUALITY_COLUMNS`.

    Args:
        true: features of the real clips of the same prompts; None for the row of these themselves.
    """
    cells = [share_cell([line[key] for line in lines if line[key] is not None]) for key in questions]
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
