"""Extension: a clip continued window by window, each conditioned on the last frames of the one before."""

from __future__ import annotations

import itertools
import secrets
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from lumiere.conditions import continue_from
from lumiere.errors import InputError
from lumiere.io.video import Clip, resize
from lumiere.pipelines.inputs import check_seed, fitted_size
from lumiere.pipelines.travel import Travel

if TYPE_CHECKING:
    from lumiere.pipelines.request import Prompt
    from lumiere.pipelines.text_to_video import LumierePipeline

#: frames of a window that are known, at most
KNOWN_FRAMES = 16


def extend(
    pipe: LumierePipeline,
    clip: Clip,
    num_frames: int,
    prompt: Prompt = "",
    *,
    known_frames: int | None = None,
    seed: int | None = None,
    fps: float | int | Fraction | None = None,
    **options: Any,
) -> Clip:
    """See :meth:`~lumiere.pipelines.text_to_video.LumierePipeline.extend`."""
    if num_frames <= len(clip):
        raise InputError(f"{num_frames} frames are asked for; the clip has {len(clip)} already")
    height, width = fitted_size(clip.height, clip.width, pipe.config["size"], pipe.codec.factor)
    frames = resize(clip.frames, height, width)
    length = pipe.config["frames"]
    if known_frames is None:
        known_frames = max(1, min(KNOWN_FRAMES, length // 2, len(clip)))
    seed = secrets.randbelow(2**32) if seed is None else check_seed(seed)
    window, travel = clip, Travel.of(prompt)
    if travel is not None:
        travel.check(num_frames)
    for number in itertools.count():
        condition = continue_from(frames, known_frames, length)
        part = prompt if travel is None else travel.shifted(len(frames) - known_frames)
        window = pipe(part, condition=condition, seed=seed + number, **options)
        frames = np.concatenate([frames, window.frames[known_frames:]])
        if len(frames) >= num_frames:
            break
    about = {**window.metadata, "prompt": str(travel or prompt), "seed": seed, "extended_from": len(clip)}
    return Clip(frames[:num_frames], clip.fps if fps is None else fps, about)
