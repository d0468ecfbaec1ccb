"""What an x-t slice shows, in numbers: roughness and jitter with real motion taken out, period and phase.

Real motion is followed along the slice. From every pixel of every row a short track of seven frames is made
by block matching and Lucas-Kanade, and a cubic through it is the smooth path nearest to it. How far the track
leaves that path is jitter, in pixels; how much colour changes along the path, beyond a steady change, is
roughness. What moves across the slice cannot be followed along it: lay the slice along the motion.

Slices are uint8, t x n x 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lumiere.errors import InputError

TRACK = 7
_PATH_DEGREE, _COLOUR_DEGREE = 3, 1
_REFINEMENTS = 4
#: of 255 a pixel: where the slice varies by less, nothing can be followed
_LEAST_GRADIENT = 2.0
#: of 255: a track whose surroundings change by more has lost what it followed
_LOST = 12.0
#: of 255: what differs from the ends of the slice by more is the object
_DEAD_ZONE = 24.0
#: of the cumulative mean: a dip below it is a period. Slices that do not repeat stay above 0.95; those of a
#: model's bouncing objects, whose outlines tremble, come down to 0.42 or less.
_DIP = 0.5
#: pixels; an object that moves or grows by less has no phase
_LEAST_SWING = 0.5
#: share of the slice; if more of it differs from its ends, no object stands out
_MOST_EXTENT = 0.75


@dataclass(frozen=True)
class SliceFigures:
    """Measurements on a slice; None where it cannot be: in a slice that is too short, shows nothing that
    can be followed, or does not repeat.

    Attributes:
        change: root mean square of the difference between successive rows, of 255: real motion, jitter and
            flicker together.
        roughness: root mean square of what remains of it when the best smooth paths are followed, of 255; of
            brightness that flickers it is the standard deviation.
        jitter: root mean square distance of what is seen from its smooth path, in pixels; of independent
            displacements it is the standard deviation.
        speed: root mean square of the motion along the slice, pixels a frame.
        period: frames after which the slice repeats.
        periodicity: how well it does so, from 0 to 1 for exactly; 0 without a period.
        phase: of a period, 0 to 1: that of the cosine nearest to the object's position, which at 0 is at the
            slice's far end (right, or down), or to its extent, which at 0 is widest.
        phase_of: which of the two.
    """

    change: float | None
    roughness: float | None
    jitter: float | None
    speed: float | None
    period: float | None
    periodicity: float
    phase: float | None
    phase_of: Literal["position", "extent"] | None


def slice_figures(picture: np.ndarray) -> SliceFigures:
    """Measure a slice, as :func:`lumiere.xt_slice` returns it: uint8, t x n x 3, n at least 8 pixels.

    Roughness, jitter and speed need 7 frames, a period needs to be seen twice.

    Raises:
        InputError: the slice has another shape, or is shorter than 8 pixels.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.shape[1] < 8:
        raise InputError(f"a slice is t x n x 3 with n of 8 pixels or more; this is {picture.shape}")
    rows = picture.astype(np.float32)
    change = _rms(np.diff(rows, axis=0)) if len(rows) > 1 else None
    roughness, jitter, speed = _follow(rows) if len(rows) >= TRACK else (None, None, None)
    period, periodicity = period_of(rows)
    phase, phase_of = _phase(rows, period) if period else (None, None)
    return SliceFigures(change, roughness, jitter, speed, period, periodicity, phase, phase_of)


# ---------------------------------------------------------------- smooth paths


def _follow(rows: np.ndarray) -> tuple[float | None, float | None, float | None]:
    """Roughness, jitter and speed; None where no path, or no track, stays inside."""
    rows = _soft(rows)
    half = TRACK // 2
    ahead, back = _displacements(rows[:-1], rows[1:]), _displacements(rows[1:], rows[:-1])
    centres = np.arange(half, len(rows) - half)
    start = np.broadcast_to(np.arange(rows.shape[1], dtype=np.float32), (len(centres), rows.shape[1]))
    places = {0: start}
    for step in range(half):
        places[step + 1] = places[step] + _at(ahead, centres + step, places[step])
        places[-step - 1] = places[-step] + _at(back, centres - step - 1, places[-step])
    steps = range(-half, half + 1)
    tracks = np.stack([places[step] for step in steps])
    smooth = np.einsum("ij,j...->i...", _fit(_PATH_DEGREE), tracks)
    colours = np.stack([_at(rows, centres + step, path) for step, path in zip(steps, smooth, strict=True)])
    rest = colours - np.einsum("ij,j...->i...", _fit(_COLOUR_DEGREE), colours)
    margin = _radius(rows.shape[1])  # nearer to an end, a window holds what comes in or goes out
    inside = ((smooth >= margin) & (smooth <= rows.shape[1] - 1 - margin)).all(0)
    if not inside.any():
        return None, None, None
    roughness = _rms(rest[:, inside]) * np.sqrt(TRACK / (TRACK - _COLOUR_DEGREE - 1))

    followed = np.stack([_at(rows, centres + step, path) for step, path in zip(steps, tracks, strict=True)])
    kept = _mean_around(np.abs(followed - followed[half]).max(0).mean(-1)) < _LOST
    weights = _mean_around(np.square(np.gradient(rows, axis=1)).mean(-1))[centres]
    weights = np.where(inside & kept & (weights > _LEAST_GRADIENT**2), weights, 0)
    if not weights.any():
        return float(roughness), None, None
    jitter = np.sqrt(np.average(np.square(tracks - smooth).mean(0), weights=weights))
    speed = np.sqrt(np.average(np.square((tracks[-1] - tracks[0]) / (TRACK - 1)), weights=weights))
    return float(roughness), float(jitter * np.sqrt(TRACK / (TRACK - _PATH_DEGREE - 1))), float(speed)


