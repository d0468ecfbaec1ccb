"""Sampling: from noise to a sample, with any denoiser and any of diffusers' schedulers.

A denoiser is a function ``(x, t) -> prediction``, the prediction being what the scheduler's
``prediction_type`` says. Nothing here knows a model, a prompt or a clip.

The noise schedule ends in pure noise (zero terminal SNR: Lin et al. 2023, "Common diffusion noise schedules
and sample steps are flawed"), so that sampling starts where training ended. Inference steps are therefore
spaced "trailing", the last training step being the first taken.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from diffusers import (
    DDIMInverseScheduler,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
)
from jaxtyping import Float
from torch import Tensor

from lumiere.diffusion.noise import Generators, randn
from lumiere.diffusion.parametrization import PREDICTION_TYPES, from_sample, scales, signal_power
from lumiere.diffusion.resampling import check_resample, state_of, with_noise_back
from lumiere.errors import InputError
from lumiere.io.components import SCHEDULERS as SAMPLERS

Denoiser = Callable[[Tensor, Tensor], Tensor]
StepCallback = Callable[[int, Tensor, Tensor], "Tensor | None"]

# DDIM is DPM-Solver++ of first order (Lu et al. 2022). Diffusers' own DDIMScheduler is not used for sampling:
# unless the number of steps divides 1000 it miscounts the next timestep, and can end in noise.
SCHEDULERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "ddim": (DPMSolverMultistepScheduler, {"solver_order": 1}),
    "dpm++": (DPMSolverMultistepScheduler, {"solver_order": 2}),
    "euler": (EulerDiscreteScheduler, {}),
}


class StopSampling(Exception):
    """Raised by a step callback to end the sampling; what is sampled so far is returned."""


def noise_schedule(prediction_type: str = "v_prediction") -> DDIMScheduler:
    """The schedule that models are trained with: cosine, zero terminal SNR, 1000 steps.

    Args:
        prediction_type: what the model predicts, under diffusers' names.
    """
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        rescale_betas_zero_snr=True,
        prediction_type=prediction_type,
        timestep_spacing="trailing",
        clip_sample=False,
    )


def make_scheduler(name: str, config: Mapping[str, Any]) -> Any:
    """A sampler by its short name, on the noise schedule of another scheduler's ``config``.

    Raises:
        InputError: ``name`` is none of ``SCHEDULERS``, or the configuration is of no schedule of betas, as
            EDM's and flow matching's are.
    """
    if name not in SCHEDULERS:
        raise InputError(f"unknown scheduler {name!r}; choose one of {', '.join(SCHEDULERS)}")
    if missing := [key for key in ("beta_schedule", "prediction_type") if key not in config]:
        raise InputError(
            f"the scheduler's configuration has no {missing[0]}: models of EDM and of flow matching cannot be"
            " used, but those with a schedule of betas"
        )
    kind, options = SCHEDULERS[name]
    return kind.from_config(altered(config, options))


def altered(config: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """A scheduler's configuration with other values of some fields, for ``from_config``.

    That takes a field which the configuration had by default for one that was not given, and would give it
    the new class's default, whatever its value is now.
    """
    by_default = [name for name in config.get("_use_default_values", ()) if name not in options]
    return {**config, **options, "_use_default_values": by_default}


def scheduler_name(scheduler: Any) -> str:
    """The short name of a scheduler, or the name of its class if it has none."""
    for name, (kind, options) in SCHEDULERS.items():
        if type(scheduler) is kind and options.items() <= dict(scheduler.config).items():
            return name
    return type(scheduler).__name__


def set_timesteps(scheduler: Any, steps: int, device: torch.device) -> None:
    """Set a scheduler's timesteps for so many inference steps, exactly as many.

    A scheduler of second order evaluates the denoiser at almost twice as many timesteps.

    Raises:
        InputError: the number of steps is not within 1 and the schedule's own number, or not one that this
            scheduler can take; or :func:`check_scheduler` refuses it.
    """
    _check_steps(scheduler, steps)
    _set(scheduler, device, num_inference_steps=steps)
    # For some numbers of steps (61, 103, ...) diffusers' trailing spacing rounds its way to one step more,
    # at timestep -1, which would be looked up as pure noise.
    if len(scheduler.timesteps) == steps + 1 and scheduler.timesteps[-1] < 0:
        scheduler.timesteps = scheduler.timesteps[:steps]
        if hasattr(scheduler, "sigmas"):
            scheduler.sigmas = torch.cat([scheduler.sigmas[:steps], scheduler.sigmas[-1:]])
    if not bool((scheduler.timesteps >= 0).all()):  # NaN among them, too
        raise InputError(f"{scheduler_name(scheduler)} cannot take {steps} steps here; give another number")


def evaluations(scheduler: Any, num_inference_steps: int) -> int:
    """How often a scheduler, which is not changed, has the denoiser called in so many steps.

    Raises:
        InputError: the number of steps is not one that the schedule allows.
    """
    ready = deepcopy(scheduler)
    set_timesteps(ready, num_inference_steps, torch.device("cpu"))
    return len(ready.timesteps)


def _set(scheduler: Any, device: torch.device, **options: Any) -> None:
    """``set_timesteps`` of diffusers' scheduler. Raises :class:`InputError` for what that refuses."""
    try:
        scheduler.set_timesteps(**options, device=device)
    except (ValueError, IndexError, RuntimeError, OverflowError, ZeroDivisionError) as error:
        steps = options.get("num_inference_steps") or len(options["timesteps"])
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{scheduler_name(scheduler)} cannot take {steps} steps here: {reason}") from None


