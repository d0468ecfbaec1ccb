"""Evaluation of the conditioned model's applications on held-out real clips (section 4 of arXiv 2401.12945).

A case is a held-out prompt with the real clip that it describes. The raw figures measure the known region
before compositing; all others are of the composited clip.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from lumiere import conditions
from lumiere.conditions import Condition
from lumiere.diffusion.conditioning import fill_unknown
from lumiere.emoji.data.heldout import HeldOutPrompt
from lumiere.emoji.data.scenes import CLIP_FRAMES, Background, Scene, caption, paint
from lumiere.emoji.evaluation.bench import Bench, Figures, Shown
from lumiere.emoji.evaluation.figures import MOVING_THRESHOLD, border_colour, change_between_eighths, measure
from lumiere.io.pixels import to_uint8
from lumiere.metrics.consistency import detail, flows, psnr, warped_error
from lumiere.metrics.joins import steps_at
from lumiere.metrics.optical_flow import opencv
from lumiere.pipelines.inputs import fitted_size
from lumiere.pipelines.outputs import changes_round
from lumiere.train.masks import HoleShape, object_box, random_hole

EXTENDED = 400
HOLES: list[tuple[HoleShape, bool]] = [("boxes", False), ("stroke", False), ("boxes", True), ("stroke", True)]
_NEAR = 5
_MARGIN = 4
#: pixels of the surroundings that the model sees when it makes a hole alone
_PADDING = 8


def animate(bench: Bench, prompt: HeldOutPrompt, number: int, seed: int) -> tuple[Figures, Shown]:
    real, code = bench.real(prompt.scene), prompt.scene.objects[0]
    condition = conditions.from_image(real[0], len(real))
    made, kept = bench.make(prompt.prompt, condition, seed)
    figures = measure(made, prompt.scene)
    return {
        **kept,
        "given_named": bench.names(real[:1], code),
        "named": bench.names(made[1:], code),
        "direction": figures.direction_right,
        "moves": figures.moves,
    }, {prompt.prompt: made}


def cinemagraph(bench: Bench, prompt: HeldOutPrompt, number: int, seed: int) -> tuple[Figures, Shown]:
    scene = dataclasses.replace(prompt.scene, motion="none")
    text, real = caption(scene, dict(bench.labels)), bench.real(scene)
    height, width = real.shape[1:3]
    region = conditions.rectangle(height, width, _region_of_object(real[0]))
    condition = conditions.cinemagraph(real[0], region, len(real))
    made, kept = bench.make(text, condition, seed)
    return {
        **kept,
        "moves": change_between_eighths(made) > MOVING_THRESHOLD,
        "real_moves": change_between_eighths(real) > MOVING_THRESHOLD,
        "named": bench.names(made[1:], scene.objects[0]),
    }, {text: made}


def inpaint(bench: Bench, prompt: HeldOutPrompt, number: int, seed: int) -> tuple[Figures, Shown]:
    real = bench.real(prompt.scene)
    shape, moves = HOLES[number % len(HOLES)]
    hole = random_hole(np.random.default_rng(number), real.shape[:3], shape, moves)
    condition = conditions.inpaint(real, hole)
    made, kept = bench.make(prompt.prompt, condition, seed)
    telea = _telea(real, hole)
    wanted = Condition(real, hole)
    flow = flows(real)
    return {
        **kept,
        "hole_psnr": wanted.psnr(made),
        "telea_psnr": wanted.psnr(telea),
        "copy_psnr": wanted.psnr(_copied(real, hole, telea)),
        "warped": warped_error(made, real, flow),
        "real_warped": warped_error(real, real, flow),
        "hole_warped": warped_error(made, real, flow, hole),
        "real_hole_warped": warped_error(real, real, flow, hole),
    }, {
        f"{prompt.prompt}: {shape}, {'moving' if moves else 'still'}": made,
        "given": np.where(hole[..., None], 128, real).astype(np.uint8),
        "real": real,
        "Telea": telea,
    }


def add(bench: Bench, prompt: HeldOutPrompt, number: int, seed: int) -> tuple[Figures, Shown]:
    """An object that is not there, in turn on an empty background and beside another object, where the hole
    is made at the model's full size."""
    code, background = prompt.scene.objects[0], prompt.scene.background
    alone = Scene((code,), "alone", background, "none", 0.6, (0.0, 0.0))
    beside = bool(number % 2)
    if beside:
        others = [each for each in sorted(bench.labels) if each != code]
        other = others[number * 7 % len(others)]
        real = bench.real(Scene((other, code), "beside", background, "none", 0.46, (0.0, 0.0)))
        before = bench.real(Scene((other,), "alone", background, "none", 0.46, (-0.52 * 0.46, 0.0)))
        share = (0.5, 0.2, 1.0, 0.8)
    else:
        real = bench.real(alone)
        before = _empty(background, real)
        share = (0.17, 0.17, 0.83, 0.83)
    height, width = real.shape[1:3]
    left, top, right, bottom = (
        round(part * side) for part, side in zip(share, (width, height) * 2, strict=True)
    )
    text = caption(alone, dict(bench.labels))
    condition = conditions.inpaint(before, conditions.rectangle(height, width, (left, top, right, bottom)))
    part, place = condition.crop_to_unknown(_PADDING if beside else max(height, width))
    part = part.resized(*fitted_size(part.height, part.width, max(height, width), bench.pipe.codec.factor))
    made, kept = bench.make(text, part, seed)
    made = condition.composite(condition.paste(made, place))
    inside = (slice(None), slice(top, bottom), slice(left, right))
    named = bench.names(made[inside], code)
    return {
        **kept,
        "named": named,
        "named_beside": named if beside else None,
        "real_named": bench.names(real[inside], code),
    }, {text: made, "given": before}


