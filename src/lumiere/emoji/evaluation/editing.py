"""Evaluation of editing a real clip with a prompt: SDEdit over the whole clip, at several strengths."""

from __future__ import annotations

import dataclasses

import numpy as np

from lumiere.emoji.data.heldout import HeldOutPrompt
from lumiere.emoji.data.scenes import COLOURS, FPS, Background, caption
from lumiere.emoji.evaluation.bench import Bench, Figures, Shown
from lumiere.emoji.evaluation.figures import background_colour
from lumiere.emoji.evaluation.motion import flow_correlation
from lumiere.io.video import Clip
from lumiere.metrics.consistency import psnr

STRENGTHS = (0.7, 0.8, 0.9, 1.0)
#: of an edit that has to give the source back
NEARLY_NONE = 0.05


def edit(bench: Bench, prompt: HeldOutPrompt, number: int, seed: int) -> tuple[Figures, Shown]:
    """In turn another background and another object."""
    real, scene = bench.real(prompt.scene), prompt.scene
    figures: Figures = {}
    if number % 2:
        others = [each for each in sorted(bench.labels) if each != scene.objects[0]]
        other = others[number * 7 % len(others)]
        wanted = dataclasses.replace(scene, objects=(other,))
    else:
        was = background_colour(real)
        colours = [name for name in COLOURS if name != was]
        colour = colours[number // 2 % len(colours)]
        wanted = dataclasses.replace(scene, background=Background("solid", (colour,)))
    text = caption(wanted, dict(bench.labels))
    shown: Shown = {}

    height, width = real.shape[1:3]
    options = {"height": height, "width": width, "seed": seed, **bench.sampling}

    def edited(strength: float) -> np.ndarray:
        clip: Clip = bench.pipe(text, video=Clip(real, FPS), strength=strength, **options)
        return clip.frames

    figures["near_psnr"] = psnr(edited(NEARLY_NONE), real)
    figures["flow_wanted"] = flow_correlation(real, bench.real(wanted))
    for strength in STRENGTHS:
        made = edited(strength)
        if number % 2:
            figures[f"object_{strength}"] = bench.names(made, other)
        else:
            figures[f"background_{strength}"] = background_colour(made) == colour
        figures[f"flow_{strength}"] = flow_correlation(real, made)
        shown[f"{text}: {strength}"] = made
    return figures, {**shown, f"source: {prompt.prompt}": real}
