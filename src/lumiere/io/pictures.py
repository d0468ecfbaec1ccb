"""The reader of pictures: upright, 8 bits, transparency on white."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageOps

from lumiere.errors import InputError
from lumiere.io.limits import PIXELS, LimitError, check_size, limit
from lumiere.io.source import Kind, Packed, Source, kind_of, open_source

logger = logging.getLogger(__name__)

ImageInput: TypeAlias = "np.ndarray | Image.Image | str | os.PathLike[str] | Packed"
_T = TypeVar("_T")
# Of Pillow's: no format that runs a program (EPS), or is a slide show of other formats.
_FORMATS = [
    "AVIF",
    "BMP",
    "DDS",
    "DIB",
    "GIF",
    "HEIF",
    "ICO",
    "JPEG",
    "JPEG2000",
    "JXL",
    "MPO",
    "PCX",
    "PNG",
    "PPM",
    "PSD",
    "QOI",
    "SGI",
    "TGA",
    "TIFF",
    "WEBP",
]
_DEEP = ("I", "I;16", "I;16B", "I;16L", "F")
#: a float picture whose brightest level is not beyond it holds levels from 0 to 1, give or take an overshoot
_OVERSHOOT = 2
_opening = threading.Lock()


def read_picture(image: ImageInput) -> np.ndarray:
    """Read an image as uint8, h x w x 3.

    EXIF orientation is applied, transparency is composited on white, 16 bits are reduced to 8, and of an
    animated file the first image is taken. Of floats, 1 is white, or the brightest level if that is a little
    over 1.

    Raises:
        InputError: it is no image, larger than the limit (LUMIERE_MAX_PIXELS), or an array of another type or
            shape; its levels are not finite, or its white level is unknown.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise InputError(f"a picture is uint8, h x w x 3; this is {image.dtype}, {image.shape}")
        return image
    return _taken(image, rgb)


def read_cutout(image: ImageInput) -> np.ndarray:
    """Read an image as :func:`read_picture` does, but one with transparent pixels as uint8, h x w x 4, with
    straight (not premultiplied) alpha.

    Raises:
        InputError: it is no image.
    """

    def take(picture: Image.Image) -> np.ndarray:
        if _may_be_transparent(picture):
            rgba = np.asarray(_upright(picture).convert("RGBA"))
            if rgba[..., 3].min() < 255:
                return rgba
        return rgb(picture)

    if isinstance(image, np.ndarray):
        transparent = image.ndim == 3 and image.shape[2] == 4 and image.dtype == np.uint8
        return image if transparent else read_picture(image)
    return _taken(image, take)


def read_rgba(image: ImageInput) -> np.ndarray:
    """Read an image as :func:`read_cutout` does; one without transparent pixels has an alpha of 255, too.

    Raises:
        InputError: it is no image.
    """
    pixels = read_cutout(image)
    return pixels if pixels.shape[2] == 4 else opaque(pixels)


def read_levels(image: Image.Image | str | os.PathLike[str] | Packed) -> np.ndarray:
    """The levels of a mask, uint8, h x w: brightness, or, if there are transparent pixels, opacity. Upright.

    Raises:
        InputError: as :func:`read_picture`.
    """

    def take(picture: Image.Image) -> np.ndarray:
        if _may_be_transparent(picture):
            alpha = np.asarray(_upright(picture).convert("RGBA").getchannel("A"))
            if alpha.min() < 255:
                return alpha
        return np.asarray(Image.fromarray(rgb(picture)).convert("L"))

    return _taken(image, take)


def is_still(source: Source) -> bool:
    """Whether a file is a picture, and no animation; raises :class:`InputError` if it cannot be read."""
    kind = kind_of(source)
    if kind is Kind.VIDEO:
        with open_source(source) as file:
            if not file.read(6).startswith(b"GIF8"):
                return False
        with opened(source) as picture:
            return getattr(picture, "n_frames", 1) == 1
    if kind is Kind.OTHER:
        try:
            with opened(source):
                return True
        except LimitError:
            raise
        except InputError:
            return False
    return True


