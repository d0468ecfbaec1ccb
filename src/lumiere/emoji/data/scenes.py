"""Captioned scenes, composed of animated sprites. The captions are true by construction.

A scene is one to three objects on a background, under one scripted motion on top of the artist's own
animation. Whole combinations (object x background colour, object x motion, pairs of objects) are held out
by a hash of their names, so that what a model does with them is generalisation, not memory.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import torch
import torch.nn.functional as F

FPS = 16
#: sides that there are sprites of; the first is the base model's
SIZES = (128, 256)
CLIP_FRAMES = 80
HELD_OUT_SHARE = 1 / 12

COLOURS: dict[str, tuple[int, int, int]] = {
    "white": (245, 245, 245),
    "black": (20, 20, 24),
    "gray": (130, 130, 134),
    "red": (208, 40, 44),
    "orange": (240, 140, 30),
    "yellow": (250, 220, 60),
    "green": (52, 160, 74),
    "blue": (40, 96, 210),
    "purple": (126, 62, 172),
    "pink": (246, 158, 196),
}

#: for :func:`lumiere.train.style.fit`: how captions name each colour, and the colour
STYLE_BACKGROUNDS = [(f" on a {name} background", colour) for name, colour in COLOURS.items()]
#: of a plain background that nobody asked for, the first choice first
CALM_COLOURS = ("white", "blue", "green", "purple", "pink", "gray")

BackgroundKind = Literal["solid", "gradient", "stripes", "checks", "dots"]
BACKGROUND_PHRASES: dict[BackgroundKind, str] = {
    "solid": "{0} background",
    "gradient": "background fading from {0} to {1}",
    "stripes": "background with {0} and {1} stripes",
    "checks": "{0} and {1} checkered background",
    "dots": "{0} background with {1} dots",
}
_BACKGROUND_SHARES: dict[BackgroundKind, float] = {
    "solid": 0.82,
    "gradient": 0.06,
    "stripes": 0.04,
    "checks": 0.04,
    "dots": 0.04,
}

BOUNCES_PER_SECOND = 1.0
#: of an object that is alone, from and to, as shares of the frame; and how far a scene is from its middle
LONE_SIZES, FURTHEST = (0.8, 0.9), 0.03
#: share of the frame below which a sprite is halved before it is placed
HALVED_BELOW = 0.6

Motion = Literal["none", "left", "right", "up", "down", "grow", "shrink", "spin", "bounce"]
MOTION_PHRASES: dict[Motion, tuple[str, ...]] = {
    "none": ("",),
    "left": ("moving left", "moving to the left"),
    "right": ("moving right", "moving to the right"),
    "up": ("moving up", "rising"),
    "down": ("moving down", "sinking"),
    "grow": ("growing", "getting bigger"),
    "shrink": ("shrinking", "getting smaller"),
    "spin": ("spinning", "turning around"),
    "bounce": ("bouncing", "hopping up and down"),
}
MOTIONS: tuple[Motion, ...] = tuple(MOTION_PHRASES)
#: all that captions say of motion
MOTION_WORDS = tuple(phrase for phrases in MOTION_PHRASES.values() for phrase in phrases if phrase)

Relation = Literal["alone", "beside", "above", "row"]
#: of scenes with several objects
_RELATION_SHARES: dict[Relation, float] = {"beside": 4 / 9, "above": 3 / 9, "row": 2 / 9}
#: of all scenes
SEVERAL_SHARE = 0.09

#: what captions say of two objects, and where the first stands
RELATION_WORDS = {
    "to the left of": "left",
    "to the right of": "right",
    "above": "above",
    "below": "below",
}

T = TypeVar("T")


@dataclass(frozen=True)
class Sprite:
    """One animated object.

    Attributes:
        code: its code points, joined by ``-``.
        label: its Unicode name, the words that captions use.
        tags: other words for it, many of them shared with other objects.
        group: its Unicode group, such as ``animals-nature``.
        frames: uint8, t x s x s x 4, s one of ``SIZES``, premultiplied RGBA at 16 fps; loops.
    """

    code: str
    label: str
    tags: tuple[str, ...]
    group: str
    frames: np.ndarray


@dataclass(frozen=True)
class Background:
    """A kind of background and the names of its one or two colours."""

    kind: BackgroundKind
    colours: tuple[str, ...]


@dataclass(frozen=True)
class Scene:
    """What a composed clip shows.

    Attributes:
        objects: codes of the sprites; for ``beside`` from left to right, for ``above`` from the top down.
        relation: how they stand to each other.
        motion: the scripted motion of all of them together.
        size: width of an object, as a share of the frame, before the motion changes it.
        offset: displacement of the whole from the centre, (x, y) as shares of the frame.
    """

    objects: tuple[str, ...]
    relation: Relation
    background: Background
    motion: Motion
    size: float
    offset: tuple[float, float]


def is_held_out(*names: str) -> bool:
    """Whether what is called by these names, alone or together, is kept out of training."""
    digest = hashlib.blake2s("|".join(names).encode()).digest()
    return int.from_bytes(digest[:4], "little") / 2**32 < HELD_OUT_SHARE


def held_out_combinations(scene: Scene) -> list[str]:
    """Which held-out combinations the scene contains: of ``background``, ``motion`` and ``pair``."""
    found = []
    if any(is_held_out(code, colour) for code in scene.objects for colour in scene.background.colours):
        found.append("background")
    if scene.motion != "none" and any(is_held_out(code, scene.motion) for code in scene.objects):
        found.append("motion")
    if any(is_held_out(*pair) for pair in zip(scene.objects, scene.objects[1:], strict=False)):
        found.append("pair")
    return found


def _draw(rng: np.random.Generator, shares: dict[T, float]) -> T:
    return list(shares)[rng.choice(len(shares), p=list(shares.values()))]


def random_background(rng: np.random.Generator) -> Background:
    kind = _draw(rng, _BACKGROUND_SHARES)
    colours = rng.choice(list(COLOURS), 1 if kind == "solid" else 2, replace=False)
    return Background(kind, tuple(colours.tolist()))


def random_scene(
    rng: np.random.Generator, codes: Sequence[str], held_out: bool = False, several: float = SEVERAL_SHARE
) -> Scene:
    """Draw a scene from ``codes``; with ``held_out`` one that holds a held-out combination, else none.

    A share ``several`` of them has more than one object.
    """
    shares: dict[Relation, float] = {"alone": 1 - several}
    shares |= {relation: share * several for relation, share in _RELATION_SHARES.items()}
    while True:
        relation = _draw(rng, shares)
        count = 1 if relation == "alone" else 3 if relation == "row" else 2
        objects = tuple(codes[i] for i in rng.choice(len(codes), count, replace=False))
        background = random_background(rng)
        motion: Motion = "none" if rng.random() < 0.4 else MOTIONS[1 + int(rng.integers(len(MOTIONS) - 1))]
        size = float(rng.uniform(*LONE_SIZES) if count == 1 else 0.46 if count == 2 else 0.32)
        x, y = rng.uniform(-FURTHEST, FURTHEST, 2).tolist()
        scene = Scene(objects, relation, background, motion, size, (x, y))
        if bool(held_out_combinations(scene)) == held_out:
            return scene


def own_tags(sprites: Sequence[Sprite]) -> dict[str, tuple[str, ...]]:
    """For each code, the tags that no other sprite has and that are not words of its label: true synonyms."""
    counts = Counter(tag for sprite in sprites for tag in sprite.tags)
    labels = {sprite.label for sprite in sprites}
    return {
        sprite.code: tuple(
            tag
            for tag in sprite.tags
            if counts[tag] == 1 and tag not in labels and tag not in sprite.label.split()
        )
        for sprite in sprites
    }


def with_article(label: str) -> str:
    if label.endswith("s") and not label.endswith("ss"):
        return label
    return ("an " if label[0].lower() in "aeiou" else "a ") + label


def in_words(background: Background) -> str:
    """The background with its article, such as "an orange background"."""
    phrase = BACKGROUND_PHRASES[background.kind].format(*background.colours)
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def caption(
    scene: Scene,
    labels: dict[str, str],
    synonyms: dict[str, tuple[str, ...]] | None = None,
    rng: np.random.Generator | None = None,
) -> str:
    """The scene in words.

    Without ``rng`` the one canonical wording; with it, wordings vary: synonyms, word order, and now and
    then the background or the motion goes unsaid.
    """
    plain = rng is None
    rng = rng or np.random.default_rng(0)

    def name(code: str) -> str:
        options = () if plain or synonyms is None or rng.random() > 0.15 else synonyms[code]
        return with_article(str(rng.choice(options)) if options else labels[code])

    names = [name(code) for code in scene.objects]
    subject = {
        "alone": "{0}",
        "beside": "{0} to the left of {1}" if plain or rng.random() < 0.5 else "{1} to the right of {0}",
        "above": "{0} above {1}" if plain or rng.random() < 0.5 else "{1} below {0}",
        "row": "{0}, {1} and {2} in a row",
    }[scene.relation].format(*names)
    phrases = MOTION_PHRASES[scene.motion]
    motion = phrases[0] if plain else str(rng.choice(phrases))
    background = in_words(scene.background)
    if not plain and rng.random() < 0.04:
        motion = ""
    subject = f"{subject} {motion}".strip()
    if plain or (choice := rng.random()) < 0.75:
        return f"{subject} on {background}"
    return subject if choice < 0.8 else f"on {background}, {subject}"


def paint(background: Background, side: int) -> torch.Tensor:
    """3 x side x side, in [0, 1]."""
    first, last = (torch.tensor(COLOURS[background.colours[i]]) / 255.0 for i in (0, -1))
    y, x = torch.meshgrid(*[(torch.arange(side) + 0.5) / side] * 2, indexing="ij")
    share = {
        "solid": lambda: torch.zeros_like(y),
        "gradient": lambda: y,
        "stripes": lambda: ((x * 8) % 2 >= 1).float(),
        "checks": lambda: ((x * 6).floor() + (y * 6).floor()) % 2,
        "dots": lambda: (((x * 6) % 1 - 0.5) ** 2 + ((y * 6) % 1 - 0.5) ** 2 < 0.05).float(),
    }[background.kind]()
    return first[:, None, None] * (1 - share) + last[:, None, None] * share


def trajectory(scene: Scene, seconds: torch.Tensor, duration: float) -> tuple[torch.Tensor, ...]:
    """The group's centre x, y (shares of the frame from its centre), size and angle (radians) at times.

    Motions are not symmetric about their middle: where an object is in a single frame says something about
    where it is going, so that even an image model learns the words.
    """
    s = seconds / duration
    x, y = (torch.full_like(s, o) for o in scene.offset)
    size, angle = torch.full_like(s, scene.size), torch.zeros_like(s)
    path = 0.14 - 0.36 * s
    match scene.motion:
        case "left":
            x, size = x + path, size * 0.68
        case "right":
            x, size = x - path, size * 0.68
        case "up":
            y, size = y + path, size * 0.68
        case "down":
            y, size = y - path, size * 0.68
        case "grow":
            size = size * (0.5 + 0.6 * s)
        case "shrink":
            size = size * (0.9 - 0.55 * s)
        case "spin":
            size, angle = size * 0.9, 2 * torch.pi * s
        case "bounce":
            y, size = y + 0.16 - 0.32 * torch.sin(torch.pi * BOUNCES_PER_SECOND * seconds).abs(), size * 0.72
    return x, y, size, angle


def slots(scene: Scene) -> list[tuple[float, float]]:
    """Where each object stands within the group, in units of an object's size."""
    count = len(scene.objects)
    places = [(i - (count - 1) / 2) * 1.04 for i in range(count)]
    return [(0.0, place) if scene.relation == "above" else (place, 0.0) for place in places]


