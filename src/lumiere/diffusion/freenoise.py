"""FreeNoise: a long clip's noise made of its first window's (Qiu et al. 2023, arXiv 2310.15169, section 3.2).

Windows whose noise is the same up to its order draw the same scene, so that a clip longer than those of
training drifts less from window to window.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lumiere.diffusion.windows import Windows


def reuse_noise(
    noise: Float[Tensor, "c t h w"], windows: Windows, generator: torch.Generator
) -> Float[Tensor, "c t h w"]:
    """Noise of which each window has the first window's frames, in another order.

    The frames that a window adds get, shuffled, the noise of the frames that the window before it has and
    this one has not.

    Args:
        noise: independent from frame to frame; its first window is kept.
        windows: along the frames. In a loop those that reach round the end add no frames.
        generator: on the CPU.
    """
    taken = torch.arange(noise.shape[1])
    for before, start in zip(windows.starts, windows.starts[1:], strict=False):
        end = before + windows.size
        new = max(0, min(start + windows.size, windows.length) - end)
        left = taken[before:start]
        shuffled = left[torch.randperm(len(left), generator=generator)]
        taken[end : end + new] = shuffled[:new]
    return noise[:, taken.to(noise.device)]
