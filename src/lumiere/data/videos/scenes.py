"""Where one shot ends and the next begins."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from lumiere.errors import InputError

#: seconds after which a picture that stays is no motion any more
FROZEN = 1


class Tick(NamedTuple):
    """A frame (uint8 h x w x 3), its number from the video's start, and whether a shot begins with it."""

    number: int
    frame: np.ndarray
    begins: bool


def resample(frames: Iterable[np.ndarray], source: Fraction, fps: Fraction) -> Iterator[Tick]:
    """Frames at the rate ``source`` as those on the screen in the middle of each tick of ``fps``.

    What stays longer than :data:`FROZEN` seconds (a slide, a jump in the file's time) is cut there, and the
    shot ends.
    """
    step = source / fps
    tick, still, begins, before = 0, 0, True, None
    for index, frame in enumerate(frames):
        if frame is not before:
            still, before = 0, frame
        while (2 * tick + 1) * step < 2 * (index + 1):
            still += 1
            if still <= FROZEN * fps:
                yield Tick(tick, frame, begins)
            begins = still > FROZEN * fps
            tick += 1


def check_detector() -> None:
    """Raise :class:`InputError` unless PySceneDetect is installed."""
    try:
        import scenedetect  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"cuts are found by PySceneDetect, which cannot be used ({error}): pip install "
            "'lumiere-video[videos]', or say --no-scenes if every video is one shot"
        ) from error


def mark_cuts(ticks: Iterable[Tick], fps: Fraction) -> Iterator[Tick]:
    """The same frames, with cuts marked as PySceneDetect's adaptive detector finds them."""
    from scenedetect import AdaptiveDetector, FrameTimecode

    # Every cut counts, however soon after another: a clip that is too short is better than a cut in a clip.
    detector = AdaptiveDetector(min_scene_len=1)
    waiting: deque[Tick] = deque()
    for place, tick in enumerate(ticks):
        waiting.append(tick)
        bgr = np.ascontiguousarray(tick.frame[..., ::-1])
        if detector.process_frame(FrameTimecode(place, fps), bgr):
            cut = waiting[0]
            assert len(waiting) == detector.event_buffer_length + 1
            waiting[0] = cut._replace(begins=True)
        if len(waiting) > detector.event_buffer_length:
            yield waiting.popleft()
    yield from waiting
