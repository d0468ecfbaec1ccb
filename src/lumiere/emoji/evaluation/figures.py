"""Measures on one clip: its background, where its object goes, and whether anything moves.

Captions of composed scenes are true by construction, so each of their words can be checked by program. All
functions take frames as uint8, t x h x w x 3. Positions and lengths are shares of the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lumiere.emoji.data.scenes import COLOURS, FPS, Scene
from lumiere.metrics.block_means import block_means

_BORDER = 1 / 16
_CELLS = 16  # a side, of the coarse grid on which change is measured
_DEAD_ZONE = 3.0  # of 255
# The scripted path is 0.36 of the frame. Of 120 real clips that are not to go or spin, none drifts this far.
DIRECTION_THRESHOLD = 0.12
# Scripted growth more than doubles an object's width, shrinking more than halves it.
SIZE_THRESHOLD = 1.35
# A scripted bounce moves the centre by 0.136 at its fundamental, once a second.
BOUNCE_THRESHOLD = 0.06
# Real clips of animals without a scripted motion change by 0.7 or more, half of them by over 3; what only
# shivers (a tractor) changes by less. A still picture under fresh noise of deviation 20 changes by 0.04.
MOVING_THRESHOLD = 0.3

_AXES = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}


@dataclass(frozen=True)
class ClipFigures:
    """Measurements on a clip; None where the scene does not ask for it.

    Attributes:
        background: the name of the colour nearest to the border's.
        displacement: of the object over the clip, (x, y), right and down being positive.
        growth: the object's width at the end over that at the start.
        bounce: amplitude of the object's movement up and down about once a second.
        change: mean absolute difference between eighths of the clip, of 255.
    """

    background: str
    displacement: tuple[float, float]
    growth: float
    bounce: float
    change: float
    background_right: bool | None
    direction_right: bool | None
    size_right: bool | None
    bounce_right: bool | None
    moves: bool


def measure(frames: np.ndarray, scene: Scene) -> ClipFigures:
    """Measure a clip that is to show ``scene``. Spinning is not judged: round objects do not show it."""
    weights = foreground(frames)
    background, displacement, growth = background_colour(frames), drift(weights), growth_of(weights)
    bounce, change = bounce_of(weights), change_between_eighths(frames)
    return ClipFigures(
        background,
        displacement,
        growth,
        bounce,
        change,
        background == scene.background.colours[0] if scene.background.kind == "solid" else None,
        direction_of(displacement) == scene.motion if scene.motion in _AXES else None,
        size_change_of(growth) == scene.motion if scene.motion in ("grow", "shrink") else None,
        bounce > BOUNCE_THRESHOLD if scene.motion == "bounce" else None,
        change > MOVING_THRESHOLD,
    )


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of sRGB in 0 to 255, over the last axis."""
    share = np.asarray(rgb, np.float32) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32
    )
    xyz = linear @ (to_xyz / np.array([[0.9505], [1.0], [1.089]], np.float32)).T
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def _border(frames: np.ndarray) -> np.ndarray:
    """The pixels of the frames' outer ring: t x n x 3."""
    rows, columns = (max(1, round(size * _BORDER)) for size in frames.shape[1:3])
    inside = np.ones(frames.shape[1:3], bool)
    inside[rows:-rows, columns:-columns] = False
    return frames[:, inside]


def border_colour(frames: np.ndarray) -> np.ndarray:
    """The median of the frames' outer ring: 3 numbers, of 255."""
    return np.asarray(np.median(_border(frames).reshape(-1, 3), axis=0))


def border_colours(frames: np.ndarray) -> np.ndarray:
    """The median of each frame's outer ring: t x 3, of 255."""
    return np.asarray(np.median(_border(frames), axis=1))


def background_colour(frames: np.ndarray) -> str:
    """The named colour nearest, in Lab, to the median of the frames' outer ring."""
    distances = np.linalg.norm(lab(np.array(list(COLOURS.values()))) - lab(border_colour(frames)), axis=-1)
    return list(COLOURS)[int(distances.argmin())]


