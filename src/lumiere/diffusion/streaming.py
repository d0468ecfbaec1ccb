"""MultiDiffusion of a clip that never lies in memory whole.

A window's step needs the frames that it covers after the step before, and no others. So the steps run as a
wavefront: while the last step finishes the first frames, the first step reads later ones. Each step is a
generator that takes pieces of the clip from the step before it, holds those that its next window covers, and
passes a piece on as soon as no window to come covers it. Memory grows with the steps and the window, not with
the clip, and the result is that of :func:`lumiere.diffusion.multidiffusion.multidiffusion` on the whole clip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from lumiere.diffusion.guidance import WindowDenoiser
from lumiere.diffusion.sampling import check_finite, initial_sample, set_timesteps, take_step
from lumiere.diffusion.windows import Windows
from lumiere.errors import InputError
from lumiere.shapes import fold, unfold

TIME = 2


@dataclass
class _Piece:
    """The frames from a window's start to the next one's: what no later window shares."""

    first: int
    x: Tensor
    aligned: tuple[Tensor, ...]
    scheduler: Any
    prediction: Tensor

    @property
    def end(self) -> int:
        return self.first + self.x.shape[TIME]


def sample_stream(
    denoise: WindowDenoiser,
    read: Callable[[int, int], tuple[Tensor, ...]],
    frames: Windows,
    scheduler: Any,
    num_inference_steps: int,
    *,
    weights: str = "flat",
    seed: int = 0,
    callback: Callable[[], None] | None = None,
) -> Iterator[tuple[Tensor, ...]]:
    """Denoise a clip window by window, and yield it piece by piece, from its beginning to its end.

    Each piece comes as the sample and then what ``read`` gave of the same frames.

    Args:
        denoise: called as ``denoise(x, t, *aligned)`` with one window, ``b c t h w``.
        read: ``read(first, end)`` gives those frames' noise, ``b c t h w``, and then whatever else
            ``denoise`` takes of them, on the same frames; called once for each piece, in order.
        frames: the windows in time, on a line.
        scheduler: one of diffusers'; it is not changed.
        weights: one of ``lumiere.diffusion.windows.WEIGHTS``.
        seed: of the noise that a scheduler adds at each step, each frame's own whatever the windows.
        callback: called after each window of each step, ``len(frames.starts) * evaluations(scheduler,
            num_inference_steps)`` times.

    Raises:
        InputError: the windows are circular, so that the first frames would have to wait for the last ones;
            or the number of steps is not one that the schedule allows; or (when it denoises) a step ends in
            numbers that are not finite.
    """
    if frames.starts[-1] + frames.size > frames.length:
        raise InputError("a circular clip cannot be streamed; sample it whole")
    counts = frames.weights(weights)
    ready = deepcopy(scheduler)
    set_timesteps(ready, num_inference_steps, torch.device("cpu"))

    pieces = _pieces(read, frames, ready)
    seeds = torch.randint(2**62, (len(ready.timesteps),), generator=torch.Generator().manual_seed(seed))
    for number, of_step in enumerate(seeds.tolist()):
        generator = torch.Generator().manual_seed(of_step)
        pieces = _step(number, pieces, denoise, frames, counts, generator, callback)
    return ((piece.x, *piece.aligned) for piece in pieces)


def _pieces(
    read: Callable[[int, int], tuple[Tensor, ...]], frames: Windows, scheduler: Any
) -> Iterator[_Piece]:
    for first, end in zip(frames.starts, (*frames.starts[1:], frames.length), strict=True):
        noise, *aligned = read(first, end)
        x = initial_sample(noise, scheduler)
        yield _Piece(first, x, tuple(aligned), deepcopy(scheduler), torch.zeros_like(noise))


@torch.no_grad()
def _step(
    number: int,
    pieces: Iterator[_Piece],
    denoise: WindowDenoiser,
    frames: Windows,
    counts: Tensor,
    generator: torch.Generator,
    callback: Callable[[], None] | None,
) -> Iterator[_Piece]:
    held: list[_Piece] = []
    for start, row in zip(frames.starts, counts, strict=True):
        while not held or held[-1].end < start + frames.size:
            held.append(next(pieces))
        t = held[0].scheduler.timesteps[number]
        _predict(held, start, frames.size, row, t, denoise)
        if callback is not None:
            callback()
        done = held.pop(0)
        x = _stepped(done, t, generator)
        check_finite(x, number, done.scheduler)
        if number + 1 == len(done.scheduler.timesteps):
            x = x.to(done.prediction.dtype)
        yield _Piece(done.first, x, done.aligned, done.scheduler, torch.zeros_like(done.prediction))


def _stepped(piece: _Piece, t: Tensor, generator: torch.Generator) -> Tensor:
    """The piece after the step. Frames are samples to the scheduler, so that noise is drawn for each frame by
    itself, one after another, however many the piece has."""
    if "generator" not in signature(piece.scheduler.step).parameters:
        return take_step(piece.scheduler, piece.prediction, t, piece.x)
    prediction, x = fold(piece.prediction), fold(piece.x)
    x = take_step(piece.scheduler, prediction, t, x, generator=[generator] * len(x))
    return unfold(x, len(piece.x))


def _predict(
    held: list[_Piece], start: int, size: int, row: Tensor, t: Tensor, denoise: WindowDenoiser
) -> None:
    """Add one window's weighted prediction to the pieces that it covers."""
    covered = [piece for piece in held if piece.first < start + size]
    inputs = [(piece.scheduler.scale_model_input(piece.x, t), *piece.aligned) for piece in covered]
    x, *aligned = (torch.cat(parts, TIME).narrow(TIME, 0, size) for parts in zip(*inputs, strict=True))
    predicted = denoise(x.to(held[0].prediction.dtype), t, *aligned)
    predicted = predicted * row.to(predicted).view(-1, 1, 1)
    for piece in covered:
        part = predicted[:, :, piece.first - start : piece.end - start]
        piece.prediction[:, :, : part.shape[TIME]] += part
