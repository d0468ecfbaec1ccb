"""Denoisers of a whole clip, of several regions and longer than the net's window, by MultiDiffusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from lumiere.diffusion.guidance import WindowDenoiser
from lumiere.diffusion.multidiffusion import multidiffusion
from lumiere.diffusion.sampling import Denoiser
from lumiere.diffusion.windows import Windows, tiles, windows

if TYPE_CHECKING:
    from accelerate import PartialState

TIME = 2


def time_windows(num_frames: int, trained_frames: int, loop: bool) -> Windows:
    """Windows as long as the clips that the model was trained on, each sharing half of its frames with the
    next one (section 3.2 of arXiv 2401.12945, there for super-resolution)."""
    window = min(num_frames, trained_frames)
    return windows(num_frames, window, window // 2, circular=loop)


def over_windows(
    denoisers: Sequence[WindowDenoiser],
    axes: Mapping[int, Windows],
    *aligned: Tensor,
    processes: PartialState | None = None,
) -> Denoiser:
    """A denoiser of the whole.

    Args:
        denoisers: of each region of the frame, row by row.
        axes: the windows along each axis; those of the last two axes have a denoiser each.
        aligned: see :func:`~lumiere.diffusion.multidiffusion.multidiffusion`.
        processes: share the windows among these, if there are several in time.
    """
    several = {axis: along for axis, along in axes.items() if len(along.starts) > 1}
    if not several:
        return lambda x, t: denoisers[0](x, t, *aligned)
    chosen = tiles(several, "cosine")
    each = [*denoisers] * (len(chosen) // len(denoisers))
    return multidiffusion(each, chosen, *aligned, processes=processes if TIME in several else None)
