"""Resampling while a known region is clamped (RePaint, Lugmayr et al. 2022, section 4.2).

A net that was not trained on conditions sees the known region only as a part of its noisy input. One pass of
a step harmonises what it generates with that region a little; adding the step's noise back and taking the
step again does so once more.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lumiere.errors import InputError


def check_resample(scheduler: Any, resample: int) -> None:
    """Raise :class:`InputError` for fewer than 1 pass of each step, or several with a sampler whose steps
    evaluate the net more than once."""
    if resample < 1:
        raise InputError(f"resample is {resample}; give at least 1")
    if resample > 1 and scheduler.order > 1:
        raise InputError(
            f"resample is {resample}, but the steps of a {type(scheduler).__name__} cannot be taken again;"
            " use another scheduler, such as dpm++"
        )


def state_of(scheduler: Any) -> dict[str, Any]:
    """What changes in a scheduler with a step, to be given back to ``vars(scheduler).update``."""
    return {name: list(each) if isinstance(each, list) else each for name, each in vars(scheduler).items()}


def with_noise_back(scheduler: Any, step: int, x: Tensor, noise: Tensor) -> Tensor:
    """The sample after a step, at the noise level before it: ``q(x_t | x_t-1)``.

    Args:
        step: number of the step that was taken, from 0.
        noise: standard normal.
    """
    before, after = (_sigma(scheduler, each).to(x) for each in (step, step + 1))
    if float(scheduler.init_noise_sigma) != 1:  # x = clean + sigma noise
        return x + (before**2 - after**2).clamp(min=0).sqrt() * noise
    kept = (1 + after**2) / (1 + before**2)
    return kept.sqrt() * x + (1 - kept).clamp(min=0).sqrt() * noise


def _sigma(scheduler: Any, step: int) -> Tensor:
    """Noise over signal at the beginning of a step; of the last one's end, 0."""
    if (sigmas := getattr(scheduler, "sigmas", None)) is not None and len(sigmas) > len(scheduler.timesteps):
        return torch.as_tensor(sigmas[step])
    if step == len(scheduler.timesteps):
        return torch.zeros(())
    power = scheduler.alphas_cumprod[int(scheduler.timesteps[step])]
    return ((1 - power) / power.clamp(min=2**-24)).sqrt()