def foreground(frames: np.ndarray) -> np.ndarray:
    """How surely each pixel of a halved frame is not background: t x 64 x 64 in [0, 1] for 128 x 128.

    The background is the median colour of each frame's outer ring. Differences in Lab under 8 are shading or
    noise and count nothing, over 24 they count fully.
    """
    background = lab(border_colours(frames))
    distance = np.linalg.norm(lab(block_means(frames, 64)) - background[:, None, None], axis=-1)
    return ((distance - 8) / 16).clip(0, 1)


def _ends_of_line(values: np.ndarray) -> tuple[float, float]:
    """A line's fit at the first and the last place."""
    place = np.linspace(-1, 1, len(values))
    gradient = float(place @ values / (place @ place))
    return float(values.mean()) - gradient, float(values.mean()) + gradient


def _centroids(weights: np.ndarray) -> np.ndarray | None:
    """x and y of ``foreground`` weights in each frame, t x 2; None if they are empty in most frames."""
    mass = weights.sum((1, 2))
    seen = mass > 0.002 * weights[0].size
    if len(weights) < 2 or seen.mean() < 0.5:
        return None
    places = np.flatnonzero(seen)
    centres = []
    for profile in (weights[seen].sum(1), weights[seen].sum(2)):
        position = (np.arange(profile.shape[1]) + 0.5) / profile.shape[1]
        centres.append(np.interp(np.arange(len(weights)), places, profile @ position / mass[seen]))
    return np.stack(centres, 1)


def drift(weights: np.ndarray) -> tuple[float, float]:
    """How far (x, y) the centroid of ``foreground`` weights goes over the clip, by a line fit; else 0."""
    centres = _centroids(weights)
    if centres is None:
        return 0.0, 0.0
    (x0, x1), (y0, y1) = _ends_of_line(centres[:, 0]), _ends_of_line(centres[:, 1])
    return x1 - x0, y1 - y0


def bounce_of(weights: np.ndarray) -> float:
    """Amplitude of the centroid's strongest movement up and down, 0.6 to 1.6 times a second; else 0."""
    centres = _centroids(weights)
    if centres is None or len(weights) < 2 * FPS:
        return 0.0
    first, last = _ends_of_line(centres[:, 1])
    height = centres[:, 1] - np.linspace(first, last, len(weights))
    frequencies = np.linspace(0.6, 1.6, 11)
    waves = np.exp(2j * np.pi * frequencies[:, None] * np.arange(len(weights)) / FPS)
    return float(2 * np.abs((waves * height).mean(1)).max())


def growth_of(weights: np.ndarray) -> float:
    """The width at the end over that at the start, by a line fit of the root of the area; 1 if nothing."""
    width = np.sqrt(weights.mean((1, 2)))
    if len(width) < 2 or not width.any():
        return 1.0
    first, last = _ends_of_line(width)
    least = 0.05 * float(width.max())
    return max(last, least) / max(first, least)


def direction_of(displacement: tuple[float, float]) -> str | None:
    """``left``, ``right``, ``up`` or ``down``: the larger component, if it is over the threshold."""
    axis = int(abs(displacement[1]) > abs(displacement[0]))
    if abs(displacement[axis]) < DIRECTION_THRESHOLD:
        return None
    sign = 1 if displacement[axis] > 0 else -1
    return next(name for name, direction in _AXES.items() if direction == (axis, sign))


def size_change_of(growth: float) -> str | None:
    """``grow``, ``shrink`` or, between the thresholds, None."""
    if growth > SIZE_THRESHOLD:
        return "grow"
    return "shrink" if growth < 1 / SIZE_THRESHOLD else None


def change_between_eighths(frames: np.ndarray) -> float:
    """Mean absolute difference, of 255, between pictures an eighth of the clip apart.

    Each picture is the mean of the frames around it on a coarse grid, less its background colour, and small
    differences count nothing: so noise, flicker and a change of light are no motion.
    """
    grid = block_means(frames, _CELLS) - border_colours(frames)[:, None, None]
    half = max(0, min(2, len(frames) // 16 - 1))
    places = np.linspace(half, len(frames) - 1 - half, 9).round().astype(int)
    pictures = np.stack([grid[place - half : place + half + 1].mean(0) for place in places])
    return float((np.abs(np.diff(pictures, axis=0)) - _DEAD_ZONE).clip(0).mean())
