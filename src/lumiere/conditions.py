"""Conditions: what is known of a clip before it is sampled (section 4 of arXiv 2401.12945).

An application of the conditioned model is a function here that makes a :class:`Condition`: the known video
and the known region of each of its frames. Images are arrays (uint8, h x w x 3), PIL images or paths; videos
are clips, arrays (uint8, t x h x w x 3) or paths; masks are arrays, PIL images or paths, see
:func:`read_mask`.

In a mask, as in diffusers' ``mask_image``, 1 (white) is what the model generates. In ``Condition.known``, 1
is known.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from lumiere.errors import InputError
from lumiere.io.limits import check_memory, check_size
from lumiere.io.pictures import ImageInput, is_still, read_levels, read_picture
from lumiere.io.source import check_path
from lumiere.io.video import Clip, resize

MaskInput: TypeAlias = "np.ndarray | Image.Image | str | os.PathLike[str]"
VideoInput: TypeAlias = "Clip | np.ndarray | str | os.PathLike[str]"
#: how far compression may take black and white in a mask, of 255
_NEARLY = 8
Box: TypeAlias = tuple[int, int, int, int]


class _Frame(NamedTuple):
    """A frame of which something is known: uint8, h x w x 3, and how far, float32, h x w."""

    picture: np.ndarray
    known: np.ndarray


class Condition:
    """The known part of a clip: a video, and the known region of each of its frames.

    Only the frames of which something is known are stored, and a picture that many frames share is stored
    once. They are resized before they are expanded over time, so that a large image costs no large video.

    Args:
        video: uint8, t x h x w x 3; its unknown pixels are ignored.
        known: t x h x w, from 0 to 1: 1 where the video is known, 0 where the model generates. Values
            between, at feathered edges, are unknown to the model, and are the video's share in
            :meth:`composite`.

    Attributes:
        num_frames: length of the clip in frames; None for a condition that fits clips of any length, such as
            :func:`from_image` makes.

    Raises:
        InputError: the video is not uint8, t x h x w x 3, or ``known`` has another shape or values outside 0
            to 1.
    """

    num_frames: int | None
    _frames: Mapping[int, _Frame]
    _others: _Frame | None

    def __init__(self, video: np.ndarray, known: np.ndarray):
        if video.dtype != np.uint8 or video.ndim != 4 or video.shape[3] != 3:
            raise InputError(
                f"a condition's video is uint8, t x h x w x 3; this is {video.dtype}, {video.shape}"
            )
        if known.shape != video.shape[:3]:
            raise InputError(f"known is {known.shape}; the video needs {video.shape[:3]}")
        if not len(video):
            raise InputError("the condition's video has no frames; give at least 1")
        if not _within_0_and_1(known):
            raise InputError("known has values outside 0 to 1")
        pairs = zip(video, np.asarray(known, np.float32), strict=True)
        self._frames = {index: _Frame(*pair) for index, pair in enumerate(pairs)}
        self._others = None
        self.num_frames = len(video)

    @classmethod
    def _sparse(
        cls, frames: Mapping[int, _Frame], others: _Frame | None = None, num_frames: int | None = None
    ) -> Condition:
        """A condition of single frames, at least one.

        Args:
            frames: by their indices, which without ``num_frames`` may count from the end, -1 being the last.
            others: all other frames; None if nothing is known of them.
        """
        condition = cls.__new__(cls)
        condition._frames, condition._others, condition.num_frames = frames, others, num_frames
        return condition

    def __len__(self) -> int:
        """Frames of the clip. Raises :class:`InputError` if the condition has no length of its own."""
        if self.num_frames is None:
            raise InputError("the condition has no length of its own; call .at(num_frames, height, width)")
        return self.num_frames

    def __bool__(self) -> bool:
        return True

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self._stored[0].picture.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self._stored[0].picture.shape[1])

    @property
    def video(self) -> np.ndarray:
        """All frames, uint8, t x h x w x 3, as a new array. Raises :class:`InputError` without a length."""
        blank = np.zeros((self.height, self.width, 3), np.uint8)
        return np.stack([blank if frame is None else frame.picture for frame in self._over_time(len(self))])

    @property
    def known(self) -> np.ndarray:
        """How far each pixel is known, from 0 to 1: float32, t x h x w, as a new array.

        Raises:
            InputError: the condition has no length of its own.
        """
        blank = np.zeros((self.height, self.width), np.float32)
        return np.stack([blank if frame is None else frame.known for frame in self._over_time(len(self))])

    def at(self, num_frames: int, height: int, width: int) -> Condition:
        """The condition of a clip of this length and size, in frames and pixels.

        Raises:
            InputError: the condition has another length, or known frames that the clip does not have.
        """
        return self._of_length(num_frames).resized(height, width)

    def resized(self, height: int, width: int) -> Condition:
        """The condition at another size, in pixels. Pixels whose area is known in part get values between."""
        if (height, width) == (self.height, self.width):
            return self
        # A frame's known region is often that of others, too: the same array.
        regions = {id(frame.known): _resized_region(frame.known, height, width) for frame in self._stored}
        all_known = self._complete and all(frame.known.all() for frame in self._stored)

        def small(frame: _Frame) -> _Frame:
            if all_known:
                picture = resize(frame.picture[None], height, width)[0]
            else:
                picture = _resized_picture(frame.picture, frame.known > 0, height, width)
            return _Frame(picture, regions[id(frame.known)])

        return self._with_frames(small)

    def crop_to_unknown(self, padding: int) -> tuple[Condition, Box]:
        """Crop every frame to the pixels that are unknown in any frame, and to their surroundings.

        A small region generated from the crop gets all of the model's resolution; :meth:`paste` puts it back.

        Args:
            padding: pixels of the surroundings on each side, as far as the frame goes.

        Returns:
            The cropped condition, and the crop's place in the frame: left, top, right, bottom in pixels, the
            last two outside.

        Raises:
            InputError: the padding is below 0, or everything is known.
        """
        if padding < 0:
            raise InputError(f"the padding is {padding} pixels; give 0 or more")
        unknown = np.full((self.height, self.width), not self._complete)
        for region in {id(frame.known): frame.known for frame in self._stored}.values():
            unknown |= region < 1
        inner = bounding_box(unknown)
        if inner is None:
            raise InputError("all pixels are known, so there is nothing to generate; mask some of them")
        left, top, right, bottom = box = grown(inner, padding, self.height, self.width)
        part = slice(top, bottom), slice(left, right)
        return self._with_frames(lambda frame: _Frame(frame.picture[part], frame.known[part])), box

    def paste(self, frames: np.ndarray, box: Box) -> np.ndarray:
        """The condition's video with ``frames``, resized, in its part ``box``: uint8, t x h x w x 3.

        Args:
            frames: uint8, t x h x w x 3, of any size.
            box: left, top, right, bottom in pixels, as :meth:`crop_to_unknown` returns it.

        Raises:
            InputError: the condition has another length.
        """
        left, top, right, bottom = box
        whole = self._of_length(len(frames)).video
        whole[:, top:bottom, left:right] = resize(frames, bottom - top, right - left)
        return whole

    def psnr(self, frames: np.ndarray) -> float | None:
        """Peak signal-to-noise ratio of ``frames`` over the known pixels, in dB; None if there are none.

        Args:
            frames: uint8, t x h x w x 3, of the condition's size.

        Raises:
            InputError: the condition has another length.
        """
        true, found = [], []
        for frame, made in zip(self._of_length(len(frames))._over_time(len(frames)), frames, strict=True):
            if frame is not None:
                known = frame.known == 1
                true.append(frame.picture[known])
                found.append(made[known])
        expected = np.concatenate(true)
        if not len(expected):
            return None
        error = np.square(expected.astype(np.float32) - np.concatenate(found)).mean()
        return float(10 * np.log10(255**2 / max(error, 1e-10)))

    def composite(self, frames: np.ndarray) -> np.ndarray:
        """``frames`` with the known pixels put over them: uint8, t x h x w x 3.

        Exact where ``known`` is 1, blended where it is between 0 and 1.

        Args:
            frames: uint8, t x h x w x 3, of the condition's size.

        Raises:
            InputError: the condition has another length.
        """
        composited = np.array(frames, np.uint8)
        for frame, made in zip(self._of_length(len(frames))._over_time(len(frames)), composited, strict=True):
            if frame is None:
                continue
            picture, known = frame
            edge = (known > 0) & (known < 1)
            share = known[edge, None]
            mixed = (share * picture[edge] + (1 - share) * made[edge]).round().astype(np.uint8)
            np.copyto(made, picture, where=(known == 1)[..., None])
            made[edge] = mixed
        return composited

    @property
    def _stored(self) -> list[_Frame]:
        return [*self._frames.values(), *([] if self._others is None else [self._others])]

    @property
    def _complete(self) -> bool:
        """Whether something is known of every frame of the clip."""
        return self._others is not None or len(self._frames) == self.num_frames

    def _over_time(self, num_frames: int) -> Iterator[_Frame | None]:
        return (self._frames.get(index, self._others) for index in range(num_frames))

    def _with_frames(self, change: Callable[[_Frame], _Frame]) -> Condition:
        frames = {index: change(frame) for index, frame in self._frames.items()}
        others = None if self._others is None else change(self._others)
        return Condition._sparse(frames, others, self.num_frames)

    def _of_length(self, num_frames: int) -> Condition:
        """The condition of so many frames. Raises :class:`InputError` if it is none of such clips."""
        if num_frames == self.num_frames:
            return self
        if self.num_frames is not None:
            raise InputError(
                f"the condition has {self.num_frames} frames and the clip {num_frames}; make them alike"
            )
        if num_frames < 1:
            raise InputError(f"frames is {num_frames}; give at least 1")
        frames: dict[int, _Frame] = {}
        for index, frame in self._frames.items():
            if not -num_frames <= index < num_frames:
                raise InputError(f"frame {index} is outside the clip; its frames are 0 to {num_frames - 1}")
            if index % num_frames in frames:
                raise InputError(f"frame {index} of {num_frames} frames is known twice; give each once")
            frames[index % num_frames] = frame
        others = None if len(frames) == num_frames else self._others
        return Condition._sparse(frames, others, num_frames)


def from_image(image: ImageInput, frames: int | None = None) -> Condition:
    """Image to video (section 4.2 of the paper): the first frame is known.

    Args:
        image: uint8, h x w x 3, a PIL image, or a path.
        frames: length of the clip. Default: that of the pipeline's call.

    Raises:
        InputError: it is no image, or ``frames`` is below 1.
    """
    return from_frames({0: image}, frames)


def from_frames(images: Mapping[int, ImageInput], frames: int | None = None) -> Condition:
    """Single frames are known; a first and a last one, ``{0: first, -1: last}``, make a transition.

    Args:
        images: by the index of their frame, negative ones counted from the end; all of one size.
        frames: length of the clip. Default: that of the pipeline's call.

    Raises:
        InputError: there is no image, an index is outside the clip, two are the same frame, or the images
            have different sizes.
    """
    if not images:
        raise InputError("no frame is known; give at least one")
    pictures = {index: read_picture(image) for index, image in images.items()}
    sizes = {picture.shape[:2] for picture in pictures.values()}
    if len(sizes) > 1:
        listed = " and ".join(f"{width}x{height}" for height, width in sorted(sizes))
        raise InputError(f"the pictures are {listed}; give pictures of one size")
    everywhere = _everywhere(*sizes)
    condition = Condition._sparse({index: _Frame(each, everywhere) for index, each in pictures.items()})
    return condition if frames is None else condition._of_length(frames)


def inpaint(video: VideoInput, mask: MaskInput) -> Condition:
    """Inpainting (section 4.2 of the paper): everything is known but the masked region.

    Args:
        video: of t frames; uint8, t x h x w x 3, a clip, or a path.
        mask: 1, or white, where the model generates; h x w, or t x h x w if it moves; see :func:`read_mask`.

    Raises:
        InputError: the mask has another size or length than the video, is empty, or covers all of it.
    """
    frames = read_video(video)
    share = read_mask(mask)
    if share.shape not in (frames.shape[1:3], frames.shape[:3]):
        raise InputError(f"the mask is {_described(share)}; the video is {_described(frames[..., 0])}")
    if not share.any():
        raise InputError("the mask is empty; mark what is to be generated")
    if (share == 1).all():
        raise InputError("the mask covers all of every frame, so that nothing is known; mark less")
    known = _per_frame(1 - share, len(frames))
    return Condition._sparse(_paired(frames, known), num_frames=len(frames))


def cinemagraph(image: ImageInput, region: MaskInput, frames: int | None = None) -> Condition:
    """Cinemagraph (section 4.2 of the paper): the first frame is known, and in all others what lies outside
    the region.

    Args:
        image: uint8, h x w x 3, a PIL image, or a path.
        region: 1, or white, where the image is to move; h x w, or t x h x w if the region itself moves; see
            :func:`read_mask`.
        frames: length of the clip. Default: that of a moving region, or of the pipeline's call.

    Raises:
        InputError: the region has another size than the image, another length than ``frames``, or is empty.
    """
    picture = read_picture(image)
    share = read_mask(region)
    if share.shape[-2:] != picture.shape[:2]:
        raise InputError(f"the region is {_described(share)}; the image is {_described(picture[..., 0])}")
    if not share.any():
        raise InputError("the region is empty; mark what is to move")
    first = _Frame(picture, _everywhere(picture.shape[:2]))
    if share.ndim == 2:
        condition = Condition._sparse({0: first}, others=_Frame(picture, 1 - share))
        return condition if frames is None else condition._of_length(frames)
    if frames not in (None, len(share)):
        raise InputError(f"the region has {len(share)} frames and the clip {frames}; make them alike")
    later = {index: _Frame(picture, 1 - each) for index, each in enumerate(share) if index}
    return Condition._sparse({0: first} | later, num_frames=len(share))


def continue_from(video: VideoInput, known: int = 16, frames: int | None = None) -> Condition:
    """Extend a video: its last frames are the first ones of the clip.

    Args:
        video: uint8, t x h x w x 3, a clip, or a path.
        known: how many frames are taken from the video's end, 1 to t.
        frames: length of the clip, including the known frames. Default: that of the pipeline's call.

    Raises:
        InputError: the video is shorter, or nothing is left to generate.
    """
    past = read_video(video)
    if not 1 <= known <= len(past):
        raise InputError(f"{known} frames are to be known; the video has {len(past)}")
    if frames is not None and known >= frames:
        raise InputError(f"{known} frames are known of {frames}; leave some to be generated")
    return from_frames(dict(enumerate(past[len(past) - known :])), frames)


def outpaint(video: VideoInput, size: tuple[int, int], corner: tuple[int, int]) -> Condition:
    """Outpainting (section 4.2 of the paper): the video is known on a larger canvas.

    Args:
        video: uint8, t x h x w x 3, a clip, or a path.
        size: of the canvas, (height, width) in pixels.
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
    check_size(size[1], size[0], "the canvas")
    check_memory(size[1], size[0], len(frames), "the canvas")
    canvas = np.zeros((len(frames), *size, 3), np.uint8)
    canvas[:, row : row + height, column : column + width] = frames
    known = rectangle(*size, (column, row, column + width, row + height))
    return Condition._sparse(_paired(canvas, _per_frame(known, len(frames))), num_frames=len(frames))


