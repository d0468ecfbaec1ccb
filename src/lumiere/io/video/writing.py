"""One function per format that a clip can be written in: ``(path, footage)``.

The note goes into the file's comment field. FFmpeg gets absolute paths: it takes none of them for a URL.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from PIL import Image

from lumiere.io.video.sound import Sound

# Chroma at full resolution on the way in and out: 2 dB better than swscale's defaults on flat colours.
# These are swscale's LANCZOS, FULL_CHR_H_INT, FULL_CHR_H_INP and ACCURATE_RND, not all named in PyAV.
SCALING = 0x200 | 0x2000 | 0x4000 | 0x40000
GIF_FASTEST = 50
GIF_TOO_FAST = "players show a GIF's frames no faster than 50 a second; choose .mp4 or .webp"
CENTISECOND = Fraction(1, 100)
EXIF_IMAGE_DESCRIPTION = 0x010E
_WEBP_QUALITY = 90


class EncoderError(Exception):
    """The format cannot hold this clip."""


@dataclass(frozen=True)
class VideoInput:
    """Input of a writer: ``count`` frames, uint8 H x W x 3, possibly streamed; their rate; the file's note;
    and a file whose sound is copied, if it has any."""

    frames: Iterable[np.ndarray]
    count: int
    height: int
    width: int
    fps: Fraction
    note: str
    sound: Path | None = None


def write_mp4(path: Path, footage: VideoInput) -> None:
    """H.264, yuv420p, the index in front: plays everywhere, and starts before it is all there."""
    odd_rows, odd_columns = footage.height % 2, footage.width % 2
    if odd_rows or odd_columns:
        padding = ((0, odd_rows), (0, odd_columns), (0, 0))
        footage = replace(
            footage,
            frames=(np.pad(frame, padding, mode="edge") for frame in footage.frames),
            height=footage.height + odd_rows,
            width=footage.width + odd_columns,
        )
    # x264's macroblock tree reads memory never written on CPUs with AVX-512 (release 165, widths such as 48):
    # the same frames would make another file each time.
    options = {"crf": "17", "preset": "medium", "mbtree": "0"}
    _write_yuv(path, footage, "mp4", "libx264", options, {"movflags": "+faststart"})


def write_webm(path: Path, footage: VideoInput) -> None:
    """VP9, yuv420p."""
    options = {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "3", "row-mt": "1"}
    _write_yuv(path, footage, "webm", "libvpx-vp9", options, {"fflags": "+bitexact"})


def _write_yuv(
    path: Path,
    footage: VideoInput,
    container_format: str,
    codec: str,
    codec_options: dict[str, str],
    container_options: dict[str, str],
) -> None:
    if codec not in av.codecs_available:
        raise EncoderError(f"this build of PyAV has no {codec}; take PyAV from PyPI, or another ending")
    with av.open(os.path.abspath(path), "w", format=container_format, options=container_options) as container:
        container.metadata["comment"] = footage.note
        stream = container.add_stream(codec, rate=footage.fps, options=codec_options)
        stream.height, stream.width = footage.height, footage.width
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = 1 / footage.fps
        context.color_range = ColorRange.MPEG
        context.colorspace = Colorspace.ITU709
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        try:
            with Sound(container, footage.sound) as sound:
                for index, pixels in enumerate(footage.frames):
                    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
                    picture = picture.reformat(
                        format="yuv420p",
                        dst_colorspace=Colorspace.ITU709,
                        dst_color_range=ColorRange.MPEG,
                        interpolation=SCALING,
                    )
                    picture.pts, picture.time_base, picture.duration = index, 1 / footage.fps, 1
                    container.mux(stream.encode(picture))
                    sound.write_until((index + 1) / footage.fps)
                container.mux(stream.encode(None))
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            raise EncoderError(f"{codec} refuses it: {error.strerror}") from error


def write_gif(path: Path, footage: VideoInput) -> None:
    """One palette for all frames, so that still regions do not flicker; delays whose mean is exact."""
    if footage.fps > GIF_FASTEST:
        raise EncoderError(GIF_TOO_FAST)
    ticks = _rounded_ticks(footage, CENTISECOND)
    with av.open(os.path.abspath(path), "w", format="gif", options={"loop": "0"}) as container:
        stream = container.add_stream("gif", rate=int(1 / CENTISECOND))
        stream.height, stream.width = footage.height, footage.width
        stream.pix_fmt = "pal8"
        stream.codec_context.time_base = CENTISECOND
        packets = [packet for picture in _with_shared_palette(footage) for packet in stream.encode(picture)]
        for packet, (start, end) in zip([*packets, *stream.encode(None)], pairwise(ticks), strict=True):
            packet.pts = packet.dts = start
            packet.duration = end - start
            container.mux(packet)
    _insert_gif_comment(path, footage.note)


def _with_shared_palette(footage: VideoInput) -> Iterator[av.VideoFrame]:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=footage.width,
        height=footage.height,
        format=av.VideoFormat("rgb24"),
        time_base=CENTISECOND,
        name="frames",
    )
    split, palette = graph.add("split"), graph.add("palettegen", "stats_mode=full")
    mapped, sink = graph.add("paletteuse", "dither=bayer:bayer_scale=5"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(mapped, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(mapped, 0, 1)
    mapped.link_to(sink)
    graph.configure()
    for index, pixels in enumerate(footage.frames):
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        picture.pts, picture.time_base = index, CENTISECOND
        source.push(picture)
    source.push(None)
    for _ in range(footage.count):
        indexed = graph.pull()
        assert isinstance(indexed, av.VideoFrame)
        yield indexed


def _insert_gif_comment(path: Path, note: str) -> None:
    """A comment extension before the first image: FFmpeg writes none."""
    gif = path.read_bytes()
    global_palette = 3 * 2 ** ((gif[10] & 7) + 1) if gif[10] & 0x80 else 0
    text = note.encode("ascii")
    blocks = b"".join(bytes([len(text[i : i + 255])]) + text[i : i + 255] for i in range(0, len(text), 255))
    head = 13 + global_palette
    path.write_bytes(gif[:head] + b"\x21\xfe" + blocks + b"\x00" + gif[head:])


def write_webp(path: Path, footage: VideoInput) -> None:
    """Delays in milliseconds whose mean is exact."""
    if max(footage.height, footage.width) > 16383:
        raise EncoderError("WebP holds at most 16383 pixels a side; choose .mp4")
    ticks = _rounded_ticks(footage, Fraction(1, 1000))
    exif = Image.Exif()
    exif[EXIF_IMAGE_DESCRIPTION] = footage.note
    pictures = (Image.fromarray(pixels) for pixels in footage.frames)
    next(pictures).save(
        path,
        format="WEBP",
        save_all=True,
        append_images=pictures,
        duration=[end - start for start, end in pairwise(ticks)],
        loop=0,
        quality=_WEBP_QUALITY,
        exif=exif,
    )


def write_png_folder(path: Path, footage: VideoInput) -> None:
    """``frame-00000.png`` ... and ``clip.json``, which holds the note."""
    path.mkdir()
    for index, pixels in enumerate(footage.frames):
        Image.fromarray(pixels).save(path / f"frame-{index:05d}.png")
    (path / "clip.json").write_text(footage.note + "\n", encoding="ascii")


def _rounded_ticks(footage: VideoInput, unit: Fraction) -> list[int]:
    """When each frame starts, and the last one ends, in whole units of time."""
    return [round(index / footage.fps / unit) for index in range(footage.count + 1)]


WRITERS: dict[str, Callable[[Path, VideoInput], None]] = {
    ".mp4": write_mp4,
    ".webm": write_webm,
    ".gif": write_gif,
    ".webp": write_webp,
    "": write_png_folder,
}
