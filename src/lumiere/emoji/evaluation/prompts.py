"""Evaluation on held-out prompts, next to the real clips that the prompts describe.

Clips are judged as decoded from their files. A rerun with the same settings generates only missing clips.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lumiere.emoji.data.heldout import HeldOutPrompt, held_out_prompts
from lumiere.emoji.data.scenes import FPS, Sprite, render
from lumiere.emoji.evaluation.bench import sampling
from lumiere.emoji.evaluation.figures import measure
from lumiere.emoji.evaluation.recogniser import Recogniser, ranking
from lumiere.errors import InputError
from lumiere.io.files import write_text
from lumiere.io.sheet import abreast, contact_sheet, stacked
from lumiere.io.video import Clip, read_metadata, save_picture
from lumiere.metrics.intervals import wilson
from lumiere.metrics.xt_slice import xt_slice
from lumiere.pipelines.text_to_video import LumierePipeline

Result = dict[str, Any]

REAL_RESULTS = Path(__file__).with_name("real.jsonl")
_SHEET_COLUMNS = 4
_SHEET_FRAMES = 4
_SLICES, _SLICE_ROWS = 20, 5
#: motions whose x-t slice is of a column
VERTICAL = ("up", "down", "bounce")
# What is asked of each clip, and of which clips.
QUESTIONS: dict[str, str] = {
    "background": "background colour right",
    "direction": "direction of motion right",
    "size": "growing or shrinking right",
    "bounce": "bouncing right",
    "top1": "object right (top 1)",
    "top5": "object right (top 5)",
    "moves": "moves",
}


def choose_prompts(labels: Mapping[str, str], count: int) -> list[HeldOutPrompt]:
    """The first ``count`` held-out prompts of one object on one colour; motions and colours are balanced.

    Raises :class:`InputError` unless there are that many.
    """
    return first([each for each in held_out_prompts(dict(labels)) if each.scene.relation == "alone"], count)


def first(prompts: Sequence[HeldOutPrompt], count: int) -> list[HeldOutPrompt]:
    """The first ``count`` prompts. Raises :class:`InputError` unless there are that many."""
    if not prompts:
        raise InputError("the model's objects make no such prompts; leave out the task, or give all sprites")
    if not 1 <= count <= len(prompts):
        raise InputError(f"--prompts is {count}; give 1 to {len(prompts)}")
    return list(prompts[:count])


def judge(frames: np.ndarray, prompt: HeldOutPrompt, recogniser: Recogniser) -> Result:
    """All that is measured on a clip that is to show ``prompt``; what the prompt does not ask is None."""
    figures = measure(frames, prompt.scene)
    probabilities = recogniser.probabilities(frames)
    ranked = ranking(probabilities)
    code = prompt.scene.objects[0]
    place = ranked.index(code) + 1 if code in probabilities else None
    return {
        "prompt": prompt.prompt,
        "recogniser": recogniser.sha256,
        "object": code,
        "colour": prompt.scene.background.colours[0],
        "motion": prompt.scene.motion,
        "held_out": prompt.held_out,
        "answers": {
            "background": figures.background_right,
            "direction": figures.direction_right,
            "size": figures.size_right,
            "bounce": figures.bounce_right,
            "top1": None if place is None else place == 1,
            "top5": None if place is None else place <= 5,
            "moves": figures.moves,
        },
        "measured": {
            "background": figures.background,
            "displacement": [round(float(share), 4) for share in figures.displacement],
            "growth": round(float(figures.growth), 3),
            "bounce": round(float(figures.bounce), 4),
            "change": round(figures.change, 3),
            "object_rank": place,
            "recognised": [recogniser.labels[code] for code in ranked[:5]],
        },
    }


def summarise(results: Iterable[Result]) -> dict[str, dict[str, Any]]:
    """For each question: how many clips it was asked of, how many were right, and the share's interval."""
    results = list(results)
    summary = {}
    for question in QUESTIONS:
        answers = [r["answers"][question] for r in results if r["answers"][question] is not None]
        right, total = sum(answers), len(answers)
        low, high = wilson(right, total)
        share = right / total if total else None
        summary[question] = {"right": right, "of": total, "share": share, "low": low, "high": high}
    return summary


