"""Noise for clips: each frame its own, or partly the same in all frames.

An image model makes like pictures of like noise. With a share of the noise common to all frames, an inflated
one begins with frames that agree, and its temporal layers have less to learn (the "mixed noise" of Ge et al.
2023, "Preserve Your Own Correlation"). Training and sampling must have the same share.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lumiere.errors import InputError


def clip_noise(
    clean: Float[Tensor, "b c t h w"], generator: torch.Generator, shared: float = 0.0
) -> Float[Tensor, "b c t h w"]:
    """Standard normal noise, shaped as ``clean``, of which ``shared`` (0 to 1, of the variance) is common to
    all frames of a clip.

    Raises:
        InputError: ``shared`` is not within 0 and 1.
    """
    own = torch.randn(clean.shape, generator=generator, device=clean.device, dtype=clean.dtype)
    if not _is_share(shared):
        return own
    common = torch.randn(own[:, :, :1].shape, generator=generator, device=own.device, dtype=own.dtype)
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


def _mixed(own: Tensor, common: Tensor, shared: float) -> Tensor:
    return (1 - shared) ** 0.5 * own + shared**0.5 * common


def _is_share(shared: float) -> bool:
    if not 0 <= shared <= 1:
        raise InputError(f"shared noise is {shared}; give a share from 0 to 1")
    return shared > 0
