"""The one-pass model and what it is compared with, trained alike: on the same clips, for the same number of
operations, from the layers of the same model as far as they fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from lumiere.diffusion.conditioning import condition_channels
from lumiere.errors import InputError
from lumiere.models.temporal import start_at_random
from lumiere.pipelines.text_to_video import LumierePipeline
from lumiere.research.baselines.untrained import unsampled, untrained
from lumiere.research.denoising_cost import count_operations
from lumiere.train.config import STAGES, Config, parse

#: frames from one keyframe to the next: as the paper's introduction has it of typical models, and twice that
INTERVALS = (5, 10)
#: from one keyframe to the next, in a segment of the frames between
_STEPS = 3

ONE_PASS = "one-pass"
KEYFRAMES = {interval: f"keyframes-{interval}" for interval in INTERVALS}
BETWEEN = {interval: f"between-keyframes-{interval}" for interval in INTERVALS}
NO_RESAMPLING, CONVOLUTION = "no-temporal-resampling", "convolution-alone"
IDENTITY, RANDOM = "identity-start", "random-start"

#: in a training step, about; a longer clip is a step of its own
_FRAMES_A_STEP = 30


@dataclass(frozen=True)
class Variant:
    """What is trained.

    Attributes:
        frames, stride: of a clip.
        share: of the operations that all may take.
        inflation: options of :meth:`~lumiere.models.stunet.STUNet.inflate`.
        begins: where its temporal layers do: as those of the given model, as far as it has them, and else as
            the identity; all as the identity; or all at random.
        keyframe_interval: as :class:`~lumiere.train.config.ConditionedConfig` has it.
    """

    frames: int
    stride: int = 1
    share: float = 1.0
    inflation: dict[str, Any] = field(default_factory=dict)
    begins: Literal["trained", "identity", "random"] = "trained"
    keyframe_interval: int = 0

    @property
    def batch(self) -> int:
        """Clips in a training step."""
        return max(1, round(_FRAMES_A_STEP / self.frames))

    def start(self, pipe: LumierePipeline) -> LumierePipeline:
        """The image model of ``pipe`` with this variant's temporal layers, before its training."""
        made = untrained(pipe, frame_stride=self.stride, **self.inflation)
        fps = pipe.config["fps"]
        made.register_to_config(fps=fps if self.stride == 1 else fps / self.stride, frames=self.frames)
        if self.begins == "trained":
            own, trained = made.unet.state_dict(), pipe.unet.temporal_state_dict()
            fitting = {key: value for key, value in trained.items() if key in own}
            made.unet.load_state_dict(fitting, strict=False)
        elif self.begins == "random":
            start_at_random(made.unet.temporal)
        return made


def variants(pipe: LumierePipeline) -> dict[str, Variant]:
    """By name. Keyframes and the frames between them share what the others may take each; the two that
    begin from nothing, which are compared with each other, may take half of it each.

    Raises :class:`InputError` as :func:`length` does.
    """
    frames = length(pipe)
    slow = {"temporal_resample": unsampled(pipe)}
    with_condition = slow | {"condition_channels": condition_channels(pipe.codec)}
    made = {ONE_PASS: Variant(frames)}
    for interval in INTERVALS:
        keyframes, segment = (frames - 1) // interval + 1, _STEPS * interval + 1
        made[KEYFRAMES[interval]] = Variant(keyframes, interval, 0.5, slow)
        made[BETWEEN[interval]] = Variant(segment, 1, 0.5, with_condition, keyframe_interval=interval)
    return made | {
        NO_RESAMPLING: Variant(frames, inflation=slow),
        CONVOLUTION: Variant(frames, inflation={"attention_blocks": 0}),
        IDENTITY: Variant(frames, share=0.5, begins="identity"),
        RANDOM: Variant(frames, share=0.5, begins="random"),
    }


def length(pipe: LumierePipeline) -> int:
    """Frames of a clip: the most that keyframes of every interval span in whole segments.

    Raises :class:`InputError` if the clips of ``pipe`` are too short for a segment between keyframes.
    """
    segment = _STEPS * math.lcm(*INTERVALS)
    frames: int = pipe.config["frames"]
    if frames <= segment:
        raise InputError(f"the model makes clips of {frames} frames; keyframes need {segment + 1} or more")
    return (frames - 1) // segment * segment + 1


def steps_of(pipe: LumierePipeline, one_pass_steps: int) -> dict[str, int]:
    """How many training steps each variant may take, if the one-pass model takes ``one_pass_steps``."""
    known = variants(pipe)
    costs = {name: _operations(variant, pipe) for name, variant in known.items()}
    budget = one_pass_steps * costs[ONE_PASS]
    return {name: max(1, round(budget * each.share / costs[name])) for name, each in known.items()}


def _operations(variant: Variant, pipe: LumierePipeline) -> int:
    """Operations of one prediction for a training step's windows; the condition adds one convolution, which
    is left out."""
    net = variant.start(pipe).unet
    side = pipe.config["size"] // pipe.codec.factor
    sample = torch.zeros(variant.batch, pipe.codec.channels, variant.frames, side, side, device=pipe.device)
    context = pipe.text_encoder([""] * variant.batch).to(sample)
    return count_operations(lambda: net(sample, 500, context))


def configuration(
    name: str, pipe: LumierePipeline, start: Path, clips: Sequence[str], steps: int, out: Path, cache: Path
) -> Config:
    """A variant's training run.

    Args:
        start: the folder where :meth:`Variant.start` of ``pipe`` is saved.
        clips: patterns of shards.
        out, cache: folders of the run, and of what is encoded once.
    """
    variant = variants(pipe)[name]
    stage = "conditioned" if variant.keyframe_interval else "temporal"
    side = pipe.config["size"]
    table: dict[str, Any] = {
        "name": name,
        "stage": stage,
        "bundle": str(start),
        "data": {
            "clips": list(clips),
            "size": [side, side],
            "frames": variant.frames,
            "frame_stride": variant.stride,
            "batch_size": variant.batch,
            "cache": str(cache),
            "cache_clips": True,
        },
        "objective": {
            "timestep_power": 0.3,
            "shared_noise": pipe.config["shared_noise"],
            "noise_smoothness": pipe.config["noise_smoothness"],
        },
        "optim": {"lr": 1e-3, "betas": [0.9, 0.98], "warmup_steps": 50, "cooldown": 0.5, "ema_decay": 0.98},
        "run": {
            "out": str(out),
            "max_steps": steps,
            "precision": "bf16",
            "checkpoint_minutes": 3.0,
            "sample_minutes": 0.0,
            "keep": 1,
            "trackers": [],
        },
        "samples": {"steps": pipe.config["steps"], "guidance_scale": pipe.config["guidance"]},
    }
    if variant.keyframe_interval:
        table["keyframe_interval"] = variant.keyframe_interval
    return parse(STAGES[stage], table)