@contextmanager
def opened(source: Source) -> Iterator[Image.Image]:
    """An open image, of which no pixel has been decoded yet.

    Raises :class:`InputError` for what is no image, cannot be decoded, or is larger than the limit.
    """
    with open_source(source) as file:
        try:
            with _pillow_open(file, source) as picture:
                yield picture
        except InputError:
            raise
        except (
            OSError,
            ValueError,
            SyntaxError,
            EOFError,
            OverflowError,
            Image.DecompressionBombError,
        ) as error:
            said = " ".join(str(error).replace(repr(file), "the file").split())
            raise InputError(f"{source} is no picture that can be read: {said}") from None


def rgb(picture: Image.Image) -> np.ndarray:
    """An image of Pillow's as uint8, h x w x 3; raises as :func:`read_picture` does."""
    picture.load()
    picture = _upright(picture)
    if picture.mode in _DEEP:
        picture = Image.fromarray(_eight_bits(picture))
    if _may_be_transparent(picture):
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))


def opaque(pixels: np.ndarray) -> np.ndarray:
    """uint8, ... x 3, with an alpha of 255."""
    return np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], axis=-1)


def on_white(rgba: np.ndarray) -> np.ndarray:
    """uint8, ... x 4, with straight alpha, as uint8, ... x 3."""
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _taken(image: Image.Image | str | os.PathLike[str] | Packed, take: Callable[[Image.Image], _T]) -> _T:
    if isinstance(image, Image.Image):
        return take(image)
    with opened(image if isinstance(image, Packed) else Path(image)) as picture:
        return take(picture)


def _pillow_open(file: object, source: Source) -> Image.Image:
    Image.init()
    formats = [name for name in _FORMATS if name in Image.OPEN]
    # Pillow's own limit is global and refuses at twice its value; ours holds while the header is read, since
    # some formats allocate then.
    with _opening, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, (limit(PIXELS) + 1) // 2
        try:
            picture = Image.open(file, formats=formats)  # type: ignore[arg-type]
        except Image.UnidentifiedImageError:
            raise InputError(f"{source} is no picture that can be read; give PNG, JPEG, WebP, ...") from None
        except Image.DecompressionBombError:
            raise LimitError(
                f"{source} is larger than the limit of {limit(PIXELS) / 1e6:.0f} megapixels, which {PIXELS} "
                "raises"
            ) from None
        finally:
            Image.MAX_IMAGE_PIXELS = before
    check_size(*picture.size, source)
    picture.filename = str(source)  # for messages
    return picture


def _upright(picture: Image.Image) -> Image.Image:
    # Pillow copies even what is to stay as it is, and a large picture's copies are large.
    if picture.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        return ImageOps.exif_transpose(picture)
    return picture


def _may_be_transparent(picture: Image.Image) -> bool:
    return "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info


def _eight_bits(picture: Image.Image) -> np.ndarray:
    """Levels of 16 or 32 bits, or floats, as uint8, h x w."""
    levels = np.asarray(picture, np.float32)
    white = 65535.0 if picture.mode.startswith("I;16") else _white(picture, levels)
    return (levels * (255 / white)).clip(0, 255).round().astype(np.uint8)


def _white(picture: Image.Image, levels: np.ndarray) -> float:
    """The level of white in an image of mode I or F, which does not record it."""
    name = getattr(picture, "filename", "") or "the picture"
    darkest, brightest = float(levels.min()), float(levels.max())
    if not np.isfinite(levels).all():
        raise InputError(f"{name} has levels that are not finite (NaN or infinity); give levels from 0 to 1")
    if picture.mode == "I" and picture.format == "PNG":
        return 65535.0
    if picture.mode == "F" and brightest <= _OVERSHOOT and darkest >= -_OVERSHOOT:
        if brightest > 1:
            logger.warning("%s has levels up to %.4g: the brightest is taken for white", name, brightest)
        return max(brightest, 1.0)
    whole = picture.mode == "I" or bool((levels == np.rint(levels)).all())
    for white, dimmest in ((255.0, 128.0), (65535.0, 32768.0)):
        if darkest >= 0 and brightest <= white and (whole or brightest >= dimmest):
            return white
    raise InputError(
        f"{name} has levels from {darkest:.6g} to {brightest:.6g}, and does not say which is white; give 0 "
        "to 1, 0 to 255, or 0 to 65535"
    )
