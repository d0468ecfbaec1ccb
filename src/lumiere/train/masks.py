"""Random masks of known pixels for the conditioned model, of the kinds that its applications use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from lumiere.conditions import Box, bounding_box

#: how often each kind is drawn
SHARES = {
    "first frame": 0.26,
    "some frames": 0.12,
    "past": 0.12,
    "hole": 0.33,
    "region": 0.17,
}
#: share of holes and regions that lie around the objects, so that the whole of an object is generated
_AROUND_OBJECT = 0.4
_MOST_BOXES = 3
#: least difference from the background of an object's pixels, of 255
_STANDS_OUT = 24

HoleShape = Literal["boxes", "stroke"]


def random_mask(rng: np.random.Generator, size: tuple[int, ...], box: Callable[[], Box | None]) -> np.ndarray:
    """A random mask of known pixels: bool, t x h x w as ``size``.

    Known are the first frame; some frames, evenly spaced or not; the first few; all but a hole, of boxes or
    of brush strokes, static or moving, or around the objects; or the first frame and all outside a region.

    Args:
        box: gives the box around the clip's objects, in pixels, or None where they are not known: masks then
            lie anywhere.
    """
    frames = size[0]
    known = np.zeros(size, bool)
    kind = list(SHARES)[rng.choice(len(SHARES), p=list(SHARES.values()))]
    if kind in ("first frame", "region"):
        known[0] = True
    if kind == "some frames":
        known[_some_frames(rng, frames)] = True
    elif kind == "past":
        known[: int(rng.integers(1, max(2, frames // 2)))] = True
    elif kind in ("hole", "region"):
        hole = _around(rng, size, box()) if rng.random() < _AROUND_OBJECT else None
        if hole is None:
            shape: HoleShape = "boxes" if rng.random() < 0.5 else "stroke"
            hole = random_hole(rng, size, shape, kind == "hole" and rng.random() < 0.5)
        known |= ~hole
    return known


def keyframe_mask(size: tuple[int, ...], interval: int) -> np.ndarray:
    """The mask where every ``interval``-th frame is known, from the first on: bool, t x h x w as ``size``."""
    known = np.zeros(size, bool)
    known[::interval] = True
    return known


def _some_frames(rng: np.random.Generator, frames: int) -> np.ndarray:
    match rng.integers(3):
        case 0:
            return np.array([0, frames - 1])
        case 1:
            return np.arange(0, frames, int(rng.integers(2, 9)))
    return rng.choice(frames, min(frames, int(rng.integers(1, 5))), replace=False)


def object_box(clip: np.ndarray) -> Box | None:
    """The box around the pixels that differ from the median colour of the clip's border in any frame.

    Left, top, right and bottom, in pixels; None if none differs. An estimate of where the objects are, for
    clips with a plain background.

    Args:
        clip: uint8, t x h x w x 3.
    """
    ring = [clip[:, 0], clip[:, -1], clip[:, :, 0], clip[:, :, -1]]
    background = np.median(np.concatenate([side.reshape(-1, 3) for side in ring]), axis=0)
    return bounding_box((np.abs(clip - background.astype(np.int16)) > _STANDS_OUT).any((0, 3)))


def _around(rng: np.random.Generator, size: tuple[int, ...], box: Box | None) -> np.ndarray | None:
    """A hole over the box and a random margin, or over its left or right half, where one of two objects may
    be."""
    if box is None:
        return None
    left, top, right, bottom = box
    middle = (left + right) // 2
    match rng.integers(4):
        case 0:
            right = middle
        case 1:
            left = middle
    more = rng.uniform(0, 0.2, 4) * (right - left, bottom - top, right - left, bottom - top)
    hole = np.zeros(size, bool)
    rows = slice(max(0, int(top - more[1])), int(bottom + more[3]))
    hole[:, rows, max(0, int(left - more[0])) : int(right + more[2])] = True
    return hole


def random_hole(rng: np.random.Generator, size: tuple[int, ...], shape: HoleShape, moves: bool) -> np.ndarray:
    """A few boxes or a brush stroke, static or moving: bool, t x h x w as ``size``, True inside."""
    frames, height, width = size
    draw = _boxes(rng, height, width) if shape == "boxes" else _stroke(rng, height, width)
    if not moves:
        return np.broadcast_to(_drawn(draw, 0.0, 0.0, height, width), (frames, height, width))
    start, end = rng.uniform(-0.3, 0.3, (2, 2)) * (height, width)
    places = np.linspace(start, end, frames)
    return np.stack([_drawn(draw, dy, dx, height, width) for dy, dx in places])


Shapes = tuple[str, list[list[tuple[float, float]]], int]


def _boxes(rng: np.random.Generator, height: int, width: int) -> Shapes:
    boxes = []
    for _ in range(int(rng.integers(1, _MOST_BOXES + 1))):
        sides = rng.uniform(0.2, 0.7, 2) * (width, height)
        corner = rng.uniform(0, 1, 2) * ((width, height) - sides)
        boxes.append([tuple(corner.tolist()), tuple((corner + sides).tolist())])
    return "rectangle", boxes, 0


def _stroke(rng: np.random.Generator, height: int, width: int) -> Shapes:
    points = [rng.uniform(0.1, 0.9, 2) * (width, height)]
    angle = rng.uniform(0, 2 * np.pi)
    for _ in range(int(rng.integers(2, 9))):
        angle += rng.normal(0, 0.8)
        step = rng.uniform(0.1, 0.3) * min(height, width)
        point = points[-1] + step * np.array([np.cos(angle), np.sin(angle)])
        points.append(point.clip(0, (width, height)))
    return (
        "line",
        [[tuple(point.tolist()) for point in points]],
        int(rng.uniform(0.1, 0.3) * min(height, width)),
    )


def _drawn(shapes: Shapes, dy: float, dx: float, height: int, width: int) -> np.ndarray:
    how, lines, thickness = shapes
    picture = Image.new("1", (width, height))
    pen = ImageDraw.Draw(picture)
    for line in lines:
        moved = [(x + dx, y + dy) for x, y in line]
        if how == "rectangle":
            pen.rectangle(moved, fill=1)
        else:
            pen.line(moved, fill=1, width=thickness, joint="curve")
    return np.asarray(picture)
