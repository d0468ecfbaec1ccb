"""Captions as people write prompts: the varied style, in place of the grammar of
:func:`lumiere.emoji.data.scenes.caption`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from lumiere.emoji.data.scenes import (
    CALM_COLOURS,
    MOTION_PHRASES,
    Background,
    Motion,
    Scene,
    Sprite,
    held_out_combinations,
    in_words,
    with_article,
)
from lumiere.emoji.vocabulary import ATTRIBUTES, OTHER_NAMES

#: shares of the captions of one object that name no background, that are of two of the same, and so on
UNSAID_BACKGROUND, TWO_ALIKE, OTHER_NAME, ADJECTIVE, OWN_ANIMATION, OPENING, BARE = (
    0.4, 0.04, 0.4, 0.3, 0.4, 0.12, 0.2,
)  # fmt: skip
#: objects that share a tag, at most, for it to name them
_MOST_SHARING = 3

_ADJECTIVES = (
    "cute", "little", "funny", "happy", "big", "tiny", "adorable", "lovely", "young", "small", "silly",
    "beautiful", "friendly", "fluffy", "cool",
)  # fmt: skip
_ANIMATIONS = (
    "dancing", "running", "walking", "moving", "waving", "playing", "wagging its tail", "looking around",
    "having fun", "that is dancing", "shaking its head", "in motion", "swimming", "flapping its wings",
    "roaring", "sleeping", "eating", "standing still",
)  # fmt: skip
_MOTIONS: dict[Motion, tuple[str, ...]] = {
    "left": ("running to the left", "going left", "walking left", "sliding left", "moves left"),
    "right": ("running to the right", "going right", "walking right", "sliding right", "moves right"),
    "up": ("going up", "flying up", "floating up", "moves up"),
    "down": ("going down", "falling", "falling down", "moves down"),
    "grow": ("becoming larger", "growing bigger", "getting larger"),
    "shrink": ("becoming smaller", "growing smaller"),
    "spin": ("rotating", "turning", "rolling", "spins"),
    "bounce": ("jumping", "hopping", "bounces", "jumping up and down"),
}
_OPENINGS = ("a video of", "an animation of", "a clip of", "video:", "show me", "animated", "a picture of")
_BACKGROUNDS = ("on {}", "on {}", "with {}", "against {}", "in front of {}", ", {}")


def names_of(sprites: Sequence[Sprite]) -> dict[str, tuple[str, ...]]:
    """For each code the words other than its label that name it: its tags that few share, and usual words."""
    counts = Counter(tag for sprite in sprites for tag in sprite.tags)
    labels = {sprite.label for sprite in sprites}
    return {
        sprite.code: tuple(
            dict.fromkeys(
                [
                    *(
                        tag
                        for tag in sprite.tags
                        if counts[tag] <= _MOST_SHARING and tag not in labels and tag not in ATTRIBUTES
                    ),
                    *OTHER_NAMES.get(sprite.label, ()),
                ]
            )
        )
        for sprite in sprites
    }


def plural(name: str) -> str:
    """The plural of an English name."""
    if name.endswith(("s", "sh", "ch", "x")):
        return name + ("" if name.endswith("s") and not name.endswith("ss") else "es")
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    irregular = {"mouse": "mice", "wolf": "wolves", "ox": "oxen", "goose": "geese", "sheep": "sheep"}
    return irregular.get(name, name + "s")


def varied(
    scene: Scene, labels: Mapping[str, str], names: Mapping[str, Sequence[str]], rng: np.random.Generator
) -> tuple[Scene, str]:
    """A scene and a caption of it as people write prompts.

    The scene is the given one, or differs in what the caption needs: one object may become two of the same,
    and where no background is named it is of one calm colour. It holds no held-out combination that the given
    one has not.

    Args:
        labels: of the objects, by code.
        names: other words for each object, as of :func:`names_of`.
    """
    if scene.relation == "alone" and rng.random() < TWO_ALIKE:
        two = replace(scene, objects=scene.objects * 2, relation="beside", size=0.46)
        scene = scene if held_out_combinations(two) else two
    unsaid = rng.random() < UNSAID_BACKGROUND
    if unsaid:
        calm = [replace(scene, background=Background("solid", (colour,))) for colour in CALM_COLOURS]
        allowed = [each for each in calm if not held_out_combinations(each)]
        unsaid = bool(allowed)
        scene = allowed[min(int(rng.geometric(0.6)), len(allowed)) - 1] if allowed else scene

    def name(code: str) -> str:
        said = str(rng.choice(names[code])) if names[code] and rng.random() < OTHER_NAME else labels[code]
        return f"{rng.choice(_ADJECTIVES)} {said}" if rng.random() < ADJECTIVE else said

    motion = ""
    if scene.motion != "none":
        motion = str(rng.choice((*MOTION_PHRASES[scene.motion], *_MOTIONS[scene.motion])))
    elif rng.random() < OWN_ANIMATION:
        motion = str(rng.choice(_ANIMATIONS))
    subject = _subject(scene, name, rng)
    if motion and " " not in motion and scene.relation == "alone" and rng.random() < 0.25:
        subject = with_article(f"{motion} {_without_article(subject)}")
    else:
        subject = f"{subject} {motion}".strip()
    text = subject
    if not unsaid:
        background = in_words(scene.background)
        if rng.random() < 0.15:
            text = f"on {background}, {subject}"
        else:
            text = f"{subject} {str(rng.choice(_BACKGROUNDS)).format(background)}".replace(" ,", ",")
    if rng.random() < OPENING:
        text = f"{rng.choice(_OPENINGS)} {text}"
    case = rng.random()
    text = text[0].upper() + text[1:] if case < 0.2 else text.upper() if case < 0.25 else text
    return scene, text + ("." if rng.random() < 0.1 else "")


def _subject(scene: Scene, name: Callable[[str], str], rng: np.random.Generator) -> str:
    if scene.relation == "alone":
        said = name(scene.objects[0])
        bare = rng.random()
        return said if bare < BARE else f"the {said}" if bare < BARE + 0.05 else with_article(said)
    names = [with_article(name(code)) for code in scene.objects]
    if scene.relation == "beside":
        if scene.objects[0] == scene.objects[1]:
            number = rng.choice(["two", "2", "a pair of", "a couple of"])
            return f"{number} {plural(name(scene.objects[0]))}"
        order = rng.random()
        if order < 0.3:
            return f"{names[0]} to the left of {names[1]}"
        if order < 0.6:
            return f"{names[1]} to the right of {names[0]}"
        return f"{names[0]} {rng.choice(['and', 'next to', 'beside', 'with'])} {names[1]}"
    if scene.relation == "above":
        if rng.random() < 0.5:
            return f"{names[0]} {rng.choice(['above', 'over', 'on top of'])} {names[1]}"
        return f"{names[1]} {rng.choice(['below', 'under'])} {names[0]}"
    row = "" if rng.random() < 0.5 else " in a row"
    return f"{names[0]}, {names[1]} and {names[2]}{row}"


def _without_article(name: str) -> str:
    first, _, rest = name.partition(" ")
    return rest if first in ("a", "an", "the") else name