def table(summaries: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """The summaries side by side, in percent with their 95 % intervals."""
    width = max(map(len, QUESTIONS.values()))
    lines = [" " * width + "".join(f"  {name:>26}" for name in summaries)]
    for question, words in QUESTIONS.items():
        cells = []
        for summary in summaries.values():
            row = summary[question]
            said = "not asked"
            if row["of"]:
                interval = f"[{100 * row['low']:.0f}, {100 * row['high']:.0f}]"
                said = f"{100 * row['share']:.1f} % {interval:>9} of {row['of']}"
            cells.append(f"  {said:>26}")
        lines.append(f"{words:<{width}}{''.join(cells)}")
    return "\n".join(lines)


def clip_paths(folder: Path, prompts: Sequence[HeldOutPrompt]) -> list[Path]:
    """Where the prompts' clips go."""
    slugs = [re.sub(r"[\W_]+", "-", prompt.prompt.lower()).strip("-")[:60] for prompt in prompts]
    return [folder / f"{number:03d}-{slug}.mp4" for number, slug in enumerate(slugs)]


def generate(
    pipe: LumierePipeline,
    prompts: Sequence[HeldOutPrompt],
    folder: Path,
    settings: Mapping[str, Any],
    batch_size: int = 1,
) -> None:
    """Make the prompts' clips in ``folder``, those that are not there yet.

    ``settings`` has the ``seed`` of the first prompt (the next one's is one more), ``steps``, ``guidance``
    and, or else as the model has it, ``guidance_interval`` and ``one_pass``; all of it goes into the files.

    Raises:
        InputError: a clip is there that was made with other settings.
    """
    cases = []
    for number, (path, prompt) in enumerate(zip(clip_paths(folder, prompts), prompts, strict=True)):
        wanted = {**settings, "prompt": prompt.prompt, "seed": settings["seed"] + number}
        if not path.exists():
            cases.append((path, wanted))
            continue
        made = read_metadata(path)
        if differing := [key for key in wanted if made.get(key) != wanted[key]]:
            key = differing[0]
            raise InputError(
                f"{path} was made with {key} {made.get(key)}, not {wanted[key]}; choose another folder"
            )
    pipe.set_progress_bar_config(disable=True)
    with tqdm(total=len(cases) * settings["steps"], desc="sampling", unit="step", disable=None) as bar:
        for start in range(0, len(cases), batch_size):
            batch = cases[start : start + batch_size]

            def after_step(_pipe: Any, _step: int, _t: Any, _state: Any, count: int = len(batch)) -> None:
                bar.update(count)

            clips = pipe(
                [wanted["prompt"] for _, wanted in batch],
                seed=[wanted["seed"] for _, wanted in batch],
                **sampling(settings),
                batch_size=len(batch),
                callback_on_step_end=after_step,
            )
            for clip, (path, wanted) in zip(clips, batch, strict=True):
                Clip(clip.frames, clip.fps, {**clip.metadata, **wanted}).save(path)
            bar.set_postfix(clips=f"{start + len(batch)}/{len(cases)}")


def compose_real(prompts: Sequence[HeldOutPrompt], sprites: Mapping[str, Sprite], folder: Path) -> None:
    """Render what the prompts describe into ``folder``, what is not there yet."""
    pairs = list(zip(clip_paths(folder, prompts), prompts, strict=True))
    for path, prompt in tqdm(pairs, "composing real clips", unit="clip", disable=None):
        if not path.exists():
            frames = render(prompt.scene, dict(sprites))
            Clip(frames, FPS, {"prompt": prompt.prompt, "made_by": "composition"}).save(path)


def judge_folder(
    prompts: Sequence[HeldOutPrompt], folder: Path, out: Path, recogniser: Recogniser
) -> list[Result]:
    """Judge the prompts' clips in ``folder``; write ``out.jsonl``, the sheet ``out.png`` and x-t slices.

    Twenty of the slices, drawn at random by a fixed seed, are in ``out-slices.png``.
    """
    results, shown, slices = [], [], []
    pairs = list(zip(clip_paths(folder, prompts), prompts, strict=True))
    for path, prompt in tqdm(pairs, f"judging {out.name}", unit="clip", disable=None):
        clip = Clip.load(path)
        results.append({"clip": path.name, **judge(clip.frames, prompt, recogniser)})
        slices.append(slice_along(clip, prompt.scene.motion))
        save_picture(slices[-1], folder / "xt-slices" / f"{path.stem}.png", overwrite=True)
        picked = np.linspace(0, len(clip) - 1, _SHEET_FRAMES).round().astype(int)
        shown.append(Clip(clip.frames[picked], clip.fps, {"prompt": prompt.prompt}))
    save_picture(_sheet(shown), out.with_name(f"{out.name}.png"), overwrite=True)
    save_picture(_some_slices(slices, prompts), out.with_name(f"{out.name}-slices.png"), overwrite=True)
    write_text(out.with_name(f"{out.name}.jsonl"), "".join(_line(result) for result in results))
    return results


def slice_along(clip: Clip, motion: str) -> np.ndarray:
    """The x-t slice of the middle row, or of the middle column where the motion is up and down."""
    return xt_slice(clip, column=clip.width // 2 if motion in VERTICAL else None)


def _sheet(clips: Sequence[Clip]) -> np.ndarray:
    rows = -(-len(clips) // _SHEET_COLUMNS)
    columns = [
        contact_sheet(clips[start : start + rows], _SHEET_FRAMES) for start in range(0, len(clips), rows)
    ]
    height = max(column.shape[0] for column in columns)
    margins = ((0, 12), (0, 0))
    padded = [
        np.pad(column, ((0, height - column.shape[0]), *margins), constant_values=255) for column in columns
    ]
    return np.concatenate(padded, axis=1)


def _some_slices(slices: Sequence[np.ndarray], prompts: Sequence[HeldOutPrompt]) -> np.ndarray:
    drawn = np.sort(np.random.default_rng(0).permutation(len(slices))[:_SLICES])
    columns = [drawn[start : start + _SLICE_ROWS] for start in range(0, len(drawn), _SLICE_ROWS)]
    return abreast(
        [stacked([slices[n] for n in column], [prompts[n].prompt for n in column]) for column in columns]
    )


def shipped_real_results(prompts: Sequence[HeldOutPrompt]) -> list[Result] | None:
    """What was measured on these scenes' real clips when the recogniser was made; None if not on all."""
    lines = REAL_RESULTS.read_text("utf-8").splitlines()
    known = {(r["object"], r["colour"], r["motion"]): r for r in map(json.loads, lines)}
    scenes = [prompt.scene for prompt in prompts]
    wanted = [(scene.objects[0], scene.background.colours[0], scene.motion) for scene in scenes]
    return [known[key] for key in wanted] if known.keys() >= set(wanted) else None


def _line(result: Result) -> str:
    return json.dumps(result, ensure_ascii=False) + "\n"