def rectangle(height: int, width: int, box: Box) -> np.ndarray:
    """A rectangular mask, float32, h x w: 1 inside ``box``, 0 outside.

    Args:
        height, width: of the frame, in pixels.
        box: left, top, right, bottom in pixels, the last two outside.

    Raises:
        InputError: the box is empty or reaches over the frame.
    """
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        listed = ",".join(map(str, box))
        raise InputError(f"the box {listed} is not within {width}x{height}; give LEFT,TOP,RIGHT,BOTTOM")
    mask = np.zeros((height, width), np.float32)
    mask[top:bottom, left:right] = 1
    return mask


def bounding_box(region: np.ndarray) -> Box | None:
    """The smallest box around a region, bool, h x w: left, top, right, bottom, the last two outside.

    None if the region is empty.
    """
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def grown(box: Box, margin: int, height: int, width: int) -> Box:
    """The box with ``margin`` pixels added on each side, as far as the frame of height x width goes."""
    left, top, right, bottom = box
    return (
        max(0, left - margin),
        max(0, top - margin),
        min(width, right + margin),
        min(height, bottom + margin),
    )


def polygon(height: int, width: int, corners: Sequence[Sequence[int]]) -> np.ndarray:
    """A polygonal mask, float32, h x w: 1 inside the polygon, 0 outside.

    Args:
        height, width: of the frame, in pixels.
        corners: three or more, (x, y) in pixels.

    Raises:
        InputError: there are fewer than three corners, or one is no pair.
    """
    if len(corners) < 3 or any(len(corner) != 2 for corner in corners):
        raise InputError(f"the polygon has {len(corners)} corners; give at least three, X,Y X,Y X,Y")
    picture = Image.new("L", (width, height))
    ImageDraw.Draw(picture).polygon([(x, y) for x, y in corners], fill=1)
    return np.asarray(picture, np.float32)


