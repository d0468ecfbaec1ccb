"""``lumiere ablate``: what a part of the method does, by leaving it out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lumiere.cli.options import (
    device_option,
    dtype_option,
    model_option,
    overwrite_option,
    path_type,
    pick_device,
    steps_option,
)

if TYPE_CHECKING:
    from lumiere.research.ablations.cascade import Material

EXPLAINED = """\
warped: difference from the frame before, moved along the true clip's optical flow (of 255)
change: error of the frame-to-frame change (of 255); seam: that at the windows' borders over that elsewhere;
control: the seam that one window for all frames has at the same places, where there is no border
time, work: on the clock, and frames that the net is run on, over one window's"""


@click.group()
def command() -> None:
    """Measure what a part of the method does, by leaving it out."""


@command.command()
@click.argument("clips", metavar="CLIP...", nargs=-1, required=True, type=path_type)
@click.option(
    "--model",
    default="emoji-upscaler",
    show_default=True,
    help="A shipped super-resolution model, or a model's folder.",
)
@click.option(
    "--source", type=click.IntRange(8), default=128, show_default=True, help="Longer side to reduce to."
)
@click.option(
    "--frames", type=click.IntRange(3), default=80, show_default=True, help="Of each clip, the first."
)
@click.option("--count", type=click.IntRange(1), help="Clips to measure.  [default: all]")
@click.option("--window", type=click.IntRange(2), help="Frames denoised together.  [default: the model's]")
@steps_option
@click.option("--noise-level", type=click.FloatRange(0, 1), help="Of the source.  [default: the model's]")
@click.option("--seed", type=click.IntRange(0, 2**53), default=0, show_default=True)
@click.option(
    "--out",
    type=path_type,
    default=Path("out/ablate-multidiffusion"),
    show_default=True,
    help="Folder for figures and x-t slices.",
)
@device_option
@overwrite_option
def multidiffusion(
    clips: tuple[Path, ...],
    model: str,
    source: int,
    frames: int,
    count: int | None,
    window: int | None,
    steps: int | None,
    noise_level: float | None,
    seed: int,
    out: Path,
    device: str | None,
    overwrite: bool,
) -> None:
    """Enlarge each CLIP, made smaller, in windows that do not overlap, that do, and all frames at once.

    A CLIP is a video file, or a shard (.tar) of them. It is what the result should be: its frames are
    reduced, enlarged again with the same noise in every way, and compared with it; beside bicubic and
    Lanczos. The folder gets results.jsonl, a line for each clip and way; figures.json; and slices.png, the
    x-t slices of the first clip.

    \b
    lumiere ablate multidiffusion data/emoji-256/heldout-clips-00000.tar --count 12
    lumiere ablate multidiffusion data/svg/heldout-clips-*.tar --steps 1
    """
    import itertools

    from lumiere.errors import InputError
    from lumiere.pipelines.superres import UpscalePipeline
    from lumiere.research.ablations.multidiffusion import run, table, true_clips

    if out.exists() and any(out.iterdir()) and not overwrite:
        raise InputError(f"{out} holds figures already; give another folder, or say --overwrite")
    pipe = UpscalePipeline.from_pretrained(model).to(pick_device(device))
    pipe.set_progress_bar_config(desc="upscaling", unit="window", leave=False)
    rows = run(
        pipe,
        itertools.islice(true_clips(clips, frames), count),
        out,
        source,
        min(window or pipe.config["window"], frames),
        seed=seed,
        num_inference_steps=steps,
        noise_level=noise_level,
    )
    click.echo(f"{table(rows)}\n\n{EXPLAINED}")


@command.command()
@model_option
@click.option(
    "--data", type=path_type, required=True, help="What `lumiere data emoji` made: clips and sprites."
)
@click.option(
    "--train-steps",
    type=click.IntRange(1),
    default=600,
    show_default=True,
    help="Of the one-pass model; the others train for as many operations.",
)
@steps_option
@click.option(
    "--prompts", type=click.IntRange(2), default=100, show_default=True, help="Of either set, held out."
)
@click.option("--seed", type=click.IntRange(0, 2**53), default=0, show_default=True)
@click.option("--out", type=path_type, default=Path("out/ablate-cascade"), show_default=True)
@dtype_option
@device_option
def cascade(
    model: str,
    data: Path,
    train_steps: int,
    steps: int | None,
    prompts: int,
    seed: int,
    out: Path,
    dtype: str,
    device: str | None,
) -> None:
    """Compare one pass with keyframes and temporal super-resolution, and with parts of itself left out.

    From the layers of --model, as far as they fit, each goes on training, on the clips of --data, with as
    many operations: the space-time net; keyframe models, of every 5th and of every 10th frame, and the models
    of the frames between; the net without temporal resampling; the net with convolution in place of
    attention; and, from nothing, begun as the identity or at random. Beside them stand the image model frame
    by frame and the real clips.

    The folder gets the models, the clips, results.jsonl, figures.json (for `lumiere report`) and x-t slices.
    What is finished is kept: the same command goes on after a stop.

    \b
    lumiere ablate cascade --data data/emoji
    lumiere ablate cascade --data data/emoji --train-steps 50 --prompts 4 --out out/quick
    """
    import torch

    from lumiere.research.ablations.cascade import run
    from lumiere.research.ablations.tables import table

    kind = getattr(torch, dtype)
    material = _emoji(model, data, prompts)
    figures = run(model, material, train_steps, out, seed, steps, kind, pick_device(device))
    for told in figures["tables"]:
        click.echo(table(told) + "\n")


def _emoji(model: str, data: Path, count: int) -> Material:
    """The training clips of ``data``, and ``count`` held-out prompts of either set with their real clips."""
    from lumiere.emoji.data.heldout import HeldOutPrompt
    from lumiere.emoji.data.scenes import BOUNCES_PER_SECOND, FPS, render
    from lumiere.emoji.evaluation.ablation import QUESTIONS, ablation_prompts
    from lumiere.emoji.evaluation.features import recogniser_features
    from lumiere.emoji.evaluation.prompts import VERTICAL, judge
    from lumiere.emoji.evaluation.recogniser import Recogniser
    from lumiere.io import bundle
    from lumiere.io.video import Clip
    from lumiere.research.ablations.cascade import Material
    from lumiere.research.ablations.designs import Case

    chosen = ablation_prompts(bundle.resolve(model), data, count)
    recogniser = Recogniser.load()

    def case(prompt: HeldOutPrompt) -> Case:
        return Case(
            prompt.prompt,
            real=lambda: Clip(render(prompt.scene, chosen.sprites), FPS),
            judge=lambda frames: judge(frames, prompt, recogniser)["answers"],
            vertical=prompt.scene.motion in VERTICAL,
        )

    return Material(
        shards=[str(data / "train-clips-*.tar")],
        text=[case(prompt) for prompt in chosen.text],
        questions=QUESTIONS,
        periodic=[case(prompt) for prompt in chosen.bounces],
        hertz=BOUNCES_PER_SECOND,
        periodic_title="Bouncing, once a second",
        features=recogniser_features(recogniser),
        about={"objects": len(chosen.sprites)},
    )