def transition(bench: Bench, prompt: HeldOutPrompt, number: int, seed: int) -> tuple[Figures, Shown]:
    real = bench.real(prompt.scene)
    last = len(real) - 1
    condition = conditions.from_frames({0: real[0], last: real[last]}, len(real))
    made, kept = bench.make(prompt.prompt, condition, seed)
    share = np.linspace(0, 1, len(real))[:, None, None, None]
    crossfade = ((1 - share) * real[0] + share * real[last]).round().astype(np.uint8)
    return {
        **kept,
        "between_psnr": psnr(made[1:last], real[1:last]),
        "crossfade_psnr": psnr(crossfade[1:last], real[1:last]),
        "moves": measure(made, prompt.scene).moves,
    }, {prompt.prompt: made, "real": real}


def loop(bench: Bench, prompt: HeldOutPrompt, number: int, seed: int) -> tuple[Figures, Shown]:
    """A loop begins where it changes least, so that its largest step says more than its seam."""
    made, unlooped = (
        bench.pipe(prompt.prompt, loop=wanted, seed=seed, **bench.sampling).frames for wanted in (True, False)
    )
    steps = _steps(made)
    return {
        "seamless": steps[0] <= 1.0,
        "seam": steps[0],
        "roughest": max(steps),
        "unlooped_seam": _steps(unlooped)[0],
        "moves": measure(made, prompt.scene).moves,
    }, {prompt.prompt: made}


def extend(bench: Bench, prompt: HeldOutPrompt, number: int, seed: int) -> tuple[Figures, Shown]:
    """From a clip that the model made, for the difference to be its drift and not the codec's loss."""
    scene = dataclasses.replace(prompt.scene, motion="none")
    text = caption(scene, dict(bench.labels))
    first = bench.pipe(text, seed=seed, **bench.sampling)
    extended = bench.pipe.extend(first, EXTENDED, text, seed=seed, **bench.sampling)
    made, joins = extended.frames, steps_at(extended.frames, extended.metadata["joins"])
    begin, end = made[:CLIP_FRAMES], made[-CLIP_FRAMES:]
    drift = float(np.abs(border_colour(end) - border_colour(begin)).max())
    return {
        "first_join": joins[0],
        "join": max(joins),
        "drift": drift,
        "kept": drift <= _NEAR,
        "detail": detail(end) / detail(begin),
        "given_named": bench.names(begin, scene.objects[0]),
        "named": bench.names(end, scene.objects[0]),
        "moves": change_between_eighths(end) > MOVING_THRESHOLD,
    }, {text: made}


def _region_of_object(frame: np.ndarray) -> conditions.Box:
    """A box around the object and a little more; the middle if there is none."""
    height, width = frame.shape[:2]
    box = object_box(frame[None])
    if box is None:
        return width // 4, height // 4, width * 3 // 4, height * 3 // 4
    return conditions.grown(box, _MARGIN, height, width)


def _telea(frames: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Telea's inpainting (2004) of each frame by itself. Raises :class:`InputError` without OpenCV."""
    cv2 = opencv()
    pairs = zip(frames, hole.astype(np.uint8), strict=True)
    return np.stack([cv2.inpaint(frame, mask, 3, cv2.INPAINT_TELEA) for frame, mask in pairs])


def _copied(frames: np.ndarray, hole: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Each pixel of the hole from the nearest frame that has it; if none has, from ``otherwise``."""
    video = torch.from_numpy(frames).movedim(-1, 0)[None].float()
    given = torch.from_numpy(~hole)[None, None].float()
    nearest = fill_unknown(video, given)[0].movedim(0, -1).byte().numpy()
    return np.where(np.all(hole, axis=0, keepdims=True)[..., None], otherwise, nearest)


def _empty(background: Background, like: np.ndarray) -> np.ndarray:
    picture = to_uint8(paint(background, like.shape[1])[:, None] * 2 - 1)
    return np.broadcast_to(picture, like.shape).copy()


def _steps(frames: np.ndarray) -> list[float]:
    """The changes round the loop, over the median change from one frame to the next."""
    changes = changes_round(frames)
    return [float(change) for change in changes / max(float(np.median(changes[1:])), 1e-9)]
