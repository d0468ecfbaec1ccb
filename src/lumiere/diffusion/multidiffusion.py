"""MultiDiffusion: a denoiser of a whole clip, from a denoiser of one window of it.

At every step each window is denoised by itself, and the predictions that overlap are averaged: the whole that
is nearest, in least squares, to all windows at once (Bar-Tal et al. 2023, equation 5; section 3.2 of arXiv
2401.12945 for windows in time). Predictions are averaged, not samples, so that no variance is lost. Windows
may lie in time, in space (tiles) or in both. Nothing here knows a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lumiere.diffusion.guidance import WindowDenoiser
from lumiere.diffusion.sampling import Denoiser
from lumiere.diffusion.windows import Tile
from lumiere.errors import InputError

if TYPE_CHECKING:
    from accelerate import PartialState


def multidiffusion(
    denoise: WindowDenoiser | Sequence[WindowDenoiser],
    tiles: Sequence[Tile],
    *aligned: Tensor,
    tiles_at_once: int = 1,
    processes: PartialState | None = None,
) -> Denoiser:
    """Denoise by overlapping ``tiles``.

    Args:
        denoise: called as ``denoise(x, t, *aligned)`` with the ``b`` samples' crops to one tile; with several
            tiles at once, with ``tiles b`` of them, the tiles' crops one after another. Or one for each tile,
            which may be conditioned on another prompt (section 4.2 of Bar-Tal et al.).
        tiles: of :func:`lumiere.diffusion.windows.tiles`.
        aligned: what ``denoise`` takes of each place, such as a low-resolution clip, on the sample's grid; it
            is cropped as the sample is.
        tiles_at_once: tiles that one call denoises: faster on a GPU, for more memory.
        processes: share the tiles among these processes, each of which gets the whole prediction. All of them
            must call the denoiser, with the same sample. Default: this process denoises all tiles.

    Raises:
        InputError: ``tiles_at_once`` is below 1, or above it for denoisers of their own.
    """
    if tiles_at_once < 1:
        raise InputError(f"tiles at once is {tiles_at_once}; give at least 1")
    if not callable(denoise) and tiles_at_once > 1:
        raise InputError(f"tiles at once is {tiles_at_once}; tiles with denoisers of their own take 1")
    denoisers = [denoise] * len(tiles) if callable(denoise) else denoise
    own = list(zip(tiles, denoisers, strict=True))
    shared = processes is not None and processes.num_processes > 1
    if processes is not None:
        own = own[processes.process_index :: processes.num_processes]

    def whole(x: Tensor, t: Tensor) -> Tensor:
        prediction = torch.zeros_like(x)
        for first in range(0, len(own), tiles_at_once):
            chosen, (denoise_these, *_) = zip(*own[first : first + tiles_at_once], strict=True)
            crops = [torch.cat([tile.crop(each) for tile in chosen]) for each in (x, *aligned)]
            parts = denoise_these(crops[0], t, *crops[1:]).chunk(len(chosen))
            for tile, part in zip(chosen, parts, strict=True):
                tile.add(prediction, part)
        if not shared:
            return prediction
        from accelerate.utils import reduce

        return reduce(prediction, "sum")

    return whole
