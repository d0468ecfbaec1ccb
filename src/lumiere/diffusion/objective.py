"""The training loss: prediction of v, or of the sample, on a noise schedule that ends in pure noise.

Nothing here knows a model: a denoiser is a function ``(x, t) -> prediction``. All randomness comes from the
generators that are passed.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lumiere.diffusion.noise import Generators, clip_noise, rand, randn
from lumiere.diffusion.parametrization import add_noise, scales, signal_power, target
from lumiere.diffusion.sampling import Denoiser


def draw_timesteps(
    count: int,
    num_train_timesteps: int,
    generator: Generators,
    power: float = 1.0,
    pure: float = 0.0,
    part: tuple[int, int] | None = None,
    span: tuple[float, float] = (0.0, 1.0),
) -> Int[Tensor, "b"]:
    """Timesteps from 0 (clean) to ``num_train_timesteps - 1`` (pure noise), one in each ``count``-th of the
    draw, which makes the loss of a batch less noisy than independent draws do. If these samples are only a
    ``part`` of a batch, the place of the first in it and its size, one in each of that many.

    A timestep is ``u ** power`` of the schedule, u being uniform: 1 is uniform, below 1 leans towards noise.
    A share ``pure`` is the last one instead, where a model of one step is used. Of the schedule only ``span``
    is drawn from, shares of its length.
    """
    first, total = part or (0, count)
    u = rand(count, generator)
    u = ((torch.arange(first, first + count, device=u.device) + u) / total) ** power
    u = span[0] + (span[1] - span[0]) * u
    t = (u * num_train_timesteps).long().clamp_(max=num_train_timesteps - 1)
    if not pure:
        return t
    last = rand(count, generator) < pure
    return torch.where(last, num_train_timesteps - 1, t)


def training_loss(
    denoiser: Denoiser,
    clean: Float[Tensor, "b *shape"],
    alphas_cumprod: Float[Tensor, "n"],
    generator: Generators,
    *,
    part: tuple[int, int] | None = None,
    timestep_power: float = 1.0,
    pure_noise: float = 0.0,
    min_snr_gamma: float = 0.0,
    shared_noise: float = 0.0,
    noise_smoothness: float = 0.0,
    weight: Float[Tensor, "b *broadcast"] | None = None,
    prediction_type: str = "v_prediction",
    teacher: Denoiser | None = None,
    span: tuple[float, float] = (0.0, 1.0),
) -> Float[Tensor, ""]:
    """Mean squared error of the velocity v = a noise - s clean (Salimans & Ho 2022, appendix D), of the clean
    sample itself, or of the noise.

    Args:
        denoiser: called once with the noised samples and their timesteps ``(b,)``.
        clean: samples of about unit variance.
        alphas_cumprod: a^2 for each timestep, as diffusers' schedulers have it; its last value may be 0.
        generator: on the device of ``clean``; one, or one for each sample.
        part, timestep_power, pure_noise, span: see :func:`draw_timesteps`.
        min_snr_gamma: above 0, weights each sample by min(SNR, gamma) / (SNR + 1), or where the noise is
            predicted min(SNR, gamma) / SNR (Hang et al. 2023). The former weight of pure noise is 0, so that
            the first step of sampling is left untrained by itself.
        shared_noise, noise_smoothness: for clips, see :mod:`lumiere.diffusion.noise`.
        weight: of each value's error; the mean over a sample is weighted by it. Broadcast to ``clean``.
        prediction_type: what the denoiser predicts, under diffusers' names: "v_prediction",
            "sample" or "epsilon".
        teacher: a denoiser whose prediction is the target, in place of the data's own (distillation).

    Raises:
        InputError: ``prediction_type`` is unknown.
    """
    t = draw_timesteps(len(clean), len(alphas_cumprod), generator, timestep_power, pure_noise, part, span)
    power = signal_power(alphas_cumprod, t, clean)
    a, s = scales(power)
    if shared_noise or noise_smoothness:
        noise = clip_noise(clean, generator, shared_noise, noise_smoothness)
    else:
        noise = randn(clean.shape, generator, clean)
    noised = add_noise(clean, noise, a, s)
    predicted = denoiser(noised, t)
    if teacher is None:
        wanted = target(clean, noise, a, s, prediction_type)
    else:
        with torch.no_grad():
            wanted = teacher(noised, t).float()
    # A learned variance, in channels after the sample's, is not trained.
    squares = (predicted[:, : clean.shape[1]].float() - wanted).square()
    if weight is None:
        error = squares.flatten(1).mean(1)
    else:
        weight = weight.expand_as(squares)
        error = (squares * weight).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp(min=1)
    if min_snr_gamma:
        snr = power.flatten() / (1 - power.flatten())
        if prediction_type == "epsilon":
            error = error * min_snr_gamma / snr.clamp(min=min_snr_gamma)
        else:
            error = error * snr.clamp(max=min_snr_gamma) / (snr + 1)
    return error.mean()


def drop_captions(
    context: Float[Tensor, "b l d"], empty: Float[Tensor, "1 l d"], share: float, generator: Generators
) -> Float[Tensor, "b l d"]:
    """Replace a ``share`` of the contexts by the empty prompt's, for classifier-free guidance."""
    if not share:
        return context
    drop = rand(len(context), generator) < share
    return torch.where(drop[:, None, None], empty, context)


def drop_pairs(
    pairs: Float[Tensor, "b l pair"], empty: Float[Tensor, "1 l d"], share: float, generator: Generators
) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b l d"]]:
    """:func:`drop_captions` for a net's contexts and its teacher's, concatenated on ``d``; both are dropped
    together."""
    own, teacher = drop_captions(pairs, torch.cat([empty, empty], dim=2), share, generator).chunk(2, dim=2)
    return own, teacher
