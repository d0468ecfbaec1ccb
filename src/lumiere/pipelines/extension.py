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

#: frames at the end of a window that the next one makes again: nothing follows them there, so they are the
#: least like those before
REMADE_FRAMES = 2
#: frames over which the step from the last known frame to the first generated one is spread
EASED_FRAMES = 6
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
    remade, joins = min(REMADE_FRAMES, (length - known_frames) // 4), []
    for number in itertools.count():
        condition = continue_from(frames, known_frames, length)
        part = prompt if travel is None else travel.shifted(len(frames) - known_frames)
        window = pipe(part, condition=condition, seed=seed + number, **options)
        joins.append(len(frames))
        frames = np.concatenate([frames, eased(frames[-1], window.frames[known_frames:])])
        if len(frames) >= num_frames:
            break
        frames = frames[: len(frames) - remade]
    about = {
        **window.metadata,
        "prompt": str(travel or prompt),
        "seed": seed,
        "extended_from": len(clip),
        "joins": joins,
    }
    return Clip(frames[:num_frames], clip.fps if fps is None else fps, about)


def eased(last: np.ndarray, made: np.ndarray) -> np.ndarray:
    """Generated frames whose first ones go over from the known ``last`` one in equal parts of the difference,
    a dissolve in place of a cut; a short window stays as it is.

    Args:
        last: uint8, h x w x 3.
        made: uint8, t x h x w x 3.
    """
    count = min(EASED_FRAMES, len(made) // 8)
    if not count:
        return made
    step = made[0].astype(np.float32) - last
    left = 1 - (np.arange(count, dtype=np.float32) + 1) / count
    first = made[:count] - left[:, None, None, None] * step
    return np.concatenate([first.round().clip(0, 255).astype(np.uint8), made[count:]])
