"""Stills with true detail at 1024 pixels, for super-resolution: Fluent Emoji drawn from vector graphics.

Each drawing, on a background, is cut into squares of 256 pixels, as detailed as a part of a 1024-pixel frame.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from PIL import Image

from lumiere.data.compose import is_held_out, paint, random_background
from lumiere.data.files import write_whole
from lumiere.data.npm import Package, fetch
from lumiere.data.parallel import write_shards
from lumiere.data.shards import MANIFEST, lossless_webp, tar, to_json
from lumiere.errors import InputError

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
_FORMAT = "lumiere-svg/2"


@dataclass(frozen=True)
class Drawing:
    """A vector graphic in a box of 32 x 32."""

    name: str
    body: str

    def draw(self, side: int) -> np.ndarray:
        """uint8 side x side x 4, RGBA, not premultiplied."""
        import resvg_py

        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}" viewBox="0 0 32 32">'
            f"{self.body}</svg>"
        )
        with Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))) as image:
            return np.asarray(image.convert("RGBA"))


def load_drawings(cache: Path, held_out: bool = False) -> list[Drawing]:
    """Drawings without a skin tone, sorted by name; fetched into ``cache`` if they are not there.

    One in twelve, by its name, is in no training shard: those with ``held_out``, the others without.

    Raises:
        InputError: the package cannot be fetched.
    """
    with tarfile.open(fetch(DRAWINGS, cache), "r:gz") as archive:
        file = archive.extractfile("package/icons.json")
        assert file is not None
        icons = json.load(file)["icons"]
    tones = ("-dark", "-light", "-medium")
    names = [name for name in sorted(icons) if not name.endswith(tones) and is_held_out(name) == held_out]
    return [Drawing(name, icons[name]["body"]) for name in names]


def compose(out: Path, stills: int, seed: int, cache: Path, workers: int) -> bool:
    """Write shards of ``stills`` squares into ``out``; False if they are all there already.

    Shards that are there are kept, so that an interrupted run goes on where it stopped.

    Raises:
        InputError: resvg-py is not installed, ``out`` holds something else, the package cannot be fetched, or
            a file cannot be written.
    """
    try:
        import resvg_py  # noqa: F401
    except ImportError:
        raise InputError("drawing needs resvg-py: pip install 'lumiere-video[train]'") from None
    _claim(out, {"format": _FORMAT, "source": DRAWINGS.filename, "stills": stills, "seed": seed})
    jobs = [
        (number, min(SHARD, stills - first))
        for number, first in enumerate(range(0, stills, SHARD))
        if not _path(out, number).exists()
    ]
    if not jobs:
        return False
    drawings = load_drawings(cache)

    def write(job: tuple[int, int], stop: Event) -> int:
        number, count = job
        rng = np.random.default_rng([seed, number])
        samples: list[dict[str, bytes]] = []
        while len(samples) < count:
            if stop.is_set():
                raise InterruptedError
            samples += _samples(drawings[int(rng.integers(len(drawings)))], rng)
        write_whole(_path(out, number), tar(number, samples[:count]))
        return count

    write_shards(write, jobs, sum(count for _, count in jobs), "square", workers)
    return True


def _claim(out: Path, request: dict[str, Any]) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; --out names a folder")
    manifest = out / MANIFEST
    try:
        found = json.loads(manifest.read_text("utf-8")) if manifest.exists() else None
    except ValueError:
        found = {}
    if (found is None and out.exists() and any(out.iterdir())) or found not in (None, request):
        was = ", ".join(f"{key} {found[key]}" for key in request if key in found) if found else "other data"
        raise InputError(f"{out} holds {was}; ask for the same, or choose another folder")
    write_whole(manifest, to_json(request, indent=1))


def _path(out: Path, number: int) -> Path:
    return out / f"train-stills-{number:05d}.tar"


def _samples(drawing: Drawing, rng: np.random.Generator) -> list[dict[str, bytes]]:
    about = to_json({"caption": f"a part of a drawing: {drawing.name.replace('-', ' ')}"})
    return [
        {"webp": lossless_webp(square), "json": about} for square in squares(on_background(drawing, rng), rng)
    ]


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