def fit_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a mask to a frame of the same proportions, give or take 2 %.

    Args:
        mask: float32, h x w or t x h x w.
        height, width: of the frame, in pixels.

    Raises:
        InputError: the mask has other proportions.
    """
    own_height, own_width = mask.shape[-2:]
    if abs(own_width / own_height - width / height) > 0.02 * width / height:
        raise InputError(
            f"the mask is {own_width}x{own_height} and the frame {width}x{height}; make them alike"
        )
    frames = mask[None] if mask.ndim == 2 else mask
    return resize(frames, height, width, Image.Resampling.BOX).reshape(*mask.shape[:-2], height, width)


def feather(mask: np.ndarray, radius: float | int) -> np.ndarray:
    """Soften a mask's edges outward: it falls from 1 to 0 over ``radius`` pixels outside it.

    Args:
        mask: float32, h x w or t x h x w; where it is 1 it stays 1.
        radius: in pixels, from 0 to the longer side of the mask.

    Raises:
        InputError: the radius is out of its range.
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


def read_mask(mask: MaskInput) -> np.ndarray:
    """Read a mask as float32 from 0 to 1, h x w, or t x h x w from a video.

    Args:
        mask: the path of an image or a video, a PIL image, or an array, h x w or t x h x w. An image is 1
            where it is white, or, if it has transparent pixels, where it is opaque; levels within 8 of 255 of
            black or white, as compression leaves them, count as black or white. An array is bool, uint8 from
            0 to 255, or float from 0 to 1. Files are read by their content, whatever their names end in.

    Raises:
        InputError: it is no image or video, an array of another shape or range, or none of its levels above
            black reaches white, as in a map of labels.
    """
    if isinstance(mask, np.ndarray):
        return _mask_of_array(mask)
    levels = read_levels(mask) if isinstance(mask, Image.Image) else _levels_of_file(Path(mask))
    _check_white(float(levels.max()), "the mask" if isinstance(mask, Image.Image) else str(mask))
    return ((levels.astype(np.float32) - _NEARLY) / (255 - 2 * _NEARLY)).clip(0, 1)