def check_finite(x: Tensor, step: int, scheduler: Any) -> None:
    """Raise :class:`InputError`, which says after which step, unless all of a sample is finite.

    Args:
        step: counted from 0, of ``scheduler.timesteps``.
    """
    if not bool(x.isfinite().all()):
        raise InputError(
            f"the sample is not finite after step {step + 1} of {len(scheduler.timesteps)} "
            f"({scheduler_name(scheduler)}, timestep {float(scheduler.timesteps[step]):g}): the weights, "
            "those of a style or the guidance are too large, or the dtype is too narrow"
        )


def check_scheduler(scheduler: Any) -> None:
    """Raise :class:`InputError`, with its name, for a scheduler that models here cannot be sampled with.

    They are variance-preserving, with discrete timesteps. A scheduler of EDM or of flow matching would take
    their predictions for something else. One of another library than diffusers is taken at its word.
    """
    kind, config = type(scheduler), getattr(scheduler, "config", {})
    theirs = [each.__name__ for each in kind.__mro__ if each.__module__.startswith("diffusers.schedulers")]
    unlisted = theirs and not SAMPLERS.keys() & set(theirs)
    flow = config.get("use_flow_sigmas")
    if unlisted or flow or getattr(scheduler, "alphas_cumprod", None) is None:
        why = " with use_flow_sigmas" if flow else ""
        known = f"{', '.join(SCHEDULERS)}, or of diffusers' {', '.join(SAMPLERS)}"
        raise InputError(
            f"{kind.__name__}{why} is not for models here, which have a schedule of betas (EDM and flow "
            f"matching cannot be used); choose one of {known}"
        )
    if (predicted := config.get("prediction_type")) not in PREDICTION_TYPES:
        raise InputError(
            f"{kind.__name__} has prediction_type {predicted!r}; models here predict one of "
            f"{', '.join(PREDICTION_TYPES)}"
        )


def _check_steps(scheduler: Any, steps: int) -> int:
    """The schedule's own number of steps. Raises :class:`InputError` for more than that, or fewer than 1."""
    check_scheduler(scheduler)
    limit: int = scheduler.config.num_train_timesteps
    if not 1 <= steps <= limit:
        raise InputError(f"steps is {steps}; give a number from 1 to {limit}")
    return limit


def _check_strength(strength: float) -> None:
    if not 0 < strength <= 1:
        raise InputError(f"strength is {strength}; give a number over 0, up to 1")


