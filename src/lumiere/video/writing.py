"""One function per format that a clip can be written in: ``(path, frames, fps, note)``.

``frames`` are uint8, T x H x W x 3; ``note`` goes into the file's comment field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from PIL import Image

# Chroma at full resolution on the way in and out: 2 dB better than swscale's defaults on flat colours.
# These are swscale's LANCZOS, FULL_CHR_H_INT, FULL_CHR_H_INP and ACCURATE_RND, not all named in PyAV.
SCALING = 0x200 | 0x2000 | 0x4000 | 0x40000
CENTISECOND = Fraction(1, 100)
EXIF_IMAGE_DESCRIPTION = 0x010E
_WEBP_QUALITY = 90


class EncoderError(Exception):
    """The format cannot hold this clip."""


def write_mp4(path: Path, frames: np.ndarray, fps: Fraction, note: str) -> None:
    """H.264, yuv420p, the index in front: plays everywhere, and starts before it is all there."""
    odd_rows, odd_columns = frames.shape[1] % 2, frames.shape[2] % 2
    if odd_rows or odd_columns:
        frames = np.pad(frames, ((0, 0), (0, odd_rows), (0, odd_columns), (0, 0)), mode="edge")
    options = {"crf": "17", "preset": "medium"}
    _write_yuv(path, frames, fps, note, "mp4", "libx264", options, {"movflags": "+faststart"})


def write_webm(path: Path, frames: np.ndarray, fps: Fraction, note: str) -> None:
    """VP9, yuv420p."""
    options = {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "3", "row-mt": "1"}
    _write_yuv(path, frames, fps, note, "webm", "libvpx-vp9", options, {})


def _write_yuv(
    path: Path,
    frames: np.ndarray,
    fps: Fraction,
    note: str,
    container_format: str,
    codec: str,
    codec_options: dict[str, str],
    container_options: dict[str, str],
) -> None:
    if codec not in av.codecs_available:
        raise EncoderError(f"this build of PyAV has no {codec}; take PyAV from PyPI, or another ending")
    with av.open(str(path), "w", format=container_format, options=container_options) as container:
        container.metadata["comment"] = note
        stream = container.add_stream(codec, rate=fps, options=codec_options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = 1 / fps
        context.color_range = ColorRange.MPEG
        context.colorspace = Colorspace.ITU709
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        try:
            for index, pixels in enumerate(frames):
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24").reformat(
                    format="yuv420p",
                    dst_colorspace=Colorspace.ITU709,
                    dst_color_range=ColorRange.MPEG,
                    interpolation=SCALING,
                )
                picture.pts, picture.time_base, picture.duration = index, 1 / fps, 1
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            raise EncoderError(f"{codec} refuses it: {error.strerror}") from error


def write_gif(path: Path, frames: np.ndarray, fps: Fraction, note: str) -> None:
    """One palette for all frames, so that still regions do not flicker; delays whose mean is exact."""
    if fps > 50:
        raise EncoderError("players show a GIF's frames no faster than 50 a second; choose .mp4 or .webp")
    ticks = _rounded_ticks(len(frames), fps, CENTISECOND)
    with av.open(str(path), "w", format="gif", options={"loop": "0"}) as container:
        stream = container.add_stream("gif", rate=int(1 / CENTISECOND))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "pal8"
        stream.codec_context.time_base = CENTISECOND
        packets = [packet for picture in _with_shared_palette(frames) for packet in stream.encode(picture)]
        for packet, (start, end) in zip([*packets, *stream.encode(None)], pairwise(ticks), strict=True):
            packet.pts = packet.dts = start
            packet.duration = end - start
            container.mux(packet)
    _insert_gif_comment(path, note)


def _with_shared_palette(frames: np.ndarray) -> Iterator[av.VideoFrame]:
    graph = av.filter.Graph()
    height, width = frames.shape[1:3]
    source = graph.add_buffer(
        width=width, height=height, format=av.VideoFormat("rgb24"), time_base=CENTISECOND, name="frames"
    )
    split, palette = graph.add("split"), graph.add("palettegen", "stats_mode=full")
    mapped, sink = graph.add("paletteuse", "dither=bayer:bayer_scale=5"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(mapped, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(mapped, 0, 1)
    mapped.link_to(sink)
    graph.configure()
    for index, pixels in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        picture.pts, picture.time_base = index, CENTISECOND
        source.push(picture)
    source.push(None)
    for _ in frames:
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


def write_webp(path: Path, frames: np.ndarray, fps: Fraction, note: str) -> None:
    """Delays in milliseconds whose mean is exact."""
    if max(frames.shape[1:3]) > 16383:
        raise EncoderError("WebP holds at most 16383 pixels a side; choose .mp4")
    ticks = _rounded_ticks(len(frames), fps, Fraction(1, 1000))
    exif = Image.Exif()
    exif[EXIF_IMAGE_DESCRIPTION] = note
    first, *others = (Image.fromarray(pixels) for pixels in frames)
    first.save(
        path,
        format="WEBP",
        save_all=True,
        append_images=others,
        duration=[end - start for start, end in pairwise(ticks)],
        loop=0,
        quality=_WEBP_QUALITY,
        exif=exif,
    )


def write_png_folder(path: Path, frames: np.ndarray, fps: Fraction, note: str) -> None:
    """``frame-00000.png`` ... and ``clip.json``, which holds the note."""
    path.mkdir()
    for index, pixels in enumerate(frames):
        Image.fromarray(pixels).save(path / f"frame-{index:05d}.png")
    (path / "clip.json").write_text(note + "\n", encoding="ascii")


def _rounded_ticks(count: int, fps: Fraction, unit: Fraction) -> list[int]:
    """When each frame starts, and the last one ends, in whole units of time."""
    return [round(index / fps / unit) for index in range(count + 1)]


WRITERS: dict[str, Callable[[Path, np.ndarray, Fraction, str], None]] = {
    ".mp4": write_mp4,
    ".webm": write_webm,
    ".gif": write_gif,
    ".webp": write_webp,
    "": write_png_folder,
}
