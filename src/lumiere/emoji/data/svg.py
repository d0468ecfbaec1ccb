"""Pictures with true detail at 1024 pixels, for super-resolution: Fluent Emoji drawn from vector graphics.

To train on, each drawing, on a background, is cut into squares of 256 pixels, as detailed as a part of a
1024-pixel frame. To measure on, other drawings move in clips of 1024 pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np

from lumiere.data import h264
from lumiere.data.files import claim, to_json, write_whole
from lumiere.data.parallel import write_shards
from lumiere.emoji.data.drawings import Drawing, check_rasteriser, read_drawings
from lumiere.emoji.data.npm import Package
from lumiere.emoji.data.scenes import (
    CLIP_FRAMES,
    FPS,
    MOTIONS,
    Scene,
    Sprite,
    caption,
    is_held_out,
    paint,
    random_background,
    render,
)
from lumiere.emoji.data.shards import CLIP_CRF, lossless_webp, tar

DRAWINGS = Package(
    "@iconify-json/fluent-emoji",
    "1.2.7",
    "D8G6bKAyIsyxP1rzZtIWr/gg/fO4Rg1+DyCWlfqKK4h8W+4Em/Y0P6QYgJUQTlUcagzJvSyg+9OBv4hz4Hc/QA==",
    14323330,
    "MIT",
    "Microsoft; packed by Iconify",
)
SIDE, SQUARE = 1024, 256
#: of one drawing, which takes a second or two
SQUARES = 16
#: standard deviation, of 255, below which a square shows nothing
PLAIN = 4.0
SHARD = 256
_AT_ONCE = 8  # frames rendered together; at this size eighty would take 4 GB
_FORMAT = "lumiere-svg/2"


def load_drawings(cache: Path, held_out: bool = False) -> list[Drawing]:
    """Drawings without a skin tone, sorted by name; fetched into ``cache`` if they are not there.

    One in twelve, by its name, is in no training shard: those with ``held_out``, the others without.

    Raises:
        InputError: the package cannot be fetched.
    """
    return [each for each in read_drawings(DRAWINGS, cache) if is_held_out(each.name) == held_out]


def compose(out: Path, stills: int, held_out: int, seed: int, cache: Path, workers: int) -> bool:
    """Write ``stills`` squares and ``held_out`` clips into ``out``; False if they are all there already.

    Shards that are there are kept, so that an interrupted run goes on where it stopped.

    Raises:
        InputError: resvg-py is not installed, ``out`` holds something else, the package cannot be fetched, or
            a file cannot be written.
    """
    check_rasteriser()
    request = {"format": _FORMAT, "source": DRAWINGS.filename}
    claim(out, request | {"stills": stills, "held_out": held_out, "seed": seed})
    shards = [_Shard("heldout-clips", number, 1) for number in range(held_out)]
    shards += [
        _Shard("train-stills", number, min(SHARD, stills - first))
        for number, first in enumerate(range(0, stills, SHARD))
    ]
    missing = [shard for shard in shards if not (out / shard.filename).exists()]
    if not missing:
        return False
    drawings = {kind: load_drawings(cache, kind == "heldout-clips") for kind in _KINDS}

    def write(shard: _Shard, stop: Event) -> int:
        rng = np.random.default_rng([seed, shard.number])
        samples: list[dict[str, bytes]] = []
        while len(samples) < shard.samples:
            if stop.is_set():
                raise InterruptedError
            choice = drawings[shard.kind]
            samples += _KINDS[shard.kind](choice[int(rng.integers(len(choice)))], rng)
        write_whole(out / shard.filename, tar(shard.number, samples[: shard.samples]))
        return shard.samples

    write_shards(write, missing, sum(shard.samples for shard in missing), "sample", workers)
    return True


def _still_samples(drawing: Drawing, rng: np.random.Generator) -> list[dict[str, bytes]]:
    about = to_json({"caption": f"a part of a drawing: {drawing.title}"})
    return [
        {"webp": lossless_webp(square), "json": about} for square in squares(on_background(drawing, rng), rng)
    ]


def _clip_samples(drawing: Drawing, rng: np.random.Generator) -> list[dict[str, bytes]]:
    motion = MOTIONS[1 + int(rng.integers(len(MOTIONS) - 1))]
    scene = Scene((drawing.name,), "alone", random_background(rng), motion, 0.85, (0.0, 0.0))
    frames = clip(scene, drawing)
    about = to_json({"caption": caption(scene, {drawing.name: drawing.title})})
    return [{"mp4": h264.encode(frames, FPS, CLIP_CRF), "json": about}]


_KINDS = {"train-stills": _still_samples, "heldout-clips": _clip_samples}


@dataclass(frozen=True)
class _Shard:
    kind: str
    number: int
    samples: int

    @property
    def filename(self) -> str:
        return f"{self.kind}-{self.number:05d}.tar"


def clip(scene: Scene, drawing: Drawing) -> np.ndarray:
    """The scene of one drawing: uint8, t x 1024 x 1024 x 3, at 16 fps."""
    rgba = drawing.draw(SIDE).astype(np.float32)
    rgba[..., :3] *= rgba[..., 3:] / 255
    sprite = Sprite(drawing.name, drawing.title, (), "", rgba.round().astype(np.uint8)[None])
    parts = range(0, CLIP_FRAMES, _AT_ONCE)
    return np.concatenate([render(scene, {drawing.name: sprite}, _AT_ONCE, first) for first in parts])


def on_background(drawing: Drawing, rng: np.random.Generator) -> np.ndarray:
    """The drawing at half to nine tenths of the picture's width, anywhere: uint8 1024 x 1024 x 3."""
    canvas = paint(random_background(rng), SIDE).permute(1, 2, 0).numpy().copy()
    side = int(SIDE * rng.uniform(0.5, 0.9))
    rgba = drawing.draw(side).astype(np.float32) / 255
    y, x = (int(rng.integers(SIDE - side + 1)) for _ in range(2))
    place = canvas[y : y + side, x : x + side]
    place += rgba[..., 3:] * (rgba[..., :3] - place)
    return (canvas * 255).round().astype(np.uint8)


def squares(picture: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Up to ``SQUARES`` squares of a picture, at random, without those that show next to nothing."""
    for _ in range(SQUARES):
        y, x = (int(rng.integers(length - SQUARE + 1)) for length in picture.shape[:2])
        square = picture[y : y + SQUARE, x : x + SQUARE]
        if square.std((0, 1)).max() >= PLAIN:
            yield square