def _set_last_timesteps(scheduler: Any, steps: int, strength: float, device: torch.device) -> None:
    """As :func:`set_timesteps`, over the last part of the schedule; fewer if that has not as many."""
    limit = _check_steps(scheduler, steps)
    left = torch.linspace(strength * limit, 0, steps + 1, dtype=torch.float64)[:-1].round().clamp(min=1)
    timesteps = left.unique().flip(0).long() - 1
    if "timesteps" not in inspect.signature(scheduler.set_timesteps).parameters:
        known = ", ".join(SCHEDULERS)
        raise InputError(f"{scheduler_name(scheduler)} cannot begin in the middle; choose one of {known}")
    _set(scheduler, device, timesteps=timesteps.tolist())


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    noise: Float[Tensor, "b ..."],
    scheduler: Any,
    num_inference_steps: int,
    *,
    start: Float[Tensor, "b ..."] | None = None,
    strength: float = 1.0,
    generator: Generators | None = None,
    callback: StepCallback | None = None,
    resample: int = 1,
    more_noise: Callable[[], Tensor] | None = None,
) -> Float[Tensor, "b ..."]:
    """Denoise ``noise``, or ``start`` with noise added to it, in ``num_inference_steps`` steps.

    Args:
        denoiser: called once a step as ``denoiser(x, t)``; ``x`` is shaped as ``noise``, ``t`` is a scalar.
        noise: standard normal; scaled here if the scheduler wants it scaled.
        scheduler: one of diffusers'. Its timesteps are set here.
        start: a sample to begin from (SDEdit, Meng et al. 2022); as many steps are taken however little
            noise is added, if the schedule has them.
        strength: how much that is, with a ``start``: the share of the schedule that is gone through, over 0
            and up to 1, which leaves nothing of ``start``.
        generator: for schedulers that add noise at each step; one, or one for each sample.
        callback: called after each step as ``callback(step, t, x)``, ``step`` counting from 0. A tensor that
            it returns takes the place of ``x``; ``StopSampling`` ends the sampling.
        resample: how often each step is taken, its noise being added back before it is taken again (RePaint).
        more_noise: makes that noise, shaped as ``noise``. Default: standard normal, of the ``generator``.

    Raises:
        InputError: the number of steps is not within 1 and the schedule's own number, the strength or
            ``resample`` is out of its range, the scheduler cannot begin with ``start`` or resample, or a step
            ends in numbers that are not finite.
    """
    _check_strength(strength)
    if start is None:
        set_timesteps(scheduler, num_inference_steps, noise.device)
        x = initial_sample(noise, scheduler)
    else:
        _set_last_timesteps(scheduler, num_inference_steps, strength, noise.device)
        x = scheduler.add_noise(start, noise, scheduler.timesteps[:1])
    check_resample(scheduler, resample)
    takes_generator = "generator" in inspect.signature(scheduler.step).parameters
    extra = {"generator": generator} if takes_generator else {}

    for step, t in enumerate(scheduler.timesteps):
        for left in reversed(range(resample)):
            before = state_of(scheduler)
            prediction = denoiser(scheduler.scale_model_input(x, t).to(noise.dtype), t)
            x = take_step(scheduler, prediction, t, x, **extra)
            check_finite(x, step, scheduler)
            if left:
                vars(scheduler).update(before)
                again = randn(x.shape, generator, noise) if more_noise is None else more_noise()
                x = with_noise_back(scheduler, step, x, again.to(x))
        if callback is not None:
            try:
                replaced = callback(step, t, x.to(noise.dtype))
            except StopSampling:
                break
            x = x if replaced is None else replaced
    return x.to(noise.dtype)


def take_step(scheduler: Any, prediction: Tensor, t: Tensor, x: Tensor, **options: Any) -> Tensor:
    """The sample after a scheduler's step.

    Raises:
        InputError: the scheduler has no step for its ``prediction_type``.
    """
    try:
        stepped: Tensor = scheduler.step(prediction, t, x, return_dict=False, **options)[0]
    except NotImplementedError:
        predicted = scheduler.config.prediction_type
        name, known = scheduler_name(scheduler), ", ".join(SCHEDULERS)
        raise InputError(f"{name} takes no prediction of type {predicted!r}; choose one of {known}") from None
    return stepped


def initial_sample(noise: Float[Tensor, "b ..."], scheduler: Any) -> Float[Tensor, "b ..."]:
    """Standard normal noise as a scheduler, whose timesteps are set, wants it scaled.

    Where the noise level stands in for an infinite one, steps subtract almost all of the sample from itself:
    it is then float64, so that what is left has the digits of float32.
    """
    wide = scheduler.init_noise_sigma > 1000 and noise.device.type != "mps"
    return (noise.double() if wide else noise) * scheduler.init_noise_sigma


@torch.no_grad()
def inverted_noise(
    denoiser: Denoiser,
    clean: Float[Tensor, "b ..."],
    scheduler: Any,
    num_inference_steps: int,
    strength: float = 1.0,
) -> Float[Tensor, "b ..."]:
    """The noise from which sampling with ``denoiser`` ends in ``clean``: DDIM inversion (Song et al. 2021).

    Args:
        denoiser: as in :func:`sample`.
        clean: a sample. Where it is flat, its noise has less than unit variance.
        scheduler: whose noise schedule and prediction type hold.
        num_inference_steps: about as many calls of ``denoiser``.
        strength: share of the schedule that is gone through, over 0 and up to 1.

    Raises:
        InputError: the number of steps is not within 1 and the schedule's own number, or the strength is out
            of its range.
    """
    limit = _check_steps(scheduler, num_inference_steps)
    _check_strength(strength)
    known = inspect.signature(DDIMInverseScheduler).parameters.keys() & scheduler.config.keys()
    settings = {name: scheduler.config[name] for name in known}
    inverse = DDIMInverseScheduler(**settings | {"timestep_spacing": "trailing", "clip_sample": False})
    inverse.set_timesteps(min(limit, round(num_inference_steps / strength)), device=clean.device)
    last = max(int(inverse.timesteps[0]), round(strength * limit) - 1)
    x, reached = clean, torch.zeros_like(inverse.timesteps[0])
    for step, t in enumerate(inverse.timesteps[inverse.timesteps <= last]):
        x = inverse.step(denoiser(x, reached), t, x, return_dict=False)[0]
        check_finite(x, step, inverse)
        reached = t
    a, s = scales(signal_power(inverse.alphas_cumprod, reached, x))
    return from_sample(clean, x, a, s, "epsilon")
