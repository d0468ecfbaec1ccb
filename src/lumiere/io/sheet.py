"""Contact sheets: many clips or images in one image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lumiere.errors import InputError
from lumiere.io.video import Clip

CELL_HEIGHT, CELL_MOST_WIDTH = 128, 256
GAP = 4
LABEL_HEIGHT = 20
FONT_SIZE = 14


def contact_sheet(clips: Sequence[Clip], frames: int = 8, labels: Sequence[str] | None = None) -> np.ndarray:
    """A row per clip: up to ``frames`` of its frames, from the first to the last at even distances.

    ``labels`` stand above the rows, shortened where they are too long; without them, each clip's prompt.

    Returns uint8, H x W x 3. Raises :class:`InputError` for no clips, ``frames`` < 1, or labels that are
    not as many as the clips.
    """
    if not clips or frames < 1:
        raise InputError(
            f"a contact sheet of {len(clips)} clips and {frames} frames each; both are 1 or more"
        )
    if labels is None:
        labels = [str(clip.metadata.get("prompt", f"clip {number}")) for number, clip in enumerate(clips, 1)]
    _check_labels(labels, len(clips), "clips")
    rows = []
    for clip, label in zip(clips, labels, strict=True):
        picked = np.unique(np.linspace(0, len(clip) - 1, frames).round().astype(int))
        rows.append((label, abreast([_fitted(clip.frames[index]) for index in picked])))
    width = max(row.shape[1] for _, row in rows)
    return _pile([_labelled(label, row, width) for label, row in rows])


def side_by_side(pictures: Sequence[np.ndarray], labels: Sequence[str]) -> np.ndarray:
    """Pictures (uint8, H x W x 3) in one row, each under its label, unscaled. Returns uint8, H x W x 3.

    Raises :class:`InputError` for no pictures, or labels that are not as many as they.
    """
    if not pictures:
        raise InputError("no pictures to put side by side; give 1 or more")
    _check_labels(labels, len(pictures), "pictures")
    return abreast(
        [_labelled(label, picture, picture.shape[1]) for label, picture in zip(labels, pictures, strict=True)]
    )


def stacked(pictures: Sequence[np.ndarray], labels: Sequence[str]) -> np.ndarray:
    """Pictures (uint8, H x W x 3) one below the other, each under its label, unscaled, at the left.

    Returns uint8, H x W x 3. Raises :class:`InputError` as :func:`side_by_side` does.
    """
    if not pictures:
        raise InputError("no pictures to stack; give 1 or more")
    _check_labels(labels, len(pictures), "pictures")
    width = max(picture.shape[1] for picture in pictures)
    return _pile([_labelled(label, picture, width) for label, picture in zip(labels, pictures, strict=True)])


def abreast(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures (uint8, H x W x 3) in one row, unscaled. Returns uint8, H x W x 3."""
    height = max(picture.shape[0] for picture in pictures)
    padded = [_padded(picture, height, picture.shape[1] + GAP) for picture in pictures]
    return np.concatenate(padded, axis=1)[:, :-GAP]


def _check_labels(labels: Sequence[str], count: int, what: str) -> None:
    if len(labels) != count:
        raise InputError(f"{len(labels)} labels for {count} {what}; give one each")


def _fitted(frame: np.ndarray) -> np.ndarray:
    """Scaled to a cell of the sheet; small frames by whole pixels where that fits, to stay sharp."""
    height, width = frame.shape[:2]
    scale = min(CELL_HEIGHT / height, CELL_MOST_WIDTH / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = Image.Resampling.NEAREST if scale == int(scale) else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(frame).resize(size, method))


def _pile(pictures: Sequence[np.ndarray]) -> np.ndarray:
    padded = [_padded(picture, picture.shape[0] + GAP, picture.shape[1]) for picture in pictures]
    return np.concatenate(padded, axis=0)[:-GAP]


def _padded(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    below, right = height - picture.shape[0], width - picture.shape[1]
    return np.pad(picture, ((0, below), (0, right), (0, 0)), constant_values=255)


def _labelled(label: str, picture: np.ndarray, width: int) -> np.ndarray:
    strip = Image.new("RGB", (width, LABEL_HEIGHT), "white")
    font = ImageFont.load_default(FONT_SIZE)
    text = " ".join(label.split())
    shown = text
    while text and font.getlength(shown) > width:
        text = text[:-1]
        shown = text.rstrip() + "…"
    ImageDraw.Draw(strip).text((0, LABEL_HEIGHT / 2), shown, fill="black", font=font, anchor="lm")
    return np.concatenate([np.asarray(strip), _padded(picture, picture.shape[0], width)])
