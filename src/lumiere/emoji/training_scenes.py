"""The training source ``emoji``: the scenes that ``lumiere data emoji`` writes to shards, composed on the
training device for each batch.

Scenes and captions are drawn at the start, and the text states of captions are kept. A step takes some of the
scenes, shifts and scales each at random, and composes them, which on a GPU takes a small part of a step;
decoding a clip takes several steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from lumiere.conditions import Box
from lumiere.emoji.data.scenes import (
    CLIP_FRAMES,
    FPS,
    FURTHEST,
    HALVED_BELOW,
    LONE_SIZES,
    MOTIONS,
    Background,
    Scene,
    Sprite,
    caption,
    own_tags,
    paint,
    place,
    random_scene,
    slots,
    to_layer,
    trajectory,
)
from lumiere.emoji.data.sprites import load_sprites
from lumiere.emoji.data.wording import names_of, varied
from lumiere.errors import InputError
from lumiere.train import config
from lumiere.train.draw import numbers
from lumiere.train.encode import Encoder
from lumiere.train.sources.base import Prepared, Source

_MOST_OBJECTS = 3


@dataclass(frozen=True)
class Batch:
    """Windows of some of the scenes.

    Attributes:
        scenes: the numbers of the scenes.
        first_frames: where in each the window begins.
        x, y, size, angle: of each group of objects in each frame, ``b t``, as
            :func:`~lumiere.emoji.data.scenes.trajectory` gives them.
    """

    scenes: np.ndarray
    first_frames: np.ndarray
    x: np.ndarray
    y: np.ndarray
    size: np.ndarray
    angle: np.ndarray


class Scenes(Source):
    """Windows of composed scenes; see the module.

    Args:
        options: the sprites, and what scenes to draw of them.
        data: the size that is asked for.
        encoder: the codec and text encoder that the net works with.
        seed: of the scenes and of all draws.
        frames: of a window; 1 for single pictures.

    Attributes:
        captions: of each scene.
        plain: the captions in plain wording, with objects by their labels.

    Raises:
        InputError: there are no sprites, or ``data`` asks for a size, length or stride that scenes lack.
    """

    fps = FPS
    #: a batch is composed in one go, and its noise is drawn in one go
    draws_together = True

    def __init__(self, options: config.Scenes, data: config.Data, encoder: Encoder, seed: int, frames: int):
        if data.frame_stride != 1:
            raise InputError(f'"data.frame_stride" is {data.frame_stride}; scenes are composed at 1')
        if data.size[0] != data.size[1] or frames > CLIP_FRAMES:
            raise InputError(
                f'"data.size" is {list(data.size)} and "data.frames" {frames}; scenes are square, of '
                f"{CLIP_FRAMES} frames"
            )
        self.encode, self.device, self.seed, self.frames = encoder, encoder.device, seed, frames
        side = data.size[0]
        sprites = load_sprites(options.sprites, options.groups)
        if not sprites:
            raise InputError(f"{options.sprites} has no sprites of {', '.join(options.groups)}; name others")
        if (found := sprites[0].frames.shape[1]) != side:
            raise InputError(f"the sprites of {options.sprites} have {found} pixels; data.size is {side}")
        drawn = _draw_all(sprites, options, seed)
        self.side = side
        self._any_motion = options.any_motion
        self.drawn = [scene for scene, _, _ in drawn]
        self.captions = [worded for _, worded, _ in drawn]
        self.plain = [plain for _, _, plain in drawn]
        self._number_all(sprites)
        self._paint_all(side)
        self._states, self._plain_states = (_States(each, encoder) for each in (self.captions, self.plain))

    def _number_all(self, sprites: Sequence[Sprite]) -> None:
        """Scenes as arrays, and the frames of all sprites one after another, on the device."""
        code_numbers = {sprite.code: i for i, sprite in enumerate(sprites)}
        shape = len(self.drawn), _MOST_OBJECTS
        self._objects, self._slots = np.full(shape, -1), np.zeros((*shape, 2), np.float32)
        for i, scene in enumerate(self.drawn):
            self._objects[i, : len(scene.objects)] = [code_numbers[code] for code in scene.objects]
            self._slots[i, : len(scene.objects)] = slots(scene)
        self._motions = np.array([MOTIONS.index(scene.motion) for scene in self.drawn])
        self._sizes = np.array([scene.size for scene in self.drawn], np.float32)

        # Paths of the motions at size 1 and no offset, which a scene scales and shifts.
        seconds = torch.arange(CLIP_FRAMES) / FPS
        still = replace(self.drawn[0], size=1.0, offset=(0.0, 0.0))
        self._paths = np.stack(
            [
                torch.stack(trajectory(replace(still, motion=motion), seconds, CLIP_FRAMES / FPS)).numpy()
                for motion in MOTIONS
            ]
        )

        self._lengths = np.array([len(sprite.frames) for sprite in sprites])
        self._starts = np.cumsum(self._lengths) - self._lengths
        frames = [torch.from_numpy(sprite.frames) for sprite in sprites]
        self._frames = torch.cat(frames).to(self.device)
        self._halved = torch.cat([to_layer(each, 0.0).half() for each in frames]).to(self.device)
        self._bounds = np.array([_bounds(sprite.frames) for sprite in sprites], np.float32)

    def _paint_all(self, side: int) -> None:
        kinds: dict[Background, int] = {}
        self._backgrounds = np.array([kinds.setdefault(scene.background, len(kinds)) for scene in self.drawn])
        self._painted = torch.stack([paint(background, side) for background in kinds]).to(self.device)

    def prompts(self, count: int) -> list[str]:
        return self.captions[:count]

    def draw(
        self, step: int, samples: range, rngs: Sequence[np.random.Generator] = (), pixels: bool = False
    ) -> Batch:
        """A window for each of ``samples``, a function of the first one's number alone."""
        frames = self.frames
        rng, count = numbers("windows", self.seed, samples.start), len(samples)
        chosen = rng.integers(len(self.drawn), size=count)
        first = rng.integers(CLIP_FRAMES - frames + 1, size=count)
        shown = first[:, None] + np.arange(frames)
        moved = rng.integers(len(self.drawn), size=count) if self._any_motion else chosen
        paths = np.take_along_axis(self._paths[self._motions[moved]], shown[:, None], 2)
        alone = self._objects[chosen, 1] < 0
        lone = rng.uniform(*LONE_SIZES, count)
        size = np.where(alone, lone, self._sizes[chosen]).astype(np.float32)
        offset = rng.uniform(-FURTHEST, FURTHEST, (count, 2)).astype(np.float32)
        x, y = (paths[:, axis] + offset[:, axis, None] for axis in (0, 1))
        return Batch(chosen, first, x, y, paths[:, 2] * size[:, None], paths[:, 3])

    def shape(self, drawn: Batch) -> tuple[int, int, int]:
        return self.frames, self.side, self.side

    def prepare(self, drawn: Batch) -> Prepared:
        video = self.video(drawn)
        first_frames = torch.from_numpy(drawn.first_frames).to(self.device)
        return Prepared(self.encode.codec.encode(video), first_frames, video)

    def context(self, drawn: Batch) -> Tensor:
        return self._states(drawn.scenes)

    def plain_context(self, drawn: Batch) -> Tensor:
        return self._plain_states(drawn.scenes)

    def video(self, batch: Batch) -> Tensor:
        """The windows, ``b 3 t h w`` in [-1, 1], on the device."""
        frames = batch.x.shape[1]
        painted = self._painted[self._on_device(self._backgrounds[batch.scenes])]
        canvas = painted[:, None].expand(-1, frames, -1, -1, -1)
        small = batch.size.min(1) < HALVED_BELOW
        video = torch.empty_like(canvas, memory_format=torch.contiguous_format)
        for group, sprites in ((np.flatnonzero(~small), self._frames), (np.flatnonzero(small), self._halved)):
            if len(group):
                rows = self._on_device(group)
                placed = self._placed(batch, group, sprites, canvas[rows].flatten(0, 1))
                video[rows] = placed.unflatten(0, (-1, frames))
        return video.transpose(1, 2) * 2 - 1

    def _placed(self, batch: Batch, group: np.ndarray, sprites: Tensor, canvas: Tensor) -> Tensor:
        chosen = batch.scenes[group]
        shown = batch.first_frames[group, None] + np.arange(batch.x.shape[1])
        for slot in range(_MOST_OBJECTS):
            objects = self._objects[chosen, slot]
            there = np.flatnonzero(objects >= 0)
            if not len(there):
                break
            shift = self._slots[chosen[there], slot]
            size, angle = batch.size[group][there], batch.angle[group][there]
            x = batch.x[group][there] + shift[:, :1] * size
            y = batch.y[group][there] + shift[:, 1:] * size
            mine = objects[there, None]
            index = self._starts[mine] + shown[there] % self._lengths[mine]
            layer = sprites[self._on_device(index.ravel())]
            layer = to_layer(layer, HALVED_BELOW) if layer.dtype == torch.uint8 else layer.float()
            where = (self._on_device(each.astype(np.float32).ravel()) for each in (x, y, size, angle))
            if len(there) == len(chosen):
                canvas = place(layer, canvas, *where)
            else:
                rows = self._on_device((there[:, None] * shown.shape[1] + np.arange(shown.shape[1])).ravel())
                canvas = canvas.index_copy(0, rows, place(layer, canvas[rows], *where))
        return canvas

    def boxes(self, drawn: Batch) -> list[Callable[[], Box | None]]:
        return [partial(self._box, drawn, i) for i in range(len(drawn.scenes))]

    def _box(self, batch: Batch, i: int) -> Box | None:
        number = batch.scenes[i]
        objects = self._objects[number][self._objects[number] >= 0]
        shifts = self._slots[number, : len(objects), :, None] * batch.size[i]
        centres = np.stack([batch.x[i], batch.y[i]]) + shifts
        # From the sprite's middle to its ends; of one that turns, to its furthest corner
        ends = self._bounds[objects] - 0.5
        if batch.angle[i].any():
            ends = np.sign(ends) * np.linalg.norm(np.abs(ends).max(1), axis=1)[:, None, None]
        first = (centres + ends[:, :1, :].transpose(0, 2, 1) * batch.size[i]).min((0, 2))
        last = (centres + ends[:, 1:, :].transpose(0, 2, 1) * batch.size[i]).max((0, 2))
        left, top, right, bottom = (
            round(float(min(max(0.5 + each, 0.0), 1.0)) * self.side) for each in (*first, *last)
        )
        return (left, top, right, bottom) if left < right and top < bottom else None

    def _on_device(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device, non_blocking=True)


