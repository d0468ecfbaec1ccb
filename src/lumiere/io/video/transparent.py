"""Clips with alpha: animated WebP, APNG, WebM (VP9) and GIF, and reading them back."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image, PngImagePlugin

from lumiere.errors import InputError
from lumiere.io.files import check_output, replacing
from lumiere.io.video.note import Note
from lumiere.io.video.reading import read
from lumiere.io.video.writing import EXIF_IMAGE_DESCRIPTION, GIF_FASTEST, GIF_TOO_FAST

_VP9 = "libvpx-vp9"


def save_transparent(
    path: Path, frames: np.ndarray, fps: Fraction, metadata: dict[str, Any], overwrite: bool = False
) -> Path:
    """Write frames with alpha, uint8 t x h x w x 4, not premultiplied; they loop.

    ``.webp``, ``.png`` or ``.apng``, ``.webm``, and ``.gif``, whose pixels are opaque or transparent.

    Raises:
        InputError: another ending, an existing file, or a rate that the format cannot hold.
    """
    check_output(path, overwrite, TRANSPARENT_ENDINGS)
    if path.suffix.lower() == ".gif" and fps > GIF_FASTEST:
        raise InputError(f"cannot write {path} at {float(fps):g} fps: {GIF_TOO_FAST}")
    count, height, width, _ = frames.shape
    note = Note(Fraction(fps), (width, height), count, metadata).dumps()
    with replacing(path) as temporary:
        _WRITERS[path.suffix.lower()](temporary, frames, Fraction(fps), note)
    return path


def write_webp(path: Path, frames: np.ndarray, fps: Fraction, note: str, quality: int = 90) -> None:
    """Lossy; colours that no one sees are drawn from those beside them, see :func:`fill_hidden`."""
    exif = Image.Exif()
    exif[EXIF_IMAGE_DESCRIPTION] = note
    options: dict[str, Any] = {"exif": exif} if note else {}
    _save(
        path,
        [*map(Image.fromarray, fill_hidden(frames))],
        fps,
        "WEBP",
        quality=quality,
        alpha_quality=quality,
        method=2,
        **options,
    )


def write_apng(path: Path, frames: np.ndarray, fps: Fraction, note: str, colours: int | None = None) -> None:
    """Losslessly, t x h x w x 3 or 4, or with one palette of up to 256 colours with alpha for all frames."""
    said = PngImagePlugin.PngInfo()
    if note:
        said.add_text("Comment", note)
    pictures = [*map(Image.fromarray, frames)] if colours is None else _with_palette(frames, colours)
    _save(path, pictures, fps, "PNG", default_image=False, pnginfo=said, optimize=colours is not None)


def write_gif(path: Path, frames: np.ndarray, fps: Fraction, note: str) -> None:
    pictures = []
    for frame in frames:
        opaque = frame.copy()
        opaque[..., 3] = np.where(frame[..., 3] >= 128, 255, 0)
        pictures.append(Image.fromarray(opaque))
    _save(path, pictures, fps, "GIF", unit=100, disposal=2, comment=note.encode("ascii"))


def write_webm(path: Path, frames: np.ndarray, fps: Fraction, note: str, bit_rate: int | None = None) -> None:
    """VP9 with alpha, yuva420p; odd sizes are padded, and hidden colours as in :func:`write_webp`."""
    if _VP9 not in av.codecs_available:
        raise InputError(f"cannot write {path}: this build of PyAV has no {_VP9}; take PyAV from PyPI")
    _, height, width, _ = frames.shape
    frames = fill_hidden(frames)
    frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    options = {"auto-alt-ref": "0", "deadline": "good", "cpu-used": "3", "row-mt": "1"}
    options |= {"crf": "24", "b": "0"} if bit_rate is None else {}
    with av.open(os.path.abspath(path), "w", format="webm", options={"fflags": "+bitexact"}) as container:
        if note:
            container.metadata["comment"] = note
        stream = container.add_stream(_VP9, rate=fps, options=options)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuva420p"
        stream.metadata["alpha_mode"] = "1"
        stream.codec_context.time_base = 1 / fps
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        for index, pixels in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgba")
            picture = picture.reformat(
                format="yuva420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
            picture.pts, picture.time_base = index, 1 / fps
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def fill_hidden(frames: np.ndarray) -> np.ndarray:
    """Frames with the colours of fully transparent pixels replaced by those of the visible ones around them.

    Lossy formats mix the colours of neighbours, seen or not: codecs code blocks, and halve the chroma.
    The fill is smooth, averages of ever larger squares (the push-pull algorithm of Gortler et al. 1996,
    "The lumigraph", section 3.4).

    Args:
        frames: uint8, t x h x w x 4, not premultiplied.
    """
    import torch
    import torch.nn.functional as F

    made = frames.copy()
    for frame in made:
        hidden = frame[..., 3] == 0
        if not hidden.any() or hidden.all():
            continue
        pixels = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
        weight = pixels[:, 3:] / 255
        levels: list[tuple[torch.Tensor, ...]] = [(pixels[:, :3] * weight, weight)]
        while max(levels[-1][1].shape[-2:]) > 1:
            levels.append(
                tuple(F.avg_pool2d(each, 2, ceil_mode=True, count_include_pad=False) for each in levels[-1])
            )
        colours = levels[-1][0] / levels[-1][1]
        for premultiplied, seen in reversed(levels[:-1]):
            around = F.interpolate(colours, size=seen.shape[-2:], mode="bilinear")
            colours = torch.where(seen > 0, premultiplied / seen.clamp(min=1e-6), around)
        frame[hidden, :3] = colours[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()[hidden]
    return made


def read_alpha(path: Path) -> np.ndarray | None:
    """Frames with alpha, uint8 t x h x w x 4, not premultiplied, of a file or folder that has it; else None.

    They are those of :meth:`lumiere.io.video.Clip.load`, which shows them on white, and raise as it does.
    """
    frames, _, _ = read(path, alpha=True)
    return frames if frames[..., 3].min() < 255 else None


def _save(
    path: Path, pictures: Sequence[Image.Image], fps: Fraction, kind: str, unit: int = 1000, **options: Any
) -> None:
    ticks = [round(index / fps * unit) * 1000 // unit for index in range(len(pictures) + 1)]
    pictures[0].save(
        path,
        format=kind,
        save_all=True,
        append_images=pictures[1:],
        duration=[end - start for start, end in pairwise(ticks)],
        loop=0,
        **options,
    )


def _with_palette(frames: np.ndarray, colours: int) -> list[Image.Image]:
    count, height, width, _ = frames.shape
    tall = Image.fromarray(frames.reshape(count * height, width, 4))
    indexed = tall.quantize(colours, Image.Quantize.FASTOCTREE)
    return [indexed.crop((0, n * height, width, (n + 1) * height)) for n in range(count)]


_WRITERS: dict[str, Callable[[Path, np.ndarray, Fraction, str], None]] = {
    ".webp": write_webp,
    ".png": write_apng,
    ".apng": write_apng,
    ".webm": write_webm,
    ".gif": write_gif,
}
TRANSPARENT_ENDINGS = tuple(_WRITERS)
