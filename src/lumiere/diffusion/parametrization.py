"""What a denoiser predicts, and the algebra between the predictions (Salimans & Ho 2022, appendix D).

A noised sample is ``x = a clean + s noise`` with ``a^2 + s^2 = 1``. A denoiser predicts, under the names of
diffusers' ``prediction_type``: the noise ("epsilon"), the clean sample ("sample"), or the velocity
``v = a noise - s clean`` ("v_prediction"). Scales ``a`` and ``s`` broadcast to ``x``.
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from lumiere.errors import InputError

PREDICTION_TYPES = ("v_prediction", "sample", "epsilon")


def signal_power(
    alphas_cumprod: Float[Tensor, "n"], t: Int[Tensor, "*b"], like: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """a^2 at the timesteps ``t``, one for all samples or ``(b,)``, broadcast to ``like`` and of its type."""
    return alphas_cumprod.to(like.device)[t].to(like).view(-1, *[1] * (like.ndim - 1))


def scales(power: Float[Tensor, "*shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """a and s, the scales of the signal and of the noise."""
    return power.sqrt(), (1 - power).sqrt()


def add_noise(clean: Tensor, noise: Tensor, a: Tensor, s: Tensor) -> Tensor:
    """The noised sample ``x``."""
    return a * clean + s * noise


def target(clean: Tensor, noise: Tensor, a: Tensor, s: Tensor, prediction_type: str) -> Tensor:
    """What a perfect denoiser predicts of ``add_noise(clean, noise, a, s)``.

    Raises:
        InputError: ``prediction_type`` is none of ``PREDICTION_TYPES``.
    """
    _check(prediction_type)
    if prediction_type == "epsilon":
        return noise
    return clean if prediction_type == "sample" else a * noise - s * clean


def to_sample(prediction: Tensor, x: Tensor, a: Tensor, s: Tensor, prediction_type: str) -> Tensor:
    """The clean sample that a prediction of the noised sample ``x`` implies. Of the noise: only for a > 0.

    Raises:
        InputError: ``prediction_type`` is none of ``PREDICTION_TYPES``.
    """
    _check(prediction_type)
    if prediction_type == "epsilon":
        return (x - s * prediction) / a
    return prediction if prediction_type == "sample" else a * x - s * prediction


def from_sample(clean: Tensor, x: Tensor, a: Tensor, s: Tensor, prediction_type: str) -> Tensor:
    """The prediction of the noised sample ``x`` that implies the clean sample: the inverse of ``to_sample``.
    Of the noise and of v: only for s > 0.

    Raises:
        InputError: ``prediction_type`` is none of ``PREDICTION_TYPES``.
    """
    _check(prediction_type)
    if prediction_type == "epsilon":
        return (x - a * clean) / s
    return clean.expand_as(x) if prediction_type == "sample" else (a * x - clean) / s


def _check(prediction_type: str) -> None:
    if prediction_type not in PREDICTION_TYPES:
        known = ", ".join(PREDICTION_TYPES)
        raise InputError(f"unknown prediction type {prediction_type!r}; choose one of {known}")