def _displacements(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Where each pixel of a row is in the other row, t x n: block matching, then Lucas-Kanade."""
    length = rows.shape[1]
    reach = max(4, length // 16)
    places = np.arange(length)
    best = np.full(rows.shape[:2], np.inf, np.float32)
    found = np.zeros(rows.shape[:2], np.float32)
    for shift in sorted(range(-reach, reach + 1), key=abs):  # of equals the smallest displacement
        moved = others[:, np.clip(places + shift, 0, length - 1)]
        cost = _mean_around(np.abs(rows - moved).mean(-1)) + 1e-3 * abs(shift)
        better = cost < best
        best[better], found[better] = cost[better], shift
    slopes = np.gradient(others, axis=1)
    order = np.arange(len(rows))
    for _ in range(_REFINEMENTS):
        there = places + found
        slope = _at(slopes, order, there)
        steepness = np.square(slope).mean(-1)
        wanted = steepness * found + (slope * (rows - _at(others, order, there))).mean(-1)
        least = _LEAST_GRADIENT**2 / 16
        refined = (_mean_around(wanted) + least * found) / (_mean_around(steepness) + least)
        found = found + np.clip(refined - found, -1, 1)
    return found


def _at(values: np.ndarray, times: np.ndarray, places: np.ndarray) -> np.ndarray:
    """``values`` (t x n, or t x n x 3) of ``times`` at ``places`` (len(times) x n), linearly interpolated."""
    places = places.clip(0, values.shape[1] - 1)
    left = np.minimum(places.astype(int), values.shape[1] - 2)
    share = places - left
    share = share[..., None] if values.ndim == 3 else share
    which = times[:, None]
    return np.asarray(values[which, left] * (1 - share) + values[which, left + 1] * share)


def _mean_around(values: np.ndarray) -> np.ndarray:
    """Means of t x n over windows along n, of a length that suits the slice's."""
    radius = _radius(values.shape[1])
    padded = np.pad(values, ((0, 0), (radius + 1, radius)), mode="edge").cumsum(1, dtype=np.float64)
    return np.asarray((padded[:, 2 * radius + 1 :] - padded[:, : -2 * radius - 1]) / (2 * radius + 1))


def _radius(length: int) -> int:
    return max(2, length // 24)


def _soft(rows: np.ndarray) -> np.ndarray:
    """Blurred by a pixel: else hard edges would seem to change whenever they lie between two pixels."""
    for _ in range(2):
        padded = np.pad(rows, ((0, 0), (1, 1), (0, 0)), mode="edge")
        rows = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    return rows


def _fit(degree: int) -> np.ndarray:
    """TRACK x TRACK: values to those of their least-squares polynomial."""
    powers = np.vander(np.linspace(-1, 1, TRACK), degree + 1)
    return np.asarray(powers @ np.linalg.pinv(powers))


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).mean()))


# ---------------------------------------------------------------- repetition


def period_of(rows: np.ndarray) -> tuple[float | None, float]:
    """After how many frames (t x ...) repeat, and how well, 0 to 1; None and 0 if they do not.

    YIN (de Cheveigne and Kawahara 2002): the first dip of the mean squared difference over lags, divided by
    its mean over all smaller lags. The dip's bottom is found between frames by a parabola.
    """
    lags = len(rows) // 2
    if lags < 3:
        return None, 0.0
    flat = rows.reshape(len(rows), -1).astype(np.float32)
    difference = np.array(
        [np.square(flat[lag:] - flat[: len(flat) - lag]).mean() for lag in range(1, lags + 1)]
    )
    if difference.max() <= 1e-6:
        return None, 0.0
    share = difference * np.arange(1, lags + 1) / difference.cumsum().clip(1e-9)
    for place in range(1, lags - 1):
        if share[place] < _DIP and share[place - 1] >= share[place] < share[place + 1]:
            before, bottom, after = difference[place - 1 : place + 2]
            bend = before - 2 * bottom + after
            shift = 0.5 * (before - after) / bend if bend > 0 else 0.0
            return float(place + 1 + np.clip(shift, -0.5, 0.5)), float(1 - share[place])
    return None, 0.0


def _phase(rows: np.ndarray, period: float) -> tuple[float | None, Literal["position", "extent"] | None]:
    end = max(1, rows.shape[1] // 16)
    background = np.median(np.concatenate([rows[:, :end], rows[:, -end:]], axis=1).reshape(-1, 3), axis=0)
    weights = (np.abs(rows - background).mean(-1) - _DEAD_ZONE).clip(0, 1)
    extent = weights.sum(1)
    seen = extent > 0
    if seen.sum() < 4 or weights.mean() > _MOST_EXTENT:
        return None, None
    position = (weights[seen] @ np.arange(rows.shape[1])) / extent[seen]
    times = np.arange(len(rows))
    swing, phase = _cosine(times[seen], position, period)
    if swing > _LEAST_SWING:
        return phase, "position"
    swing, phase = _cosine(times, extent, period)
    return (phase, "extent") if swing > _LEAST_SWING else (None, None)


def _cosine(times: np.ndarray, values: np.ndarray, period: float) -> tuple[float, float]:
    """Amplitude, and phase from 0 to 1, of the nearest cosine of this period."""
    angle = 2 * np.pi * times / period
    waves = np.stack([np.cos(angle), np.sin(angle), np.ones_like(angle)], axis=1)
    cosine, sine, _ = np.linalg.lstsq(waves, values, rcond=None)[0]
    return float(np.hypot(cosine, sine)), float(np.arctan2(-sine, cosine) / (2 * np.pi) % 1)
