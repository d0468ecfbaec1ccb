"""FreeInit: sampling again from noise that keeps the slow part of the last result (Wu et al. 2023, arXiv
2312.07537).

Models of clips are trained on noisy clips whose low frequencies show through the noise, and sampled from pure
noise. A clip that is sampled, noised to the end of the schedule, and sampled again from its low frequencies
with other high ones, changes less from frame to frame.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lumiere.diffusion.parametrization import add_noise, scales
from lumiere.errors import InputError

#: the paper's: where the filter has fallen to a half, as a share of the highest frequency, and its order
STOP, ORDER = 0.25, 4
#: share of a sample's amplitude that must show through the noise at the end of the schedule
LEAST_SIGNAL = 1e-3
DIMENSIONS = (-3, -2, -1)


def low_pass(frames: int, height: int, width: int) -> Float[Tensor, "t h w"]:
    """A Butterworth filter over time and space, 1 for the mean, for frequencies in the order of
    ``torch.fft.fftn``."""
    axes = [2 * torch.fft.fftfreq(length) for length in (frames, height, width)]
    squared = torch.stack(torch.meshgrid(*axes, indexing="ij")).square().sum(0)
    return 1 / (1 + (squared / STOP**2) ** ORDER)


def mixed_frequencies(
    low: Float[Tensor, "*b t h w"], high: Float[Tensor, "*b t h w"]
) -> Float[Tensor, "*b t h w"]:
    """The low frequencies of one and the high ones of the other, over time and space (equation 7)."""
    kept = low_pass(*low.shape[-3:]).to(low.device)
    spectra = (torch.fft.fftn(each.float(), dim=DIMENSIONS) for each in (low, high))
    slow, fast = spectra
    return torch.fft.ifftn(slow * kept + fast * (1 - kept), dim=DIMENSIONS).real.to(low)


def check_schedule(alphas_cumprod: Float[Tensor, "n"]) -> None:
    """Raise :class:`InputError` for a schedule that ends in pure noise, after which nothing could be kept."""
    if (signal := float(alphas_cumprod[-1].clamp(min=0).sqrt())) < LEAST_SIGNAL:
        raise InputError(
            f"free_init has no effect on this model: its noise schedule ends in pure noise (signal"
            f" {signal:.2g}), so nothing of a sampled clip would be kept; leave it out"
        )


def renewed_noise(
    clean: Float[Tensor, "b c t h w"],
    noise: Float[Tensor, "b c t h w"],
    fresh: Float[Tensor, "b c t h w"],
    alphas_cumprod: Float[Tensor, "n"],
) -> Float[Tensor, "b c t h w"]:
    """The noise to sample from next (equations 5 to 7).

    Args:
        clean: what was sampled last.
        noise: what the first sampling began with.
        fresh: other noise, for the high frequencies.
        alphas_cumprod: the noise schedule, one value per timestep.
    """
    a, s = scales(alphas_cumprod[-1].to(clean))
    return mixed_frequencies(add_noise(clean, noise, a, s), fresh)
