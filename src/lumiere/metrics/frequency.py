"""The frequency of periodic motion in a clip, and whether it is the alias of too few keyframes.

A clip is compared with itself at every lag, as YIN does with sound (de Cheveigne and Kawahara 2002): the mean
squared difference of whole coarse frames, over its mean at all smaller lags, dips to nought at a period. It
says nothing of what moves, so that bouncing, spinning and swaying are measured alike. What looks the same
more than once a turn, such as a wheel with equal spokes, is measured by that; keyframes that fade into each
other by when the same fade comes again, which may be after several turns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lumiere.errors import InputError
from lumiere.metrics.block_means import block_means

#: a side; so coarse that outlines, which tremble or turn by far from frame to frame, hardly count
_CELLS = 8
#: the longest lag, share of the clip: what repeats is seen one and a half times
_LONGEST = 0.7
_PER_FRAME = 16  # lags
#: of the cumulative mean: the first dip below it is a period. Of 121 animals that spin at 2 and at 2.4 hertz,
#: 114 measure right; a few look half alike after half a turn, such as a butterfly.
_DIP = 0.5
#: of the cumulative mean: dips this near to the deepest are at multiples of the period
_AS_DEEP = 0.05
#: of the period: the first dip is off by less, even where much turns by far from frame to frame
_OFF = 0.15
#: of 255 squared: less is a still clip
_LEAST_CHANGE = 0.05


@dataclass(frozen=True)
class Frequency:
    """How often something repeats.

    Attributes:
        hertz: repetitions a second.
        periodicity: how alike what is a period apart is, from 0 to 1 for the same.
    """

    hertz: float
    periodicity: float


def frequency(frames: np.ndarray, fps: int | float) -> Frequency | None:
    """The frequency of periodic motion in a clip; None where nothing repeats.

    It is found from 1.5 repetitions in the whole clip up to half of the frame rate.

    Args:
        frames: uint8, t x h x w x 3.
        fps: frames a second.

    Raises:
        InputError: there are fewer than 8 frames.
    """
    if len(frames) < 8:
        raise InputError(f"the clip has {len(frames)} frames; a frequency needs 8 or more")
    difference = _interpolated(_differences(block_means(frames, _CELLS).reshape(len(frames), -1)))
    if difference.max() < _LEAST_CHANGE:
        return None
    count = np.arange(1, len(difference) + 1)
    share = difference * count / difference.cumsum().clip(1e-9)
    dips = (dip for dip in _minima(share) if dip >= 1.99 * _PER_FRAME and share[dip] < _DIP)
    first = next(dips, None)
    if first is None:
        return None
    return Frequency(fps * _PER_FRAME / _period(difference, share, first), float(1 - share[first]))


def relative_error(measured: float, true: float) -> float:
    """How far a frequency is from the true one, as a share of that."""
    return abs(measured - true) / true


def aliased(measured: float, true: float, keyframes_per_second: int | float = 3.2) -> bool | None:
    """Whether a frequency is nearer to the alias of the true one than to that itself.

    None where there is no alias, up to half of ``keyframes_per_second``. 3.2 is every 5th frame of 16.
    """
    if true <= keyframes_per_second / 2:
        return None
    alias = abs(true - keyframes_per_second * round(true / keyframes_per_second))
    return abs(measured - alias) < abs(measured - true)


def _differences(pictures: np.ndarray) -> np.ndarray:
    """The mean squared difference of pictures (t x n) that are 0, 1, 2 ... frames apart."""
    lags = int(_LONGEST * len(pictures))
    return np.array(
        [np.square(pictures[lag:] - pictures[: len(pictures) - lag]).mean() for lag in range(lags)]
    )


def _interpolated(difference: np.ndarray) -> np.ndarray:
    """Between frames, too: it is even, and holds no frequency that the frames do not."""
    even = np.concatenate([difference, difference[-2:0:-1]])
    spectrum = np.fft.rfft(even)
    spectrum[-1] /= 2
    fine = np.fft.irfft(spectrum, len(even) * _PER_FRAME) * _PER_FRAME
    return np.asarray(fine[: (len(difference) - 1) * _PER_FRAME + 1].clip(0))


def _minima(values: np.ndarray) -> list[int]:
    inner = (values[:-2] >= values[1:-1]) & (values[1:-1] < values[2:])
    return (np.flatnonzero(inner) + 1).tolist()


def _period(difference: np.ndarray, share: np.ndarray, first: int) -> float:
    """The period near ``first``, from the deepest dips; the farthest is the most precise."""
    minima = [dip for dip in _minima(difference) if dip >= (1 - _OFF) * first]
    deepest = min((share[dip] for dip in minima), default=0.0)
    period = float(first)
    for dip in minima:
        before, bottom, after = difference[dip - 1 : dip + 2]
        lag = dip + 0.5 * (before - after) / (before - 2 * bottom + after)
        times = max(1, round(lag / period))
        if share[dip] <= deepest + _AS_DEEP and abs(lag / times - first) <= _OFF * first:
            period = lag / times
    return float(period)