def read_video(video: VideoInput) -> np.ndarray:
    """Read a video as uint8, t x h x w x 3.

    Raises:
        InputError: it is no video, or an array of another type or shape.
    """
    if isinstance(video, np.ndarray):
        return Clip(video, 1).frames
    return (video if isinstance(video, Clip) else Clip.load(video)).frames


def _mask_of_array(mask: np.ndarray) -> np.ndarray:
    if mask.ndim not in (2, 3):
        raise InputError(f"a mask is h x w or t x h x w; this is {mask.shape}")
    if mask.dtype == np.uint8:
        if mask.max(initial=0) == 1:
            raise InputError("the mask is uint8 and at most 1; white is 255, or give it as bool")
        _check_white(float(mask.max(initial=0)), "the mask")
        return mask.astype(np.float32) / 255
    if not _within_0_and_1(mask):
        raise InputError("the mask has values outside 0 to 1")
    return np.asarray(mask, np.float32)


def _check_white(brightest: float, name: str) -> None:
    """Raises :class:`InputError` for a mask that has levels above black, none of which reaches white."""
    if _NEARLY < brightest < 255 - _NEARLY:
        raise InputError(
            f"{name} has levels up to {brightest:.0f} of 255, and none is white; white (255) is what the "
            "model generates: in a map of labels, paint the object white"
        )


