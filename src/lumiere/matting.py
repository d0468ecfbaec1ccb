"""Take away a background of one colour, or one that fades evenly: unmix its pixels from the objects'.

A pixel at an object's edge is alpha F + (1 - alpha) B. The background B is fitted to the clip's border, and F
is taken from the nearest pixels that are the object's alone; alpha and the pixel's own F follow (Smith and
Blinn 1996, "Blue screen matting", with F constrained to its neighbourhood). What the object encloses, such as
an eye in the colour of the background, stays opaque.

    t frames   h, w pixels
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from lumiere.errors import InputError

#: share of the border's pixels that must fit the background
FITTING = 0.85
#: levels of 255 by which background may differ from its fit; beyond the second it is an object alone
NOISE, DISTINCT = 10.0, 48.0
#: pixels that an edge is wide in a frame of 128, and that are looked at for an object's own colour
EDGE = 3
_BORDER = 2


def take_away_background(frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "t h w 4"]:
    """Frames with alpha, not premultiplied, and without their background's colour at the edges.

    Raises:
        InputError: the border of the frames is not of one colour, nor of one that fades evenly.
    """
    background = fit_background(frames)
    return np.concatenate([_unmix(frame, background) for frame in np.array_split(frames, len(frames))])


def fit_background(frames: UInt8[np.ndarray, "t h w 3"]) -> Float[Tensor, "3 h w"]:
    """The background, 0 to 255, linear in x and y, that most of the border's pixels are of.

    Raises:
        InputError: fewer than most are of any.
    """
    _, height, width, _ = frames.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    inside = np.zeros((height, width), bool)
    inside[_BORDER:-_BORDER, _BORDER:-_BORDER] = True
    design = np.stack([np.ones_like(x), x, y], axis=-1)
    where = design[~inside]
    # Over time the median leaves out what crosses the border.
    colours = np.median(frames[:, ~inside], axis=0)
    fits = np.ones(len(colours), bool)
    for _ in range(5):
        plane = np.linalg.lstsq(where[fits], colours[fits], rcond=None)[0]
        error = np.abs(where @ plane - colours).max(1)
        fits = error <= max(NOISE, np.quantile(error, 0.5))
    if (error <= NOISE).mean() < FITTING:
        share = (error <= NOISE).mean()
        raise InputError(
            f"the background is neither plain nor an even gradient: {share:.0%} of the border fits one, and "
            f"{FITTING:.0%} must; give a clip on a plain background, such as one on a blue background"
        )
    return torch.from_numpy(design @ plane).permute(2, 0, 1).float()


def _unmix(
    frame: UInt8[np.ndarray, "1 h w 3"], background: Float[Tensor, "3 h w"]
) -> UInt8[np.ndarray, "1 h w 4"]:
    pixels = torch.from_numpy(frame).permute(0, 3, 1, 2).float()
    difference = pixels - background
    distance = difference.abs().amax(1, keepdim=True)
    width = max(EDGE, EDGE * min(frame.shape[1:3]) // 128)
    around = (2 * width + 1, 1, width)
    outside = _reached_from_border(distance <= NOISE)
    edge = (F.max_pool2d(outside.float(), *around) > 0) & ~outside
    sure = ~outside & ~edge
    # An edge that is as distinct as its surroundings is the object's alone, in thin parts too.
    strongest = F.max_pool2d(distance * ~outside, *around)
    sure |= edge & (distance > DISTINCT) & (distance >= 0.92 * strongest)
    own = _spread(pixels, sure, 2 * width)
    direction = own - background
    alpha = (difference * direction).sum(1, keepdim=True) / direction.square().sum(1, keepdim=True).clamp(1)
    alpha = torch.where(sure, 1.0, torch.where(outside, 0.0, alpha.clamp(0, 1)))
    colour = background + difference / alpha.clamp(min=1 / 255)
    # Where little of the object is left, its colour is its neighbours'.
    colour = torch.where(alpha > 0.5, colour, own).clamp(0, 255)
    colour = torch.where(alpha > 0, torch.where(sure, pixels, colour), own)
    made = torch.cat([colour, alpha * 255], dim=1).round().clamp(0, 255).to(torch.uint8)
    return made.permute(0, 2, 3, 1).numpy()


def _reached_from_border(like_background: Tensor) -> Tensor:
    """What of a mask, 1 1 h w, is connected with the border."""
    reached = torch.zeros_like(like_background)
    for axis, end in ((2, 0), (2, -1), (3, 0), (3, -1)):
        reached.select(axis, end).copy_(like_background.select(axis, end))
    count = -1
    while count != (count := int(reached.sum())):
        for _ in range(16):
            reached = (F.max_pool2d(reached.float(), 3, 1, 1) > 0) & like_background
    return reached


def _spread(pixels: Tensor, sure: Tensor, steps: int) -> Tensor:
    """The colours of sure pixels, carried ``steps`` pixels into the others; else the pixels' own."""
    colours, weight = pixels * sure, sure.float()
    for _ in range(steps):
        near = F.avg_pool2d(weight, 3, 1, 1)
        carried = F.avg_pool2d(colours, 3, 1, 1) / near.clamp(min=1e-6)
        new = (weight == 0) & (near > 0)
        colours = torch.where(new, carried, colours)
        weight = torch.where(new, 1.0, weight)
    return torch.where(weight > 0, colours, pixels)
