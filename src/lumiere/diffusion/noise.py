"""Noise for clips: each frame its own, or partly the same in all frames.

An image model makes like pictures of like noise. With a share of the noise common to all frames, an inflated
one begins with frames that agree, and its temporal layers have less to learn (the "mixed noise" of Ge et al.
2023, "Preserve Your Own Correlation"). Training and sampling must have the same share.
"""

from __future__ import annotations

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


def randn(shape: Sequence[int], generator: Generators, like: Tensor) -> Tensor:
    """Standard normal noise for the samples of a batch, on the device of ``like`` and of its type."""
    return randn_tensor(tuple(shape), generator=generator, device=like.device, dtype=like.dtype)


def clip_noise(
    clean: Float[Tensor, "b c t h w"], generator: Generators, shared: float | tuple[float, float] = 0.0
) -> Float[Tensor, "b c t h w"]:
    """Standard normal noise, shaped as ``clean``, of which ``shared`` (0 to 1, of the variance) is common to
    all frames of a clip; of each clip a share between the two, if it is two.

    Raises:
        InputError: ``shared`` is not within 0 and 1.
    """
    own = randn(clean.shape, generator, clean)
    if isinstance(shared, tuple):
        low, high = shared
        if not _is_share(low) and not _is_share(high):
            return own
        share = low + (high - low) * rand(len(clean), generator)
        return _mixed(own, randn(own[:, :, :1].shape, generator, own), share.to(own).view(-1, 1, 1, 1, 1))
    if not _is_share(shared):
        return own
    common = randn(own[:, :, :1].shape, generator, own)
    return _mixed(own, common, shared)


def frame_noise(
    num_frames: int, shape: tuple[int, int, int], generator: torch.Generator, shared: float = 0.0
) -> Float[Tensor, "c t h w"]:
    """The same for one clip whose frames have ``shape``, drawn frame after frame.

    So a frame's noise does not depend on how many follow.

    Raises:
        InputError: ``shared`` is not within 0 and 1.
    """

    def frame() -> Tensor:
        return torch.randn(shape, generator=generator, device=generator.device)

    common = frame()[:, None] if _is_share(shared) else None
    own = torch.stack([frame() for _ in range(num_frames)], dim=1)
    return own if common is None else _mixed(own, common, shared)


def _mixed(own: Tensor, common: Tensor, shared: float | Tensor) -> Tensor:
    return (1 - shared) ** 0.5 * own + shared**0.5 * common


def _is_share(shared: float) -> bool:
    if not 0 <= shared <= 1:
        raise InputError(f"shared noise is {shared}; give a share from 0 to 1")
    return shared > 0
