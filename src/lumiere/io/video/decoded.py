"""From a decoded frame to what a player shows: upright, square pixels, SDR, RGB on white."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from threading import Lock
from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace, ColorTrc

from lumiere.errors import InputError
from lumiere.io.limits import check_size
from lumiere.io.pictures import on_white
from lumiere.io.video.writing import SCALING

_UNSPECIFIED = 2
_WORTH_THREADS = 512 * 512
#: aspect ratios of pixels that are believed: those of films and broadcasts lie within 1:3 and 3:1
_NARROWEST, _WIDEST = Fraction(1, 10), Fraction(10)
_mapping = Lock()
_HDR = {ColorTrc.SMPTE2084: "PQ", ColorTrc.ARIB_STD_B67: "HLG"}


class Display:
    """Makes pictures of a video's frames, all of the size of the first one.

    Args:
        ratio: width over height of a pixel; None for 1.
        source: named by errors.
        alpha: keep alpha instead of showing what is transparent on white.
    """

    def __init__(self, ratio: Fraction | None, source: object, alpha: bool = False):
        self.source, self.alpha = source, alpha
        self.ratio = ratio if ratio and _NARROWEST <= ratio <= _WIDEST else Fraction(1)
        self._size: tuple[int, int] | None = None

    def picture(self, frame: av.VideoFrame) -> np.ndarray:
        """uint8, h x w x 3, or x 4 with alpha.

        Raises :class:`InputError` for a frame beyond the limit of pixels, or HDR that cannot be tone-mapped.
        """
        if self._size is None:
            self._size = square(frame.width, frame.height, self.ratio)
            check_size(*self._size, self.source)
        turned = _turns(frame)
        if frame.color_trc in _HDR:
            frame = _tone_mapped(frame, self.source)
        pixels = turned(_pixels(frame, *self._size))
        return pixels if self.alpha else on_white(pixels) if pixels.shape[-1] == 4 else pixels


def square(width: int, height: int, ratio: Fraction) -> tuple[int, int]:
    """Width and height in square pixels: the side that is too short is enlarged, so that nothing is lost."""
    if ratio >= 1:
        return max(1, round(width * ratio)), height
    return width, max(1, round(height / ratio))


def _pixels(frame: av.VideoFrame, width: int, height: int) -> np.ndarray:
    """uint8, H x W x 3, or x 4 if it has alpha, as stored."""
    # Untagged colours are BT.709 by custom from 720 rows on, which swscale does not know.
    untagged_hd = frame.colorspace == _UNSPECIFIED and frame.height >= 720
    has_alpha = frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components)
    pixels: np.ndarray = frame.to_ndarray(
        format="rgba" if has_alpha else "rgb24",
        width=width,
        height=height,
        interpolation=SCALING,
        src_colorspace=Colorspace.ITU709 if untagged_hd else None,
        threads=1 if width * height < _WORTH_THREADS else 0,
    )
    return pixels


def _turns(frame: av.VideoFrame) -> Callable[[np.ndarray], np.ndarray]:
    """What the frame's display matrix does to its pixels: quarter turns and mirrorings.

    The matrix maps a pixel (x, y) to (a x + c y, b x + d y), its y axis pointing down; see
    ``libavutil/display.h``.
    """
    every: Any = frame.side_data  # iterates over its values
    matrix = next((bytes(data) for data in every if data.type.name == "DISPLAYMATRIX"), None)
    if matrix is None or len(matrix) != 36:
        return lambda pixels: pixels
    a, b, _, c, d = (int(value) for value in np.frombuffer(matrix, np.int32)[:5])
    transposed = abs(b) + abs(c) > abs(a) + abs(d)
    left, up = (c < 0, b < 0) if transposed else (a < 0, d < 0)

    def turned(pixels: np.ndarray) -> np.ndarray:
        upright = pixels.swapaxes(0, 1) if transposed else pixels
        return upright[:: -1 if up else 1, :: -1 if left else 1]

    return turned


def _tone_mapped(frame: av.VideoFrame, source: object) -> av.VideoFrame:
    """A frame of HDR (PQ, HLG) as BT.709, by FFmpeg's scaler.

    Reference white (203 cd/m2, ITU-R BT.2408) becomes white, and what is brighter is clipped to it.
    """
    with _mapping:
        try:
            graph = _tone_mapper(frame.width, frame.height, frame.format.name, frame.color_trc)
            graph.push(frame)
            mapped: Any = graph.pull()
        except (av.error.FFmpegError, ValueError) as error:
            raise InputError(
                f"{source} is HDR ({_HDR[ColorTrc(frame.color_trc)]}), which this build of FFmpeg cannot "
                f"tone-map ({error}); convert it to SDR"
            ) from None
    return mapped


@lru_cache(maxsize=4)
def _tone_mapper(width: int, height: int, pixel_format: str, _transfer: int) -> av.filter.Graph:
    """Cached: its table of colours takes seconds to compute."""
    graph = av.filter.Graph()
    begin = graph.add_buffer(
        width=width, height=height, format=av.VideoFormat(pixel_format), time_base=Fraction(1, 1000)
    )
    to_sdr = "out_transfer=bt709:out_primaries=bt709:out_color_matrix=bt709:intent=relative_colorimetric"
    scale, end = graph.add("scale", to_sdr), graph.add("buffersink")
    begin.link_to(scale)
    scale.link_to(end)
    graph.configure()
    return graph
