"""Regional prompts: a frame of several windows of the model, side by side, each with a prompt of its own.

This is MultiDiffusion with a prompt for each region (Bar-Tal et al. 2023, section 4.2), of regions that are
the size that the model was trained at: together they are a canvas larger than the frame, which is then made
smaller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from lumiere.diffusion.windows import Windows, tiles, windows
from lumiere.errors import InputError
from lumiere.io.video import resize

#: samples that neighbouring windows share
OVERLAP = 2
#: pixels over which an edge fades into its colour
FADING = 8
#: how far, of 255, a pixel of an edge may be off its colour, and the share of them that may not be further
NEAR, MOST = 24, 0.7


@dataclass(frozen=True)
class Regions:
    """A prompt for each window of a frame, in rows from the top, each from the left.

    Raises:
        InputError: there is no window, or the rows are not equally long.
    """

    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        lengths = [len(row) for row in self.rows]
        if not lengths or len(set(lengths)) > 1 or 0 in lengths:
            counts = ", ".join(map(str, lengths)) or "no"
            raise InputError(f"the rows of regions have {counts} prompts; give each as many, from 1")

    @classmethod
    def of(cls, prompt: str) -> Regions:
        """One window."""
        return cls(((prompt,),))

    @classmethod
    def parse(cls, text: str) -> Regions:
        """Rows between ``/``, and prompts between ``|``, such as ``a cat | a dog / a fish | a bird``.

        Raises:
            InputError: a prompt is empty, or the rows are not equally long.
        """
        rows = tuple(tuple(part.strip() for part in row.split("|")) for row in text.split("/"))
        if not all(map(all, rows)):
            raise InputError(f"the regions {text!r} have an empty prompt; give each region one")
        return cls(rows)

    def __str__(self) -> str:
        return " / ".join(" | ".join(row) for row in self.rows)

    @property
    def prompts(self) -> tuple[str, ...]:
        return tuple(prompt for row in self.rows for prompt in row)

    @property
    def shape(self) -> tuple[int, int]:
        """How many windows there are from top to bottom, and from left to right."""
        return len(self.rows), len(self.rows[0])

    def changed(self, change: Callable[[str], str]) -> Regions:
        """The regions with other prompts."""
        return Regions(tuple(tuple(map(change, row)) for row in self.rows))

    def windows(self, height: int, width: int, factor: int = 1) -> tuple[Windows, Windows]:
        """The windows along the canvas's height, and those along its width.

        Args:
            height, width: of each, in samples.
            factor: positions in a sample: the codec's for windows in pixels.
        """
        down, across = map(_side_by_side, self.shape, (height, width), (factor, factor))
        return down, across

    def canvas(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of all windows together, of which each is ``height`` x ``width`` samples."""
        down, across = self.windows(height, width)
        return down.length, across.length


def _side_by_side(count: int, size: int, factor: int) -> Windows:
    overlap = min(OVERLAP, size // 2)
    length = count * size - (count - 1) * overlap
    return windows(length * factor, size * factor, overlap * factor)


def change_windows(
    picture: np.ndarray, places: tuple[Windows, Windows], change: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """A picture of a canvas, each window's part of it changed, blended where they overlap.

    Args:
        picture: uint8, h x w x 3.
        places: of :meth:`Regions.windows`, in pixels.
        change: makes of a part, uint8, another one of its size.
    """
    whole = torch.zeros(picture.shape, dtype=torch.float64)
    for tile in tiles(dict(enumerate(places)), "cosine"):
        part = change(tile.crop(torch.from_numpy(picture)).numpy())
        tile.add(whole, torch.from_numpy(part).double())
    return whole.round().to(torch.uint8).numpy()


def framed(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Frames as large as ``height`` x ``width`` allows, in proportion: uint8, t x h x w x 3.

    What is left over is what their edges show; an edge that is nearly of one colour fades into that.
    """
    scale = min(height / frames.shape[1], width / frames.shape[2])
    inner = (max(1, round(side * scale)) for side in frames.shape[1:3])
    frames = resize(frames, *inner)
    for axis, side in ((1, height), (2, width)):
        over = side - frames.shape[axis]
        if not over:
            continue
        first, last = np.take(frames, 0, axis), np.take(frames, -1, axis)
        before, after = _faded(first, over // 2)[:, ::-1], _faded(last, over - over // 2)
        if axis == 2:
            before, after = before.swapaxes(1, 2), after.swapaxes(1, 2)
        frames = np.concatenate([before, frames, after], axis)
    return frames


def shrunk(picture: np.ndarray, scale: float) -> np.ndarray:
    """A picture at a share, up to 1, of its size, amidst what its edges show: uint8, h x w x 3."""
    height, width = picture.shape[:2]
    around = [(round(side * (1 / scale - 1) / 2),) * 2 for side in (height, width)]
    return resize(np.pad(picture, (*around, (0, 0)), "edge")[None], height, width)[0]


def _faded(edge: np.ndarray, depth: int) -> np.ndarray:
    """An edge, t x n x 3, going on for ``depth`` pixels away from it: t x depth x n x 3."""
    colour = np.median(edge, (0, 1))
    plain = (np.abs(edge - colour).max(-1) < NEAR).mean() > MOST
    share = np.linspace(0, 1, FADING + 1)[1:] if plain else np.zeros(1)
    share = np.pad(share, (0, max(0, depth - len(share))), "edge")[:depth, None, None]
    return np.rint(edge[:, None] * (1 - share) + colour * share).astype(np.uint8)
