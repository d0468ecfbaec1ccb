"""Between frames as files hold them, uint8 in 0 to 255 with channels last, and tensors in [-1, 1]."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from lumiere.errors import InputError


def from_uint8(
    frames: UInt8[np.ndarray, "*b t h w 3"] | UInt8[Tensor, "*b t h w 3"],
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "*b 3 t h w"]:
    """Frames as a video in [-1, 1], a view of channels-last memory."""
    pixels = torch.from_numpy(np.ascontiguousarray(frames)) if isinstance(frames, np.ndarray) else frames
    # To the device first: bytes are the smaller transfer.
    return pixels.to(device).to(dtype).div_(127.5).sub_(1).movedim(-1, -4)


def to_uint8(video: Float[Tensor, "3 t h w"]) -> UInt8[np.ndarray, "t h w 3"]:
    """A video in [-1, 1] as frames; values beyond that range are clamped.

    Raises:
        InputError: there are values that are not finite.
    """
    if not bool(video.isfinite().all()):
        raise InputError(
            "the decoded frames are not finite: the weights of the codec or of the warp net are not, or its "
            "dtype is too narrow"
        )
    return ((video + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 3, 0).cpu().numpy()