class _States:
    """Text states of some texts, each encoded when it is first asked for."""

    def __init__(self, texts: Sequence[str], encode: Encoder):
        self.texts, self.encode = texts, encode
        self.known = np.zeros(len(texts), bool)

    @cached_property
    def states(self) -> Tensor:
        return self.encode.empty.half().repeat(len(self.texts), 1, 1)

    def __call__(self, numbers: np.ndarray) -> Tensor:
        if len(new := np.unique(numbers[~self.known[numbers]])):
            states = self.encode.text([self.texts[number] for number in new])
            self.states[torch.from_numpy(new).to(states.device)] = states.half()
            self.known[new] = True
        return self.states[torch.from_numpy(numbers).to(self.states.device)].float()


def _bounds(frames: np.ndarray) -> list[tuple[float, float]]:
    """Left and top, right and bottom of a sprite over all its frames, as shares of its side."""
    seen = frames[..., 3].max(0) > 24
    found = [np.flatnonzero(seen.any(axis)) / len(seen) for axis in (0, 1)]
    left, top = (each[0] for each in found)
    right, bottom = (each[-1] + 1 / len(seen) for each in found)
    return [(left, top), (right, bottom)]


def _draw_all(sprites: Sequence[Sprite], options: config.Scenes, seed: int) -> list[tuple[Scene, str, str]]:
    """Scenes with their captions and their plain captions, a function of the options and the seed."""
    rng, synonyms = numbers("scenes", seed), own_tags(sprites)
    labels = {sprite.code: sprite.label for sprite in sprites}
    codes, other_names = sorted(labels), names_of(sprites)
    drawn = []
    for _ in range(options.count):
        scene = random_scene(rng, codes, several=options.several)
        if options.captions == "varied":
            scene, said = varied(scene, labels, other_names, rng)
            drawn.append((scene, said, caption(scene, labels)))
            continue
        names = dict(labels)
        for code in scene.objects:
            if synonyms[code] and rng.random() < options.synonyms:
                names[code] = str(rng.choice(synonyms[code]))
        wording = int(rng.integers(2**32))
        worded, plain = (caption(scene, each, rng=np.random.default_rng(wording)) for each in (names, labels))
        drawn.append((scene, worded, plain))
    return drawn
