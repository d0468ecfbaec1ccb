"""What is given of a clip: an application of the conditioned model is a function here (section 4 of
arXiv 2401.12945).

A :class:`Condition` is a video and a mask of the same frames, 1 where pixels are given and 0 where the model
makes them. Pictures are arrays (uint8, H x W x 3), PIL images or paths; videos are clips, arrays or paths.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from lumiere.errors import InputError
from lumiere.io.video import Clip, resize

Picture: TypeAlias = "np.ndarray | Image.Image | str | os.PathLike[str]"
VideoInput: TypeAlias = "Clip | np.ndarray | str | os.PathLike[str]"
_VIDEOS = {".mp4", ".webm", ".mov", ".mkv", ".avi"}
#: how far compression may take black and white in a mask, of 255
_NEARLY = 8
_T = TypeVar("_T")
Box: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True)
class Condition:
    """What is given of a clip.

    Attributes:
        video: uint8, t x h x w x 3; what it holds where nothing is given does not matter.
        mask: float32, t x h x w, 1 where the video is given and 0 where not; between, at feathered edges, the
            video shows through by as much, but is not given to the net.

    Raises :class:`InputError` if one of them is not so.
    """

    video: np.ndarray
    mask: np.ndarray

    def __post_init__(self) -> None:
        if self.video.dtype != np.uint8 or self.video.ndim != 4 or self.video.shape[3] != 3:
            raise InputError(
                f"a condition's video is uint8, t x h x w x 3; this is {self.video.dtype}, {self.video.shape}"
            )
        if self.mask.shape != self.video.shape[:3]:
            raise InputError(f"the mask is {self.mask.shape}; the video needs {self.video.shape[:3]}")
        if not (np.isfinite(self.mask).all() and self.mask.min() >= 0 and self.mask.max() <= 1):
            raise InputError("the mask has values outside 0 to 1")
        object.__setattr__(self, "mask", np.asarray(self.mask, np.float32))

    def __len__(self) -> int:
        return len(self.video)

    @property
    def height(self) -> int:
        return int(self.video.shape[1])

    @property
    def width(self) -> int:
        return int(self.video.shape[2])

    def resized(self, height: int, width: int) -> Condition:
        """At another size; pixels that are not given whole are feathered."""
        if (height, width) == (self.height, self.width):
            return self
        masks = resize(self.mask, height, width, Image.Resampling.BOX).round(4).clip(0, 1)
        if self.mask.all():
            return Condition(resize(self.video, height, width), masks)
        pairs = zip(self.video, self.mask > 0, strict=True)
        return Condition(np.stack([_resized(frame, known, height, width) for frame, known in pairs]), masks)

    def around_hole(self, padding: int) -> tuple[Condition, Box]:
        """The part of every frame around all that is ever to be made, and its place: the hole alone is then
        as large as the model makes clips, and finer.

        Args:
            padding: pixels around the hole that the model sees.

        Raises:
            InputError: the padding is below 0, or there is no hole.
        """
        if padding < 0:
            raise InputError(f"the padding is {padding} pixels; give 0 or more")
        hole = bounding_box(np.any(self.mask < 1, axis=0))
        if hole is None:
            raise InputError("all is given, so that there is nothing to make; mark a hole")
        left, top, right, bottom = box = grown(hole, padding, self.height, self.width)
        part = (slice(None), slice(top, bottom), slice(left, right))
        return Condition(self.video[part], self.mask[part]), box

    def with_part(self, frames: np.ndarray, box: Box) -> np.ndarray:
        """The video, and ``frames``, resized, in the place ``box`` of it: uint8, t x h x w x 3."""
        left, top, right, bottom = box
        whole = self.video.copy()
        whole[:, top:bottom, left:right] = resize(frames, bottom - top, right - left)
        return whole

    def psnr(self, frames: np.ndarray) -> float | None:
        """How near ``frames`` are to what is given, decibels; None if nothing is."""
        given = self.mask == 1
        if not given.any():
            return None
        error = np.square(self.video[given].astype(np.float32) - frames[given]).mean()
        return float(10 * np.log10(255**2 / max(error, 1e-10)))

    def composite(self, frames: np.ndarray) -> np.ndarray:
        """``frames`` with the video in its place, exactly where the mask is 1: uint8, t x h x w x 3."""
        composited = np.empty_like(self.video)
        for index, (given, made) in enumerate(zip(self.video, frames, strict=True)):
            share = self.mask[index, ..., None]
            mixed = (share * given + (1 - share) * made).round().astype(np.uint8)
            composited[index] = np.where(share == 1, given, np.where(share == 0, made, mixed))
        return composited


def from_image(image: Picture, frames: int = 80) -> Condition:
    """The first of ``frames`` is given."""
    return from_frames({0: image}, frames)


def from_frames(images: Mapping[int, Picture], frames: int = 80) -> Condition:
    """The frames of these indices are given; a first and a last one make a transition.

    Raises:
        InputError: there is none, an index is outside the clip, or the pictures have different sizes.
    """
    if not images:
        raise InputError("no frame is given; give at least one")
    pictures = {index: read_picture(image) for index, image in images.items()}
    sizes = {picture.shape[:2] for picture in pictures.values()}
    if len(sizes) > 1:
        said = " and ".join(f"{width}x{height}" for height, width in sorted(sizes))
        raise InputError(f"the pictures are {said}; give pictures of one size")
    (height, width), *_ = sizes
    video, mask = (
        np.zeros((frames, height, width, 3), np.uint8),
        np.zeros((frames, height, width), np.float32),
    )
    for index, picture in pictures.items():
        if not 0 <= index < frames:
            raise InputError(f"frame {index} is outside the clip; its frames are 0 to {frames - 1}")
        video[index], mask[index] = picture, 1
    return Condition(video, mask)


def inpaint(video: VideoInput, hole: np.ndarray) -> Condition:
    """All is given but the hole.

    Args:
        hole: 1 or True (255 in uint8) where the model is to make pixels; h x w, or t x h x w if it moves.

    Raises:
        InputError: the hole has another size or length than the video, is empty, or is all of it.
    """
    frames = read_video(video)
    share = _over_time(_share(hole), len(frames))
    if share.shape != frames.shape[:3]:
        raise InputError(f"the mask is {_said(share)}; the video is {_said(frames)}")
    if not share.any():
        raise InputError("the mask is empty; mark what is to be made")
    if (share == 1).all():
        raise InputError("the mask covers all of every frame, so that nothing is given; mark less")
    return Condition(frames, 1 - share)


def cinemagraph(image: Picture, region: np.ndarray, frames: int = 80) -> Condition:
    """The first frame is given, and all that lies outside the region in every frame.

    Args:
        region: 1 or True (255 in uint8) where the picture is to move; h x w.

    Raises:
        InputError: the region has another size than the image, or is empty.
    """
    picture = read_picture(image)
    still = np.broadcast_to(picture, (frames, *picture.shape)).copy()
    share = _over_time(_share(region), frames).copy()
    if share.shape != still.shape[:3]:
        raise InputError(f"the region is {_said(share)}; the image is {_said(still)}")
    if not share.any():
        raise InputError("the region is empty; mark what is to move")
    share[0] = 0
    return Condition(still, 1 - share)


def continue_from(video: VideoInput, given: int = 16, frames: int = 80) -> Condition:
    """The first ``given`` of ``frames`` are the video's last ones.

    Raises:
        InputError: the video is shorter, or nothing is left to make.
    """
    past = read_video(video)
    if not 1 <= given <= len(past):
        raise InputError(f"{given} frames are to be given; the video has {len(past)}")
    if given >= frames:
        raise InputError(f"{given} frames are given of {frames}; leave some to be made")
    return from_frames(dict(enumerate(past[len(past) - given :])), frames)


def outpaint(video: VideoInput, size: tuple[int, int], corner: tuple[int, int]) -> Condition:
    """The video on a larger canvas.

    Args:
        size: of the canvas, (height, width).
        corner: the row and the column of the canvas where the video's upper left pixel lies.

    Raises:
        InputError: the video reaches over the canvas, or fills it.
    """
    frames = read_video(video)
    (height, width), (row, column) = frames.shape[1:3], corner
    if row < 0 or column < 0 or row + height > size[0] or column + width > size[1]:
        raise InputError(
            f"the video of {width}x{height} does not fit at ({row}, {column}) into {size[1]}x{size[0]}"
        )
    if (height, width) == tuple(size):
        raise InputError(f"the canvas is as large as the video, {width}x{height}; give a larger one")
    canvas = np.zeros((len(frames), *size, 3), np.uint8)
    mask = np.zeros(canvas.shape[:3], np.float32)
    place = (slice(None), slice(row, row + height), slice(column, column + width))
    canvas[place], mask[place] = frames, 1
    return Condition(canvas, mask)


def rectangle(height: int, width: int, box: Box) -> np.ndarray:
    """A mask, float32 h x w: 1 within ``box``, (left, top, right, bottom) in pixels, the last two outside.

    Raises:
        InputError: the box is empty or reaches over the frame.
    """
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        said = ",".join(map(str, box))
        raise InputError(f"the box {said} is not within {width}x{height}; give LEFT,TOP,RIGHT,BOTTOM")
    mask = np.zeros((height, width), np.float32)
    mask[top:bottom, left:right] = 1
    return mask


def bounding_box(region: np.ndarray) -> Box | None:
    """Left, top, right and bottom around what is true in a region, bool h x w; None if nothing is."""
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def grown(box: Box, margin: int, height: int, width: int) -> Box:
    """The box and so many pixels around it, as far as the frame goes."""
    left, top, right, bottom = box
    return (
        max(0, left - margin),
        max(0, top - margin),
        min(width, right + margin),
        min(height, bottom + margin),
    )


def polygon(height: int, width: int, corners: Sequence[Sequence[int]]) -> np.ndarray:
    """A mask, float32 h x w: 1 within the polygon of these corners, (x, y) in pixels.

    Raises:
        InputError: there are fewer than three corners.
    """
    if len(corners) < 3 or any(len(corner) != 2 for corner in corners):
        raise InputError(f"the polygon has {len(corners)} corners; give at least three, X,Y X,Y X,Y")
    picture = Image.new("L", (width, height))
    ImageDraw.Draw(picture).polygon([(x, y) for x, y in corners], fill=1)
    return np.asarray(picture, np.float32)


def fit_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """A mask, h x w or t x h x w, resized to the frame whose proportions it has.

    Raises:
        InputError: its proportions are others.
    """
    own_height, own_width = mask.shape[-2:]
    if abs(own_width / own_height - width / height) > 0.02 * width / height:
        raise InputError(
            f"the mask is {own_width}x{own_height} and the frame {width}x{height}; make them alike"
        )
    frames = mask[None] if mask.ndim == 2 else mask
    return resize(frames, height, width, Image.Resampling.BOX).reshape(*mask.shape[:-2], height, width)


def feather(mask: np.ndarray, radius: float | int) -> np.ndarray:
    """The mask with edges that fall to 0 over ``radius`` pixels outside it; what is 1 stays 1.

    Args:
        mask: h x w or t x h x w.

    Raises:
        InputError: the radius is below 0, or above the longer side.
    """
    most = max(mask.shape[-2:])
    if not 0 <= radius <= most:
        raise InputError(f"the mask is to be feathered over {radius} pixels; give 0 to {most}")
    half = round(radius / 2)
    if not half:
        return mask

    def soft(frame: np.ndarray) -> np.ndarray:
        picture = Image.fromarray((frame * 255).round().astype(np.uint8))
        # The mean over a square of a mask grown by half of it is a ramp that begins at the mask's edge.
        ramp = picture.filter(ImageFilter.MaxFilter(2 * half + 1)).filter(ImageFilter.BoxBlur(half))
        return np.maximum(frame, np.asarray(ramp, np.float32) / 255)

    return soft(mask) if mask.ndim == 2 else np.stack([soft(frame) for frame in mask])


def read_picture(image: Picture) -> np.ndarray:
    """uint8, H x W x 3. Turned as its EXIF says; transparency lies on white; 16 bits become 8; of an animated
    file, the first picture.

    Raises:
        InputError: it is no picture.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise InputError(f"a picture is uint8, h x w x 3; this is {image.dtype}, {image.shape}")
        return image
    if isinstance(image, Image.Image):
        return _rgb(image)
    return _open(Path(image), _rgb)