def _levels_of_file(path: Path) -> np.ndarray:
    """A mask's levels, 0 to 255: h x w of an image, t x h x w of a video or an animated image."""

    check_path(path, "give an image or a video")
    if not path.is_dir() and is_still(path):
        return read_levels(path)
    return Clip.load(path).frames.mean(-1, dtype=np.float32)


def _resized_picture(picture: np.ndarray, known: np.ndarray, height: int, width: int) -> np.ndarray:
    """The picture as by :func:`resize`, but of its known pixels alone; black where there are none.

    Args:
        picture: uint8, h x w x 3.
        known: bool, h x w.
    """
    if not known.any():
        return np.zeros((height, width, 3), np.uint8)
    shrinks = height < known.shape[0] or width < known.shape[1]
    how = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC

    def resized(layer: np.ndarray) -> np.ndarray:
        # One layer at a time, and converted by Pillow: floats of a large picture take much memory.
        return np.asarray(Image.fromarray(layer).convert("F").resize((width, height), how))

    shown = picture if known.all() else picture * known[..., None]
    mean = np.stack([resized(shown[..., channel]) for channel in range(3)], -1)
    mean /= np.maximum(resized(known.astype(np.uint8)), 1 / 255)[..., None]
    return mean.round().clip(0, 255).astype(np.uint8)


def _resized_region(known: np.ndarray, height: int, width: int) -> np.ndarray:
    if (known == 1).all():
        return _everywhere((height, width))
    return resize(known[None], height, width, Image.Resampling.BOX)[0].round(4).clip(0, 1)


def _everywhere(size: tuple[int, int]) -> np.ndarray:
    """The region of a whole frame, float32, h x w; it takes no memory."""
    return np.broadcast_to(np.float32(1), size)


def _per_frame(region: np.ndarray, frames: int) -> Sequence[np.ndarray]:
    """A region, h x w or t x h x w, for each frame; one that does not move is the same array in all."""
    return [region] * frames if region.ndim == 2 else list(region)


def _paired(pictures: np.ndarray, known: Sequence[np.ndarray]) -> dict[int, _Frame]:
    return {index: _Frame(*pair) for index, pair in enumerate(zip(pictures, known, strict=True))}


def _within_0_and_1(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1)


def _described(frames: np.ndarray) -> str:
    """Width and height, and the number of frames if there are several: h x w or t x h x w."""
    size = f"{frames.shape[-1]}x{frames.shape[-2]}"
    return size if frames.ndim == 2 else f"{len(frames)} frames of {size}"
