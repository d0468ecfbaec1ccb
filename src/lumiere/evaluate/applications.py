"""How well the conditioned model does what it is for, on held-out real clips (section 4 of arXiv 2401.12945).

A case is a held-out prompt with the real clip that it describes. Of what the model is given, the raw figures
say how well the model itself kept it; all others are of the clip that a user gets, with what is given put
back.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from lumiere import conditions
from lumiere.conditions import Condition
from lumiere.data.compose import CLIP_FRAMES, FPS, Background, Scene, Sprite, caption, paint, render
from lumiere.data.heldout import HeldOutPrompt
from lumiere.diffusion.conditioning import nearest_given
from lumiere.errors import InputError
from lumiere.evaluate.consistency import detail, flows, psnr, warped_error
from lumiere.evaluate.figures import (
    MOVING_THRESHOLD,
    border_colour,
    change_between_eighths,
    measure,
    wilson,
)
from lumiere.evaluate.recogniser import Recogniser, ranking
from lumiere.evaluate.sheet import contact_sheet
from lumiere.pipeline import LumierePipeline, changes_round, fitted_size, to_uint8
from lumiere.train.masks import HoleShape, object_box, random_hole
from lumiere.video import Clip, save_picture

#: what is measured, in the words of the table; a mean, or of what is true or false a share
FIGURES = {
    "raw_psnr": "what is given, as the model made it (dB)",
    "codec_psnr": "what is given, through the codec alone (dB)",
    "exact": "what is given is put back exactly",
    "given_named": "object recognised in what is given",
    "named": "object recognised in what was made",
    "named_beside": "the same, of those beside another object",
    "real_named": "object recognised in the real clip",
    "direction": "direction of motion right",
    "moves": "moves",
    "real_moves": "the real clip moves",
    "hole_psnr": "inside the hole (dB)",
    "telea_psnr": "inside the hole, by OpenCV's Telea, frame by frame (dB)",
    "copy_psnr": "inside the hole, copied from the nearest frame (dB)",
    "warped": "flow-warped error (of 255)",
    "real_warped": "flow-warped error of the real clip (of 255)",
    "hole_warped": "flow-warped error inside the hole (of 255)",
    "real_hole_warped": "flow-warped error of the real clip inside the hole (of 255)",
    "between_psnr": "between the ends (dB)",
    "crossfade_psnr": "between the ends, by a crossfade (dB)",
    "seamless": "from last to first no more than the median step",
    "seam": "from last to first, over the median step",
    "roughest": "the largest step of the loop, over the median step",
    "unlooped_seam": "from last to first, over the median step, of a clip that is no loop",
    "drift": "change of the background from the first 80 frames to the last (of 255)",
    "kept": "background within 5 of 255",
    "detail": "fine detail of the last 80 frames over that of the first",
}
EXTENDED = 400
HOLES: list[tuple[HoleShape, bool]] = [("boxes", False), ("stroke", False), ("boxes", True), ("stroke", True)]
_NEAR = 5
_ROWS = 24
_MARGIN = 4
#: pixels of the surroundings that the model sees when it makes a hole alone
_PADDING = 8

Figures = dict[str, float | bool | None]
#: clips to look at, under their names; the first is the one that was made
Shown = dict[str, np.ndarray]


@dataclass(frozen=True)
class Bench:
    """What all cases have in common.

    Attributes:
        sprites: of the objects, by code; empty if a task needs no real clips.
        labels: the objects' names, by code.
        settings: ``steps``, ``guidance`` and the first case's ``seed``, the next one's being one more; all of
            it is written beside the figures.
    """

    pipe: LumierePipeline
    recogniser: Recogniser
    sprites: Mapping[str, Sprite]
    labels: Mapping[str, str]
    settings: Mapping[str, Any]

    @property
    def sampling(self) -> dict[str, Any]:
        return {
            "num_inference_steps": self.settings["steps"],
            "guidance_scale": self.settings["guidance"],
        }

    def real(self, scene: Scene) -> np.ndarray:
        return render(scene, dict(self.sprites), CLIP_FRAMES)

    def make(self, prompt: str, condition: Condition, seed: int) -> tuple[np.ndarray, Figures]:
        """The frames that a user gets, and how well what is given was kept."""
        height, width = condition.height, condition.width
        options = {"height": height, "width": width, "seed": seed, **self.sampling}
        clip = self.pipe(prompt, condition=condition, **options)
        given = condition.mask == 1
        return clip.frames, {
            "raw_psnr": clip.metadata["given_psnr"],
            "codec_psnr": condition.psnr(self.through_codec(condition.video)),
            "exact": bool((clip.frames[given] == condition.video[given]).all()),
        }

    def through_codec(self, frames: np.ndarray) -> np.ndarray:
        codec = self.pipe.codec
        video = torch.from_numpy(frames).to(codec.device, codec.dtype).div(127.5).sub(1).movedim(-1, 0)
        with torch.no_grad():
            return to_uint8(codec.decode(codec.encode(video[None]))[0].float())

    def names(self, frames: np.ndarray, code: str) -> bool:
        return ranking(self.recogniser.probabilities(frames))[0] == code


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
    part, place = condition.around_hole(_PADDING if beside else max(height, width))
    part = part.resized(*fitted_size(part.height, part.width, max(height, width), bench.pipe.codec.factor))
    made, kept = bench.make(text, part, seed)
    made = condition.composite(condition.with_part(made, place))
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
    made = bench.pipe.extend(first, EXTENDED, text, seed=seed, **bench.sampling).frames
    begin, end = made[:CLIP_FRAMES], made[-CLIP_FRAMES:]
    drift = float(np.abs(border_colour(end) - border_colour(begin)).max())
    return {
        "drift": drift,
        "kept": drift <= _NEAR,
        "detail": detail(end) / detail(begin),
        "given_named": bench.names(begin, scene.objects[0]),
        "named": bench.names(end, scene.objects[0]),
        "moves": change_between_eighths(end) > MOVING_THRESHOLD,
    }, {text: made}


@dataclass(frozen=True)
class Task:
    """What a case is made and measured by, called with the bench, the prompt, the case's number and its seed.

    Attributes:
        cases: how many there are if nobody says.
        needs_real: whether it needs the real clips.
    """

    measure: Callable[[Bench, HeldOutPrompt, int, int], tuple[Figures, Shown]]
    cases: int
    needs_real: bool = True


TASKS = {
    "animate": Task(animate, 50),
    "cinemagraph": Task(cinemagraph, 20),
    "inpaint": Task(inpaint, 50),
    "add": Task(add, 50),
    "transition": Task(transition, 20),
    "loop": Task(loop, 20, needs_real=False),
    "extend": Task(extend, 5, needs_real=False),
}


def run(bench: Bench, task: str, prompts: Sequence[HeldOutPrompt], out: Path) -> list[Figures]:
    """Make and measure every case; what ``out`` has of them is kept.

    ``out`` gets the clips; results.jsonl, a line for each as soon as it is measured; and sheet.png, some of
    them to look at.

    Raises:
        InputError: ``out`` has results of other settings.
    """
    path = out / "results.jsonl"
    done = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    if differing := [line for line in done if line["settings"] != bench.settings]:
        there = differing[0]["settings"]
        key = next(key for key in bench.settings if there.get(key) != bench.settings[key])
        raise InputError(
            f"{path} was made with {key} {there.get(key)}, not {bench.settings[key]}; choose another folder"
        )
    measured = {line["prompt"]: line["figures"] for line in done}
    bench.pipe.set_progress_bar_config(disable=True)
    shown: list[tuple[str, Clip]] = []
    for number, prompt in enumerate(tqdm(prompts, task, unit="clip", disable=None)):
        if prompt.prompt in measured:
            continue
        figures, clips = TASKS[task].measure(bench, prompt, number, bench.settings["seed"] + number)
        measured[prompt.prompt] = figures
        made = [(label, Clip(frames, FPS, {"prompt": label})) for label, frames in clips.items()]
        made[0][1].save(out / f"{number:03d}.mp4", overwrite=True)
        shown += made
        with path.open("a", encoding="utf-8") as file:
            line = {"prompt": prompt.prompt, "settings": bench.settings, "figures": figures}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    if shown:
        labels, rows = zip(*shown[:_ROWS], strict=True)
        save_picture(contact_sheet(rows, labels=labels), out / "sheet.png", overwrite=True)
    return [measured[prompt.prompt] for prompt in prompts]


def summarise(results: Sequence[Figures]) -> dict[str, dict[str, Any]]:
    """Each figure's mean and number of cases; what is true or false also has a 95 % interval.

    Decibels are those of the mean error.
    """
    summary = {}
    for name in FIGURES:
        values = [each[name] for each in results if each.get(name) is not None]
        if not values:
            continue
        row: dict[str, Any] = {"mean": _mean(name, np.array(values, float)), "of": len(values)}
        if all(isinstance(value, bool) for value in values):
            row["low"], row["high"] = wilson(sum(map(bool, values)), len(values))
        summary[name] = row
    return summary


def _mean(name: str, values: np.ndarray) -> float:
    # A case without an error has no end of decibels, so it is the errors that are averaged.
    return float(-10 * np.log10((10 ** (-values / 10)).mean()) if name.endswith("psnr") else values.mean())


def table(summary: Mapping[str, Mapping[str, Any]]) -> str:
    """A line for each figure: shares in percent with their 95 % intervals, all else as means."""
    width = max(len(FIGURES[name]) for name in summary)
    lines = []
    for name, row in summary.items():
        if "low" in row:
            interval = f"[{100 * row['low']:.0f}, {100 * row['high']:.0f}]"
            said = f"{100 * row['mean']:6.1f} % {interval:>9}"
        else:
            said = f"{row['mean']:6.2f}"
        lines.append(f"{FIGURES[name]:<{width}}  {said:<18} of {row['of']}")
    return "\n".join(lines)


def _region_of_object(frame: np.ndarray) -> conditions.Box:
    """A box around the object and a little more; the middle if there is none."""
    height, width = frame.shape[:2]
    box = object_box(frame[None])
    if box is None:
        return width // 4, height // 4, width * 3 // 4, height * 3 // 4
    return conditions.grown(box, _MARGIN, height, width)


def _telea(frames: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Telea's inpainting (2004) of each frame by itself. Raises :class:`InputError` without OpenCV."""
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError:
        raise InputError("this needs OpenCV: pip install 'lumiere-video[evaluate]'") from None
    pairs = zip(frames, hole.astype(np.uint8), strict=True)
    return np.stack([cv2.inpaint(frame, mask, 3, cv2.INPAINT_TELEA) for frame, mask in pairs])


def _copied(frames: np.ndarray, hole: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Each pixel of the hole from the nearest frame that has it; if none has, from ``otherwise``."""
    video = torch.from_numpy(frames).movedim(-1, 0)[None].float()
    given = torch.from_numpy(~hole)[None, None].float()
    nearest = nearest_given(video, given)[0].movedim(0, -1).byte().numpy()
    return np.where(np.all(hole, axis=0, keepdims=True)[..., None], otherwise, nearest)


def _empty(background: Background, like: np.ndarray) -> np.ndarray:
    picture = to_uint8(paint(background, like.shape[1])[:, None] * 2 - 1)
    return np.broadcast_to(picture, like.shape).copy()


def _steps(frames: np.ndarray) -> list[float]:
    """The changes round the loop, over the median change from one frame to the next."""
    changes = changes_round(frames)
    return [float(change) for change in changes / max(float(np.median(changes[1:])), 1e-9)]