def read_cutout(image: Picture) -> np.ndarray:
    """As :func:`read_picture`; but of what is transparent somewhere, uint8, H x W x 4, not premultiplied.

    Raises:
        InputError: it is no picture.
    """

    def take(picture: Image.Image) -> np.ndarray:
        if "A" in picture.getbands() or "transparency" in picture.info:
            rgba = np.asarray(ImageOps.exif_transpose(picture).convert("RGBA"))
            if rgba[..., 3].min() < 255:
                return rgba
        return _rgb(picture)

    if isinstance(image, np.ndarray):
        transparent = image.ndim == 3 and image.shape[2] == 4 and image.dtype == np.uint8
        return image if transparent else read_picture(image)
    return take(image) if isinstance(image, Image.Image) else _open(Path(image), take)


def read_mask(path: str | os.PathLike[str]) -> np.ndarray:
    """A mask from a picture, float32 h x w, 1 where it is white, or, of one that is transparent somewhere,
    opaque; or from a video, t x h x w, 1 where it is white. What compression makes of black and white, up to
    8 of 255, counts as these.

    Raises:
        InputError: it is neither.
    """

    def share(picture: Image.Image) -> np.ndarray | None:
        if getattr(picture, "n_frames", 1) > 1:
            return None
        if "A" in picture.getbands() or "transparency" in picture.info:
            alpha = np.asarray(picture.convert("RGBA").getchannel("A"))
            if alpha.min() < 255:
                return alpha
        return np.asarray(Image.fromarray(_rgb(picture)).convert("L"))

    is_video = Path(path).suffix.lower() in _VIDEOS or Path(path).is_dir()
    levels = None if is_video else _open(Path(path), share)
    if levels is None:
        levels = Clip.load(path).frames.mean(-1, dtype=np.float32)
    return ((levels.astype(np.float32) - _NEARLY) / (255 - 2 * _NEARLY)).clip(0, 1)


