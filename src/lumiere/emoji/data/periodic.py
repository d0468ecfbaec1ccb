"""Captioned clips of motion whose frequency is known: one object bounces or spins, and nothing else moves.

A model that makes keyframes at every 5th frame of 16 a second sees 3.2 of them, and cannot tell a motion of 2
hertz from one of 1.2, nor one of 2.4 from one of 0.8 (Sec. 1, Fig. 3). Every clip has the same phase, so that
its caption alone says what is to be seen.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from threading import Event
from typing import Any, Literal

import numpy as np
import torch

from lumiere.data import h264
from lumiere.data.files import claim, to_json, write_whole
from lumiere.data.parallel import write_shards
from lumiere.emoji.data.scenes import (
    CLIP_FRAMES,
    COLOURS,
    FPS,
    Background,
    Sprite,
    in_words,
    is_held_out,
    paint,
    place,
    to_layer,
    to_uint8,
    with_article,
)
from lumiere.emoji.data.shards import CLIP_CRF, Composer, Request, Shard
from lumiere.emoji.data.sprites import load_sprites
from lumiere.errors import InputError

#: hertz; at 3.2 keyframes a second the first is the alias of the last, and the second of the third
FREQUENCIES = (0.8, 1.2, 2.0, 2.4)
#: of a bounce, share of the frame
AMPLITUDE = 0.16
_FORMAT = "lumiere-periodic/1"

PeriodicMotion = Literal["bounce", "spin"]
_WORDS: dict[PeriodicMotion, str] = {"bounce": "bouncing", "spin": "spinning"}
#: the least and the greatest width of the object, as shares of the frame
_SIZES: dict[PeriodicMotion, tuple[float, float]] = {"bounce": (0.56, 0.6), "spin": (0.68, 0.76)}
_CELLS = tuple((motion, frequency) for frequency in FREQUENCIES for motion in _WORDS)


@dataclass(frozen=True)
class PeriodicScene:
    """What a clip of periodic motion shows.

    Attributes:
        object: code of the sprite, of which the first frame alone is shown.
        frequency: of the motion, in hertz.
        size: width of the object, as a share of the frame.
        offset: of the middle of the motion from the frame's, (x, y) as shares of the frame.
    """

    object: str
    background: Background
    motion: PeriodicMotion
    frequency: float
    size: float
    offset: tuple[float, float]


@dataclass(frozen=True)
class PeriodicPrompt:
    """A prompt and the scene that it names."""

    prompt: str
    scene: PeriodicScene


def caption(scene: PeriodicScene, labels: dict[str, str]) -> str:
    """The scene in words: "an owl spinning at 2 hertz on a red background"."""
    subject = f"{with_article(labels[scene.object])} {_WORDS[scene.motion]}"
    return f"{subject} at {scene.frequency:g} hertz on {in_words(scene.background)}"


def render(
    scene: PeriodicScene, sprites: dict[str, Sprite], num_frames: int = CLIP_FRAMES, start: int = 0
) -> np.ndarray:
    """Frames ``start`` to ``start + num_frames`` of the scene: uint8, t x s x s x 3, at 16 fps.

    Frame 0 shows the object in the middle of its way and upright; a bounce then goes up first. ``s`` is the
    side of its sprite.
    """
    picture = sprites[scene.object].frames[:1].repeat(num_frames, 0)
    phase = 2 * math.pi * scene.frequency * torch.arange(start, start + num_frames) / FPS
    x, y = (torch.full_like(phase, offset) for offset in scene.offset)
    angle, size = torch.zeros_like(phase), torch.full_like(phase, scene.size)
    match scene.motion:
        case "bounce":
            y = y - AMPLITUDE * torch.sin(phase)
        case "spin":
            angle = phase
    canvas = paint(scene.background, picture.shape[1]).expand(num_frames, -1, -1, -1)
    layer = to_layer(torch.from_numpy(picture), float(size.min()))
    return to_uint8(place(layer, canvas, x, y, size, angle))


def motion_is_held_out(code: str, motion: PeriodicMotion, frequency: float) -> bool:
    """Whether this motion of this object at this frequency is in no training clip."""
    return is_held_out(code, motion, f"{frequency:g}")


def random_periodic(rng: np.random.Generator, codes: Sequence[str]) -> PeriodicScene:
    """Draw a scene of one of ``codes`` to train on: its motion of this frequency is not held out."""
    while True:
        code = codes[int(rng.integers(len(codes)))]
        motion, frequency = _CELLS[int(rng.integers(len(_CELLS)))]
        background = Background("solid", (list(COLOURS)[int(rng.integers(len(COLOURS)))],))
        size = float(rng.uniform(*_SIZES[motion]))
        x, y = rng.uniform(-0.03, 0.03, 2).tolist()
        if not motion_is_held_out(code, motion, frequency):
            return PeriodicScene(code, background, motion, frequency, size, (x, y))


def held_out_periodic(labels: dict[str, str], count: int) -> list[PeriodicPrompt]:
    """The first ``count`` prompts that no training clip shows, the same ones for the same objects.

    Motions and frequencies take turns; then every held-out object of a motion and frequency comes once, each
    on another colour, before one comes again on the next.

    Args:
        labels: the objects' names by code.

    Raises:
        InputError: there are not that many.
    """
    rng = np.random.default_rng(113)
    turns = zip_longest(*(_held_out_scenes(rng, sorted(labels), *cell) for cell in _CELLS))
    scenes = [scene for turn in turns for scene in turn if scene is not None]
    if not 1 <= count <= len(scenes):
        raise InputError(f"prompts is {count}; of {len(labels)} objects there are from 1 to {len(scenes)}")
    return [PeriodicPrompt(caption(scene, labels), scene) for scene in scenes[:count]]


def _held_out_scenes(
    rng: np.random.Generator, codes: list[str], motion: PeriodicMotion, frequency: float
) -> list[PeriodicScene]:
    held_out = [code for code in codes if motion_is_held_out(code, motion, frequency)]
    rng.shuffle(held_out)
    colours = rng.permutation(list(COLOURS)).tolist()
    size = sum(_SIZES[motion]) / 2
    return [
        PeriodicScene(
            code,
            Background("solid", (colours[(number + turn) % len(colours)],)),
            motion,
            frequency,
            size,
            (0.0, 0.0),
        )
        for turn in range(len(colours))
        for number, code in enumerate(held_out)
    ]


def compose(
    out: Path, sprites: Path, clips: int, seed: int, groups: Sequence[str] = (), workers: int = 1
) -> bool:
    """Write ``clips`` training clips as shards into ``out``; False if they are all there already.

    Shards that are there are kept, so that an interrupted run goes on where it stopped.

    Args:
        sprites: a folder that ``lumiere data emoji`` made.
        groups: Unicode groups of the objects; without any, all.

    Raises:
        InputError: ``sprites`` holds none of ``groups``, ``out`` holds something else, or a file cannot be
            written.
    """
    request = Request(0, clips, 0, seed, sorted(set(groups)))
    composer = _PeriodicComposer(load_sprites(sprites, request.groups))
    if not composer.codes:
        raise InputError(f"{sprites} has no sprite of {', '.join(request.groups) or 'any group'}")
    of = {"groups": request.groups, "objects": len(composer.codes)}
    claim(out, {"format": _FORMAT, **of, "clips": clips, "seed": seed})
    missing = [shard for shard in request.shards() if not (out / shard.filename).exists()]
    if not missing:
        return False

    def write(shard: Shard, stop: Event) -> int:
        write_whole(out / shard.filename, composer.shard(shard, stop))
        return shard.samples

    write_shards(write, missing, sum(shard.samples for shard in missing), "clip", workers)
    return True


class _PeriodicComposer(Composer):
    def sample(self, shard: Shard, rng: np.random.Generator) -> dict[str, bytes]:
        scene = random_periodic(rng, self.codes)
        about: dict[str, Any] = {"caption": caption(scene, self.labels), "scene": dataclasses.asdict(scene)}
        return {"mp4": h264.encode(render(scene, self.sprites), FPS, CLIP_CRF), "json": to_json(about)}
