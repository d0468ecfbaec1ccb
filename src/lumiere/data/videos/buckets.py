"""Aspect-ratio buckets: clips are resized to a few sizes, so that those of a batch have the same shape.

As text-to-image trainers do it: every size of about the same area whose sides are multiples of a step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

#: the longest side of a bucket, in shortest sides
LONGEST = 2.0


class Size(NamedTuple):
    """Pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class Fit(NamedTuple):
    """How a picture fills a bucket: what it is enlarged by, and the share of its area that is kept."""

    scale: float
    kept: float


def make_buckets(side: int, step: int) -> list[Size]:
    """A square, and all sizes of up to ``side`` x ``side`` pixels that are the highest of their width.

    Widths and heights are multiples of ``step``, and none is more than twice the other.

    Empty if ``side`` is below ``step``.
    """
    square = side // step * step
    found = {Size(square, square)} if square else set()
    for short in range(step, side + 1, step):
        long = side * side // short // step * step
        if long <= LONGEST * short:
            found |= {Size(short, long), Size(long, short)}
    return sorted(found)


def nearest(size: Size, buckets: Sequence[Size]) -> Size:
    """The bucket whose aspect ratio is nearest; of several, the largest."""

    def distance(bucket: Size) -> tuple[float, int]:
        ratio = size.width * bucket.height / (size.height * bucket.width)
        return abs(math.log(ratio)), -bucket.width * bucket.height

    return min(buckets, key=distance)


def fit(size: Size, bucket: Size) -> Fit:
    scale = max(bucket.width / size.width, bucket.height / size.height)
    return Fit(scale, bucket.width * bucket.height / (scale * size.width * scale * size.height))


def fill(picture: np.ndarray, bucket: Size) -> np.ndarray:
    """The picture (uint8 h x w x 3) at the bucket's size, its middle kept where the shapes differ."""
    height, width = picture.shape[:2]
    if (width, height) == bucket:
        return picture
    scale, _ = fit(Size(width, height), bucket)
    left, top = (width - bucket.width / scale) / 2, (height - bucket.height / scale) / 2
    box = (max(left, 0.0), max(top, 0.0), min(width - left, width), min(height - top, height))
    # Pillow's bicubic filter widens as it shrinks, so nothing aliases.
    return np.asarray(Image.fromarray(picture).resize(bucket, Image.Resampling.BICUBIC, box))
