"""Stickers that messengers take, within their limits of size, length, rate and bytes.

Limits as the messengers publish them for animated stickers: core.telegram.org/stickers,
github.com/WhatsApp/stickers, support.signal.org (stickers) and support.discord.com (custom stickers).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from lumiere.errors import InputError
from lumiere.io.files import check_output, replacing
from lumiere.io.video import transparent

#: what is tried before frames are left out, the best first
_QUALITIES = (80, 50, 25)
_COLOURS = (256, 64, 32)
_BIT_SHARES = (0.9, 0.75, 0.6)


@dataclass(frozen=True)
class Limits:
    """Of one messenger's animated stickers: the ending of the file, its side in pixels, bytes, seconds and
    frames per second at most."""

    ending: str
    side: int
    bytes: int
    seconds: Fraction
    fps: int


MESSENGERS = {
    "telegram": Limits(".webm", 512, 256_000, Fraction(3), 30),
    "whatsapp": Limits(".webp", 512, 500_000, Fraction(10), 30),
    "signal": Limits(".png", 512, 300_000, Fraction(3), 30),
    "discord": Limits(".png", 320, 512_000, Fraction(5), 60),
}


def write_sticker(
    path: Path, frames: np.ndarray, fps: Fraction, messenger: str, overwrite: bool = False
) -> list[str]:
    """Write a looping sticker; what it had to give up, one line each.

    Args:
        frames: with alpha, uint8 t x h x w x 4, not premultiplied.
        messenger: one of ``MESSENGERS``.

    Raises:
        InputError: the ending is not the messenger's, or nothing that is left fits into its bytes.
    """
    limits = MESSENGERS[messenger]
    check_output(path, overwrite, (limits.ending,))
    lost = []
    most = int(limits.seconds * fps)
    if len(frames) > max(1, most):
        lost.append(f"length: {float(most / fps):.1f} of {float(len(frames) / fps):.1f} seconds are left")
        frames = _best_loop(frames, max(1, most))
    frames = _fitted(frames, limits.side)
    rate = min(fps, Fraction(limits.fps))
    while True:
        kept = _at_rate(frames, fps, rate)
        for quality, write in _attempts(limits, len(kept) / rate):
            with tempfile.TemporaryDirectory() as folder:
                attempt = Path(folder) / path.name
                write(attempt, kept, rate)
                made = attempt.read_bytes()
            if len(made) <= limits.bytes:
                with replacing(path) as temporary:
                    temporary.write_bytes(made)
                if rate < fps:
                    lost.append(f"rate: {float(rate):g} of {float(fps):g} frames per second")
                return [*lost, quality] if quality else lost
        rate = Fraction(int(rate * min(0.9, 0.95 * limits.bytes / len(made))))
        if rate < 1:
            raise InputError(
                f"{path} does not fit into {limits.bytes:,} bytes, the most that {messenger} takes; give a "
                "shorter clip"
            )


Write = Callable[[Path, np.ndarray, Fraction], None]


def _attempts(limits: Limits, seconds: Fraction) -> Iterator[tuple[str, Write]]:
    """What each loses, if anything, and how it is written; the best first."""
    if limits.ending == ".webm":
        for share in _BIT_SHARES:
            bits = int(limits.bytes * 8 * share / seconds)
            best = share == _BIT_SHARES[0]
            yield (
                "" if best else f"quality: {bits // 1000} kbit/s",
                partial(transparent.write_webm, note="", bit_rate=bits),
            )
    elif limits.ending == ".webp":
        for quality in _QUALITIES:
            yield (
                "" if quality == _QUALITIES[0] else f"quality: WebP at {quality} of 100",
                partial(transparent.write_webp, note="", quality=quality),
            )
    else:
        for colours in (None, *_COLOURS):
            yield (
                "" if colours is None else f"colours: {colours}, alpha among them",
                partial(transparent.write_apng, note="", colours=colours),
            )


def _best_loop(frames: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` frames in a row whose last goes over into its first most smoothly."""
    small = frames[:, ::4, ::4].astype(np.int16)
    after = [np.abs(small[start + count] - small[start]).mean() for start in range(len(frames) - count)]
    start = int(np.argmin(after))
    return frames[start : start + count]


def _fitted(frames: np.ndarray, side: int) -> np.ndarray:
    """Frames in the middle of a transparent square."""
    count, height, width, _ = frames.shape
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    square = np.zeros((count, side, side, 4), np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    for made, frame in zip(square, frames, strict=True):
        # Pillow premultiplies for "RGBa", so that hidden colours do not bleed into the edges.
        picture = Image.fromarray(frame).convert("RGBa").resize(size, Image.Resampling.LANCZOS)
        made[top : top + size[1], left : left + size[0]] = np.asarray(picture.convert("RGBA"))
    return square


def _at_rate(frames: np.ndarray, fps: Fraction, rate: Fraction) -> np.ndarray:
    count = max(1, int(len(frames) / fps * rate))
    return frames[[int(index * fps / rate) for index in range(count)]]
