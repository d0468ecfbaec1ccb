"""``lumiere ablate``: ablate a part of the method and measure the effect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lumiere.cli.options import (
    device_option,
    exact_dtype_option,
    model_option,
    overwrite_option,
    path_type,
    pick_device,
    steps_option,
)

if TYPE_CHECKING:
    from lumiere.research.ablations.cascade import Material

EXPLAINED = """\
warped: warping error along the reference clip's optical flow (of 255)
change: error of the frame-to-frame change (of 255); seam: its ratio between window borders and elsewhere;
control: the same ratio for one window over all frames, which has no borders
time, work: wall time, and frames the network runs on, relative to one window over all frames"""


@click.group()
def command() -> None:
    """Ablate a part of the method and measure the effect."""


@command.command()
@click.argument("clips", metavar="CLIP...", nargs=-1, required=True, type=path_type)
@click.option(
    "--model",
    default="emoji-upscaler",
    show_default=True,
    help="Shipped super-resolution model, or a model's folder.",
)
@click.option(
    "--source",
    type=click.IntRange(8),
    default=128,
    show_default=True,
    help="Longer side of the downscaled input.",
)
@click.option(
    "--frames",
    type=click.IntRange(3),
    default=80,
    show_default=True,
    help="First frames of each clip to use.",
)
@click.option("--count", type=click.IntRange(1), help="Clips to measure.  [default: all]")
@click.option("--window", type=click.IntRange(2), help="Frames per window.  [default: the model's]")
@steps_option
@click.option(
    "--noise-level", type=click.FloatRange(0, 1), help="Noise added to the source.  [default: the model's]"
)
@click.option(
    "--seed", type=click.IntRange(0, 2**53), default=0, show_default=True, help="Seed of the noise."
)
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
    """Upscale each downscaled CLIP without overlap, with MultiDiffusion, and with one window for all frames.

    A CLIP is a video, or a shard (.tar) of videos. It is the reference: its frames are downscaled, upscaled
    with the same noise by every method, and compared with it, next to bicubic and Lanczos. The folder
    receives results.jsonl (a line per clip and method), figures.json, and slices.png (x-t slices of the first
    clip).

    \b
    lumiere ablate multidiffusion data/emoji-256/heldout-clips-00000.tar --count 12
    lumiere ablate multidiffusion data/svg/heldout-clips-*.tar --steps 1
    """
    import itertools

    from lumiere.errors import InputError
    from lumiere.pipelines.superres import UpscalePipeline
    from lumiere.research.ablations.multidiffusion import run, table, true_clips

    if out.exists() and any(out.iterdir()) and not overwrite:
        raise InputError(f"{out} is not empty; give another folder, or add --overwrite")
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
    "--data", type=path_type, required=True, help="Folder of `lumiere data emoji`, with clips and sprites."
)
@click.option(
    "--train-steps",
    type=click.IntRange(1),
    default=600,
    show_default=True,
    help="Training steps of the one-pass model; the others train for as many operations.",
)
@steps_option
@click.option(
    "--prompts", type=click.IntRange(2), default=100, show_default=True, help="Held-out prompts of each set."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**53), default=0, show_default=True, help="Seed of training and noise."
)
@click.option(
    "--out", type=path_type, default=Path("out/ablate-cascade"), show_default=True, help="Folder to write."
)
@exact_dtype_option
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
    """Compare one-pass generation with a keyframe cascade, and with ablations of the network.

    Each variant is fine-tuned from --model on the clips of --data, for the same number of operations: the
    STUNet; keyframe models of every 5th and every 10th frame, with temporal super-resolution between; the
    STUNet without temporal resampling; with convolution instead of attention; and from scratch, with identity
    or random initialisation. The image model applied frame by frame and real clips are measured too.

    The folder receives the models, the clips, results.jsonl, figures.json (for `lumiere report`) and x-t
    slices. Run the same command again to resume.

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
    for each in figures["tables"]:
        click.echo(table(each) + "\n")


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
