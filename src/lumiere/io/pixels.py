"""Between frames as files hold them, uint8, and videos as nets take them, floats in [-1, 1]."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def to_uint8(video: Float[Tensor, "3 t h w"]) -> np.ndarray:
    """A video in [-1, 1] as frames, uint8 t h w 3."""
    return ((video + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 3, 0).cpu().numpy()


def from_uint8(frames: np.ndarray, device: torch.device, dtype: torch.dtype) -> Float[Tensor, "1 3 t h w"]:
    """Frames, uint8 t h w 3, as a video in [-1, 1]."""
    pixels = torch.from_numpy(np.ascontiguousarray(frames))
    return pixels.to(device, dtype).div(127.5).sub(1).movedim(-1, 0)[None]
