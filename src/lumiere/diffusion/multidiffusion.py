"""MultiDiffusion: a denoiser of a whole clip, from a denoiser of one window of it.

At every step each window is denoised by itself, and the predictions that overlap are averaged: the whole that
is nearest, in least squares, to all windows at once (Bar-Tal et al. 2023, equation 5; section 3.2 of arXiv
2401.12945 for windows in time). Predictions are averaged, not samples, so that no variance is lost. Windows
may lie in time, in space (tiles) or in both. Nothing here knows a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import Tensor

from lumiere.diffusion.sampling import Denoiser
from lumiere.diffusion.windows import Tile
from lumiere.errors import InputError

WindowDenoiser = Callable[..., Tensor]
_single_process: ContextVar[bool] = ContextVar("alone", default=False)


@contextmanager
def single_process() -> Iterator[None]:
    """Within, a process denoises all tiles by itself: for what the others do not take part in."""
    before = _single_process.set(True)
    try:
        yield
    finally:
        _single_process.reset(before)


def multidiffusion(
    denoise: WindowDenoiser | Sequence[WindowDenoiser],
    tiles: Sequence[Tile],
    *aligned: Tensor,
    tiles_at_once: int = 1,
) -> Denoiser:
    """Denoise by overlapping ``tiles``.

    Where there are several processes (``accelerate launch``), each takes its share of the tiles, and every
    one gets the whole prediction. All must be given the same sample, unless this is :func:`alone`.

    Args:
        denoise: called as ``denoise(x, t, *aligned)`` with the ``b`` samples' crops to one tile; with several
            tiles at once, with ``tiles b`` of them, the tiles' crops one after another. Or one for each tile,
            that is told something else there (section 4.2 of Bar-Tal et al.).
        tiles: of :func:`lumiere.diffusion.windows.tiles`.
        aligned: what ``denoise`` takes of each place, such as a low-resolution clip, on the sample's grid; it
            is cropped as the sample is.
        tiles_at_once: tiles that one call denoises: faster on a GPU, for more memory.

    Raises:
        InputError: ``tiles_at_once`` is below 1, or above it for denoisers of their own.
    """
    if tiles_at_once < 1:
        raise InputError(f"tiles at once is {tiles_at_once}; give at least 1")
    if not callable(denoise) and tiles_at_once > 1:
        raise InputError(f"tiles at once is {tiles_at_once}; tiles with denoisers of their own take 1")
    denoisers = [denoise] * len(tiles) if callable(denoise) else denoise
    denoised = list(zip(tiles, denoisers, strict=True))

    def whole(x: Tensor, t: Tensor) -> Tensor:
        state = PartialState()
        shared = state.num_processes > 1 and not _single_process.get()
        own = denoised[state.process_index :: state.num_processes] if shared else denoised
        prediction = torch.zeros_like(x)
        for first in range(0, len(own), tiles_at_once):
            chosen, (denoise_these, *_) = zip(*own[first : first + tiles_at_once], strict=True)
            crops = [torch.cat([tile.crop(each) for tile in chosen]) for each in (x, *aligned)]
            parts = denoise_these(crops[0], t, *crops[1:]).chunk(len(chosen))
            for tile, part in zip(chosen, parts, strict=True):
                tile.add(prediction, part)
        return reduce(prediction, "sum") if shared else prediction

    return whole