def render(
    scene: Scene, sprites: dict[str, Sprite], num_frames: int = CLIP_FRAMES, start: int = 0
) -> np.ndarray:
    """Frames ``start`` to ``start + num_frames`` of the scene: uint8, t x s x s x 3, at 16 fps.

    ``s`` is the side of its sprites.
    """
    side = sprites[scene.objects[0]].frames.shape[1]
    index = torch.arange(start, start + num_frames)
    x, y, size, angle = trajectory(scene, index / FPS, CLIP_FRAMES / FPS)
    canvas = paint(scene.background, side).expand(num_frames, -1, -1, -1)
    for code, (slot_x, slot_y) in zip(scene.objects, slots(scene), strict=True):
        frames = sprites[code].frames
        layer = to_layer(torch.from_numpy(frames[index.numpy() % len(frames)]), float(size.min()))
        canvas = place(layer, canvas, x + slot_x * size, y + slot_y * size, size, angle)
    return to_uint8(canvas)


def to_layer(frames: torch.Tensor, size: float) -> torch.Tensor:
    """Frames of a sprite as :func:`place` takes them, halved where they are shown much smaller.

    Args:
        frames: uint8, t x s x s x 4, premultiplied RGBA.
        size: the smallest at which they are shown, as a share of the canvas.
    """
    layer = frames.permute(0, 3, 1, 2) / 255.0
    return F.avg_pool2d(layer, 2) if size < HALVED_BELOW else layer


def place(
    layer: torch.Tensor,
    canvas: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    size: torch.Tensor,
    angle: torch.Tensor,
) -> torch.Tensor:
    """Frames of a sprite on a canvas: t x 3 x s x s, in [0, 1].

    Args:
        layer: t x 4 x h x w, in [0, 1], premultiplied RGBA.
        canvas: t x 3 x s x s, in [0, 1].
        x, y, size, angle: of each frame, as :func:`trajectory` gives them.
    """
    cos, sin = torch.cos(angle), torch.sin(angle)
    centre_x, centre_y = 2 * x, 2 * y
    rows = [
        torch.stack([cos, sin, -(cos * centre_x + sin * centre_y)], -1) / size[:, None],
        torch.stack([-sin, cos, -(-sin * centre_x + cos * centre_y)], -1) / size[:, None],
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [len(canvas), 4, *canvas.shape[2:]], align_corners=False)
    layer = F.grid_sample(layer, grid, align_corners=False)
    return layer[:, :3] + canvas * (1 - layer[:, 3:])


def to_uint8(canvas: torch.Tensor) -> np.ndarray:
    """t x 3 x h x w in [0, 1] as frames: t x h x w x 3."""
    return (canvas * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