def _open(path: Path, take: Callable[[Image.Image], _T]) -> _T:
    try:
        with Image.open(path) as picture:
            return take(picture)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} is no picture that can be read: {' '.join(str(error).split())}") from None


def _rgb(picture: Image.Image) -> np.ndarray:
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("I", "I;16", "I;16B", "I;16L", "F"):
        levels = np.asarray(picture, np.float64)
        most = 65535 if picture.mode.startswith("I;16") else _white(levels.max())
        picture = Image.fromarray((levels / most * 255).clip(0, 255).round().astype(np.uint8))
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.asarray(picture.convert("RGB"))


def _white(brightest: float) -> int:
    """The level that is white in a picture of wide or floating numbers, which does not say it."""
    return next((most for most in (1, 255) if brightest <= most), 65535)


def read_video(video: VideoInput) -> np.ndarray:
    """uint8, t x h x w x 3.

    Raises:
        InputError: it is no video.
    """
    if isinstance(video, np.ndarray):
        return Clip(video, 1).frames
    return (video if isinstance(video, Clip) else Clip.load(video)).frames


def _resized(frame: np.ndarray, known: np.ndarray, height: int, width: int) -> np.ndarray:
    """The frame as by :func:`resize`, of its known pixels alone."""
    layers = np.concatenate([(frame * known[..., None]).transpose(2, 0, 1), known[None]])
    *colours, weight = resize(layers.astype(np.float32), height, width)
    mean = np.stack(colours, -1) / np.maximum(weight, 1 / 255)[..., None]
    return mean.round().clip(0, 255).astype(np.uint8)


def _share(mask: np.ndarray) -> np.ndarray:
    return mask.astype(np.float32) / 255 if mask.dtype == np.uint8 else np.asarray(mask, np.float32)


def _over_time(share: np.ndarray, frames: int) -> np.ndarray:
    return np.broadcast_to(share, (frames, *share.shape)) if share.ndim == 2 else share


def _said(frames: np.ndarray) -> str:
    return f"{len(frames)} frames of {frames.shape[2]}x{frames.shape[1]}"
