"""The tasks of an evaluation, and their figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lumiere.emoji.data.heldout import HeldOutPrompt
from lumiere.emoji.data.scenes import FPS, Sprite
from lumiere.emoji.data.styles import STYLES
from lumiere.emoji.evaluation.applications import add, animate, cinemagraph, extend, inpaint, loop, transition
from lumiere.emoji.evaluation.bench import Bench, Figures, Shown
from lumiere.emoji.evaluation.editing import NEARLY_NONE, STRENGTHS, edit
from lumiere.emoji.evaluation.ordinary import OrdinaryPrompt, choose_ordinary, ordinary
from lumiere.emoji.evaluation.pairs import choose_pairs, pairs
from lumiere.emoji.evaluation.prompts import choose_prompts
from lumiere.emoji.evaluation.styles import ALPHAS, STRENGTH, style
from lumiere.emoji.evaluation.synonyms import choose_tagged, synonyms
from lumiere.errors import InputError
from lumiere.io.sheet import contact_sheet
from lumiere.io.video import Clip, save_picture
from lumiere.metrics.bootstrap import mean_interval
from lumiere.metrics.intervals import wilson


def _at(alpha: float | str) -> str:
    return "in the real drawing" if alpha == "real" else f"alpha {alpha}"


#: labels of the figures in tables: a mean, or for booleans a share
FIGURES = {
    "raw_psnr": "known region before compositing, PSNR (dB)",
    "codec_psnr": "known region through the codec alone, PSNR (dB)",
    "exact": "known region exact after compositing",
    "first_join": "step at the end of the given clip, over the median step",
    "join": "largest step where given frames meet generated ones, over the median step",
    "border": "step across the border of the mask, over those beside it",
    "given_named": "object recognised in the known frames",
    "named": "object recognised in the generated frames",
    "both_named": "both objects right (top 1), each on its side",
    "both_among_five": "both objects right (top 5), each on its side",
    "real_both_named": "both objects right (top 1) in the real clip",
    "real_both_among_five": "both objects right (top 5) in the real clip",
    "one_named": "one of them right (top 1), or both",
    "one_among_five": "one of them right (top 5), or both",
    "both_swapped": "both objects right (top 5), on each other's side",
    "object_first": "object of an ordinary prompt right (top 1)",
    "object_among_five": "object of an ordinary prompt right (top 5)",
    "in_domain_refused": "ordinary prompts of a known object that are refused",
    "out_of_domain_refused": "prompts of no known object that are refused",
    "label_named": "object right (top 1), by its label",
    "synonym_named": "object right (top 1), by a synonym",
    "synonym_named_change": "synonym minus label (top 1)",
    "label_among_five": "object right (top 5), by its label",
    "synonym_among_five": "object right (top 5), by a synonym",
    "synonym_among_five_change": "synonym minus label (top 5)",
    "named_beside": "the same, of those beside another object",
    "real_named": "object recognised in the real clip",
    "background": "background colour right",
    "direction": "direction of motion right",
    "moves": "moves",
    "real_moves": "the real clip moves",
    "hole_psnr": "inside the mask, PSNR (dB)",
    "telea_psnr": "inside the mask, OpenCV's Telea per frame, PSNR (dB)",
    "copy_psnr": "inside the mask, copied from the nearest frame, PSNR (dB)",
    "warped": "flow-warped error (of 255)",
    "real_warped": "flow-warped error of the real clip (of 255)",
    "hole_warped": "flow-warped error inside the mask (of 255)",
    "real_hole_warped": "flow-warped error of the real clip inside the mask (of 255)",
    "between_psnr": "between first and last frame, PSNR (dB)",
    "crossfade_psnr": "between first and last frame, crossfade, PSNR (dB)",
    "seamless": "step from last to first frame at most the median step",
    "seam": "step from last to first frame, over the median step",
    "roughest": "largest step of the loop, over the median step",
    "unlooped_seam": "step from last to first frame, over the median step, without looping",
    "near_psnr": f"the source, edited at strength {NEARLY_NONE} (dB)",
    "flow_wanted": "motion correlation of the target's real clip with the source",
    "drift": "change of the background from the first 80 frames to the last (of 255)",
    "kept": "background within 5 of 255",
    "detail": "fine detail of the last 80 frames over that of the first",
}
for _strength in STRENGTHS:
    FIGURES |= {
        f"background_{_strength}": f"the new background is there, strength {_strength}",
        f"object_{_strength}": f"the new object is there, strength {_strength}",
        f"flow_{_strength}": f"correlation of its motion with the source's, strength {_strength}",
    }
for _alpha in (*ALPHAS, "real"):
    FIGURES |= {
        f"style_{_alpha}": f"frames in the reference's style, {_at(_alpha)}",
        f"own_style_{_alpha}": f"frames still in the model's own style, {_at(_alpha)}",
        f"among_five_{_alpha}": f"object among the first five, {_at(_alpha)}",
        f"motion_{_alpha}": f"length of flow over that without a style, {_at(_alpha)}",
    }
FIGURES |= {
    "edited_style": f"frames of a real clip edited into the style that are in it, strength {STRENGTH}",
    "edited_flow": "correlation of their motion with the source's",
}
for _style in STYLES:
    FIGURES |= {
        f"{_style}_style": f"frames in the reference's style, {_style}, alpha 1",
        f"{_style}_among_five": f"object among the first five, {_style}, alpha 1",
    }
_ROWS = 24
_Choose = Callable[[Mapping[str, str], Mapping[str, Sprite], int], list[Any]]


def _choose_alone(labels: Mapping[str, str], _: Mapping[str, Sprite], count: int) -> list[HeldOutPrompt]:
    return choose_prompts(labels, count)


@dataclass(frozen=True)
class Task:
    """What a case is made and measured by, called with the bench, the prompt, the case's number and its seed.

    Attributes:
        cases: default number of cases.
        needs_real: whether it needs real clips.
        needs_condition: whether it needs a conditioned model.
        needs_opencv: whether it needs OpenCV.
        choose: chooses a number of prompts about the objects of labels and sprites.
    """

    measure: Callable[[Bench, Any, int, int], tuple[Figures, Shown]]
    cases: int
    needs_real: bool = True
    needs_condition: bool = True
    needs_opencv: bool = False
    choose: _Choose = _choose_alone


TASKS = {
    "pairs": Task(pairs, 100, needs_condition=False, choose=choose_pairs),
    "synonyms": Task(synonyms, 100, needs_condition=False, choose=choose_tagged),
    "ordinary": Task(ordinary, 286, needs_real=False, needs_condition=False, choose=choose_ordinary),
    "animate": Task(animate, 50),
    "cinemagraph": Task(cinemagraph, 20),
    "inpaint": Task(inpaint, 50, needs_opencv=True),
    "add": Task(add, 50),
    "transition": Task(transition, 20),
    "loop": Task(loop, 20, needs_real=False, needs_condition=False),
    "extend": Task(extend, 5, needs_real=False),
    "edit": Task(edit, 50, needs_condition=False, needs_opencv=True),
    "style": Task(style, 50, needs_condition=False, needs_opencv=True),
}


def run(
    bench: Bench, task: str, prompts: Sequence[HeldOutPrompt | OrdinaryPrompt], out: Path
) -> list[Figures]:
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
        if made:
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
    """Each figure's mean and number of cases; what is true or false, and a change of it, has a 95 % interval.

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
        elif name.endswith("_change"):
            row["low"], row["high"] = mean_interval(np.array(values, float))
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
