"""Shot detection, and resampling of frames to another rate."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from lumiere.errors import InputError

#: seconds after which a picture that stays is no motion any more
FROZEN = 1


class Frame(NamedTuple):
    """Pixels (uint8 h x w x 3), their number from the video's start, and whether a shot begins with them."""

    number: int
    pixels: np.ndarray
    begins: bool


def thaw(pictures: Iterable[np.ndarray], fps: Fraction) -> Iterator[Frame]:
    """The pictures, but for those that are one and the same (``is``) for longer than :data:`FROZEN` seconds.

    At such a slide, or jump in the file's time, the shot ends; one begins with the next picture.
    """
    before, still, begins = None, 0, True
    for number, pixels in enumerate(pictures):
        still = still + 1 if pixels is before else 1
        before = pixels
        if still <= FROZEN * fps:
            yield Frame(number, pixels, begins)
        begins = still > FROZEN * fps


def check_detector() -> None:
    """Raise :class:`InputError` unless PySceneDetect is installed."""
    try:
        import scenedetect  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"cuts are found by PySceneDetect, which cannot be used ({error}): pip install "
            "'lumiere-video[videos]', or add --no-scenes if every video is one shot"
        ) from error


def mark_cuts(frames: Iterable[Frame], fps: Fraction) -> Iterator[Frame]:
    """The same frames, with a shot beginning wherever PySceneDetect's adaptive detector finds a cut.

    It compares each frame with two on either side, so that it has to see them at the video's own rate.
    """
    from scenedetect import AdaptiveDetector, FrameTimecode

    # Every cut counts, however soon after another: a clip that is too short is better than a cut in a clip.
    detector = AdaptiveDetector(min_scene_len=1)
    waiting: deque[Frame] = deque()
    for place, frame in enumerate(frames):
        waiting.append(frame)
        bgr = np.ascontiguousarray(frame.pixels[..., ::-1])
        if detector.process_frame(FrameTimecode(place, fps), bgr):  # it says so of the oldest that waits
            waiting[0] = waiting[0]._replace(begins=True)
        if len(waiting) > detector.event_buffer_length:
            yield waiting.popleft()
    yield from waiting


def resample(frames: Iterable[Frame], source: Fraction, fps: Fraction) -> Iterator[Frame]:
    """Of frames at the rate ``source``, those on the screen in the middle of each tick of ``fps``."""
    step = source / fps
    tick, begins = 0, False
    for frame in frames:
        begins |= frame.begins
        tick = max(tick, math.ceil(frame.number / step - Fraction(1, 2)))
        while (tick + Fraction(1, 2)) * step < frame.number + 1:
            yield Frame(tick, frame.pixels, begins)
            tick, begins = tick + 1, False
