"""The grammar of the captions: the motion that a prompt names, its objects, and where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lumiere.emoji.data.scenes import MOTION_WORDS, RELATION_WORDS

#: words for motion that prompts use beside those of the captions
OTHER_WORDS = (
    "jumping", "running", "running to the left", "walking", "walking to the right", "flying", "flying up",
    "swimming", "dancing", "rotating", "rolling", "sliding left", "sliding right", "floating up",
    "falling down", "drifting", "going up", "going down", "going left", "going right", "becoming larger",
    "becoming smaller", "waving", "shaking", "stretching", "zooming in", "turning", "slowly moving left",
    "quickly moving right", "crawling", "standing still", "moving",
)  # fmt: skip
#: words for where the first of two objects stands that prompts use beside those of the captions
OTHER_RELATIONS = {
    "on the left of": "left",
    "on the right of": "right",
    "left of": "left",
    "right of": "right",
    "next to": "left",
    "beside": "left",
    "over": "above",
    "on top of": "above",
    "under": "below",
    "underneath": "below",
    "beneath": "below",
}

_BACKGROUND = re.compile(r"\bbackground\b", re.IGNORECASE)
# "On a red background", "with a background fading from red to blue".
_SETTING = (
    r"(?:on|with|against|in front of) (?:(?:an?|the) )?(?:(?!(?:on|of|with|to)\b)[\w-]+ ){0,5}?background"
    r"(?: fading from [\w-]+ to [\w-]+| with [\w-]+(?: and [\w-]+)? [\w-]+)?"
)
_BEFORE = re.compile(rf"{_SETTING}, ", re.IGNORECASE)
_AFTER = re.compile(rf",? {_SETTING}[.!]?$", re.IGNORECASE)
_ROW = re.compile(r" (?:in a row|side by side|(?:next to|beside) each other)(?!\w)", re.IGNORECASE)
# "A black and white cat" is one object: what follows has to have an article of its own.
_NEXT_OBJECT = re.compile(r" ?,(?: and)? (?=(?:an?|the) )| and (?=(?:an?|the) )", re.IGNORECASE)
_HAVING = re.compile(r" with ", re.IGNORECASE)


@dataclass(frozen=True)
class EmojiPromptParser:
    """A :class:`~lumiere.pipelines.prompt_parsing.PromptParser` of this grammar.

    Attributes:
        motion_words: of one motion each.
        relations: words between two objects, and where the first one stands: ``"left"``, ``"right"``,
            ``"above"`` or ``"below"``.
    """

    motion_words: Sequence[str] = (*MOTION_WORDS, *OTHER_WORDS)
    relations: Mapping[str, str] = field(default_factory=lambda: RELATION_WORDS | OTHER_RELATIONS)

    def split_objects(self, prompt: str) -> tuple[tuple[str, ...], ...]:
        return split_objects(prompt, self.relations, self.motion_words)

    def without_motion(self, prompt: str) -> str:
        return without_words(prompt, self.motion_words)


def without_words(text: str, words: Iterable[str]) -> str:
    """The text without these words, whole ones in any case; itself, if nothing would be left."""
    left = re.sub(rf"\s*{_any_of(words)}", "", text, flags=re.IGNORECASE).strip()
    return left or text


def split_objects(
    prompt: str, relations: Mapping[str, str], motion_words: Iterable[str] = ()
) -> tuple[tuple[str, ...], ...]:
    """What a prompt says of each of its objects, in rows as they stand in the frame; itself, if it is of one.

    ``"a cat to the left of a dog moving up on a red background"`` is ``"a cat moving up on a red
    background"`` and ``"a dog moving up on a red background"``: all stand before the same background, and
    motion that is said last is of all that have none of their own. Objects in a list, ``"a cat, a dog and a
    fish"``, stand in a row.

    Args:
        relations: words between two objects, and where they say that the first one stands: ``"left"``,
            ``"right"``, ``"above"`` or ``"below"``. What has words for several places is not taken apart, nor
            is any other prompt that could be read in two ways.
        motion_words: as of :func:`without_words`.
    """
    whole = ((prompt,),)
    if not relations:
        return whole
    text = " ".join(prompt.split())
    before = found[0] if (found := _BEFORE.match(text)) else ""
    after = found[0] if (found := _AFTER.search(text, len(before))) else ""
    objects, place = _apart(text[len(before) : len(text) - len(after)], relations)
    if len(objects) < 2 or not all(objects):
        return whole
    said = [
        each if _BACKGROUND.search(each) else f"{before}{each}{after}"
        for each in _all_moving(objects, motion_words)
    ]
    if len({bool(_BACKGROUND.search(each)) for each in said}) > 1:
        return whole
    if place in ("right", "below"):
        said.reverse()
    return (tuple(said),) if place in ("left", "right") else tuple((each,) for each in said)


def _apart(text: str, relations: Mapping[str, str]) -> tuple[list[str], str]:
    """The objects, none if the words are ambiguous, and where each stands relative to the next."""
    places = {words.lower(): place for words, place in relations.items()}
    listed = _ROW.sub("", text)
    if listed != text:
        *first, last = re.split(r" ?, (?:and )?", listed, flags=re.IGNORECASE)
        ended = _NEXT_OBJECT.split(last)
        return [*first, *(last.rsplit(" and ", 1) if first and len(ended) == 1 else ended)], "left"
    pieces = re.split(rf" ({_any_of(relations)}) ", text, flags=re.IGNORECASE)
    objects, said = pieces[::2], {places.get(words.lower()) for words in pieces[1::2]}
    if not said and not _HAVING.search(_BACKGROUND.split(text)[0]):
        return _NEXT_OBJECT.split(text), "left"
    place = said.pop() if len(said) == 1 else None
    if place is None or any(map(_NEXT_OBJECT.search, objects)):
        return [], ""
    return objects, place


def _all_moving(objects: Sequence[str], motion_words: Iterable[str]) -> list[str]:
    """The objects, of which those without a motion have the last one's."""
    motion = re.compile(_any_of(motion_words), re.IGNORECASE)
    last = re.search(rf"(?: (?:and )?{motion.pattern})+$", objects[-1], re.IGNORECASE)
    shared = last[0] if last else ""
    return [each if motion.search(each) else each + shared for each in objects]


def _any_of(words: Iterable[str]) -> str:
    """A pattern of whole words, the longest first."""
    longest_first = sorted(words, key=len, reverse=True)
    return rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)" if longest_first else "(?!)"
