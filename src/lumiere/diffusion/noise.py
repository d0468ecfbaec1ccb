"""Noise for clips: each frame's own, partly the same in all frames, and smooth in time.

An image model draws similar pictures from similar noise. With a share of the noise common to all frames, the
frames of an inflated model agree from the start, and its temporal layers have less to learn (the "mixed
noise" of Ge et al. 2023, "Preserve Your Own Correlation"). A frame's own noise shows in its picture, and
flickers if it is independent of the next frame's. Smoothed in time by a Gaussian it changes slowly, as their
"progressive noise" does; each frame's noise remains standard normal. Sample with the values of training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float
from torch import Tensor

from lumiere.errors import InputError

#: one for a whole batch, or one for each of its samples, which then does not depend on the others
Generators = torch.Generator | list[torch.Generator]


def rand(count: int, generator: Generators) -> Float[Tensor, "b"]:
    """A number from 0 to 1 for each of ``count`` samples, on the generators' device."""
    if isinstance(generator, list):
        return torch.cat([torch.rand(1, generator=each, device=each.device) for each in generator])
    return torch.rand(count, generator=generator, device=generator.device)


def randn(shape: Sequence[int], generator: Generators | None, like: Tensor) -> Tensor:
    """Standard normal noise for the samples of a batch, on the device of ``like`` and of its type."""
    return randn_tensor(tuple(shape), generator=generator, device=like.device, dtype=like.dtype)


def clip_noise(
    clean: Float[Tensor, "b c t h w"], generator: Generators, shared: float = 0.0, smoothness: float = 0.0
) -> Float[Tensor, "b c t h w"]:
    """Standard normal noise, shaped as ``clean``.

    Args:
        shared: 0 to 1, the share of the variance that is common to all frames of a clip.
        smoothness: how slowly the rest changes: the standard deviation, in frames, of the Gaussian that it is
            smoothed by. 0 makes it independent from frame to frame.

    Raises:
        InputError: ``shared`` is not within 0 and 1, or ``smoothness`` below 0.
    """
    kernel = _gaussian(smoothness, clean)
    batch, channels, frames, *size = clean.shape
    own = _smoothed(randn((batch, channels, frames + len(kernel) - 1, *size), generator, clean), kernel)
    if not _is_share(shared):
        return own
    common = randn(own[:, :, :1].shape, generator, own)
    return _mixed(own, common, shared)


def frame_noise(
    num_frames: int,
    shape: tuple[int, int, int],
    generator: torch.Generator,
    shared: float = 0.0,
    smoothness: float = 0.0,
    loop: bool = False,
) -> Float[Tensor, "c t h w"]:
    """Noise as :func:`clip_noise` draws it, for one clip whose frames have ``shape``, frame by frame.

    A frame's noise does not depend on the number of frames after it, unless the clip is a ``loop``: then the
    noise is smooth from the last frame to the first, too.

    Raises:
        InputError: ``shared`` is not within 0 and 1, or ``smoothness`` below 0.
    """

    def frame() -> Tensor:
        return torch.randn(shape, generator=generator, device=generator.device)

    common = frame()[:, None] if _is_share(shared) else None
    kernel = _gaussian(smoothness, torch.empty(0, device=generator.device))
    more = len(kernel) - 1
    own = torch.stack([frame() for _ in range(num_frames if loop else num_frames + more)], dim=1)
    if loop:
        own = own[:, torch.arange(num_frames + more) % num_frames]
        # Where the kernel reaches round more than once, it finds a frame again.
        folded = kernel.new_zeros(num_frames)
        folded.index_add_(0, torch.arange(len(kernel), device=kernel.device) % num_frames, kernel)
        kernel = kernel / folded.norm()
    own = _smoothed(own, kernel)
    return own if common is None else _mixed(own, common, shared)


def _gaussian(smoothness: float, like: Tensor) -> Tensor:
    """Weights whose squares add up to 1, so that the variance stays."""
    if not smoothness >= 0:
        raise InputError(f"noise smoothness is {smoothness}; give a number of frames, 0 or more")
    if not smoothness:
        return torch.ones(1, device=like.device, dtype=like.dtype)
    reach = math.ceil(3 * smoothness)
    steps = torch.arange(-reach, reach + 1, device=like.device, dtype=torch.float32)
    weights = torch.exp(-0.5 * (steps / smoothness) ** 2)
    return (weights / weights.norm()).to(like.dtype)


def _smoothed(noise: Tensor, kernel: Tensor) -> Tensor:
    """``(b) c t h w``, with as many frames less as the kernel has neighbours."""
    return noise if len(kernel) == 1 else noise.unfold(-3, len(kernel), 1) @ kernel


def _mixed(own: Tensor, common: Tensor, shared: float) -> Tensor:
    return (1 - shared) ** 0.5 * own + shared**0.5 * common


def _is_share(shared: float) -> bool:
    if not 0 <= shared <= 1:
        raise InputError(f"shared noise is {shared}; give a share from 0 to 1")
    return shared > 0
