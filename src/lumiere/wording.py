"""What a prompt says, taken apart by the words of a model's captions: its motion, and where objects stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_ROW = re.compile(r"\s+in a row(?!\w)", re.IGNORECASE)
_COMMA_OR_AND = re.compile(r",\s*(?:and\s+)?|\s+and\s+", re.IGNORECASE)
# "A black and white cat" is one object: what follows has to have an article of its own.
_BEFORE_AN_ARTICLE = re.compile(r"(?:,\s*(?:and\s+)?|\s+and\s+)(?=(?:an?|the)\s)", re.IGNORECASE)
_SETTING = r"(?:on|with|against) (?:an?|the) [^,]*\bbackground\b[^,]*"
_SET = re.compile(
    rf"^(?P<before>{_SETTING},\s+)?(?P<subject>.*?)(?P<after>,?\s+{_SETTING})?$", re.IGNORECASE | re.DOTALL
)


def without_words(text: str, words: Iterable[str]) -> str:
    """The text without these words, whole ones in any case; itself, if nothing would be left."""
    left = re.sub(rf"\s*{_any_of(words)}", "", text, flags=re.IGNORECASE).strip()
    return left or text


def arranged(
    prompt: str, relations: Mapping[str, str], motion_words: Iterable[str] = ()
) -> tuple[tuple[str, ...], ...]:
    """What a prompt says of each of its objects, in rows as they stand in the frame; itself, if it is of one.

    ``"a cat to the left of a dog moving up on a red background"`` is ``"a cat moving up on a red
    background"`` and ``"a dog moving up on a red background"``: all stand before the same background, and
    motion that is said of the last alone is of all. Objects in a list, ``"a cat, a dog and a fish"``, stand
    in a row.

    Args:
        relations: words between two objects, and where they say that the first one stands: ``"left"``,
            ``"right"``, ``"above"`` or ``"below"``. What has words for several places is not taken apart.
        motion_words: as of :func:`without_words`.
    """
    found = _SET.match(prompt.strip())
    if found is None or not relations:
        return ((prompt,),)
    before, subject, after = found["before"] or "", found["subject"], found["after"] or ""
    pieces = re.split(rf"\s*({_any_of(relations)})\s*", subject, flags=re.IGNORECASE)
    objects = pieces[::2]
    place_of = {words.lower(): place for words, place in relations.items()}
    places = {place_of[words.lower()] for words in pieces[1::2]}
    if not places:
        listed = _ROW.sub("", subject)
        objects = (_BEFORE_AN_ARTICLE if listed == subject else _COMMA_OR_AND).split(listed)
        places = {"left"}
    if len(objects) == 1 or len(places) > 1 or not all(each.strip() for each in objects):
        return ((prompt,),)
    place = places.pop()
    motion = re.search(_any_of(motion_words), objects[-1], re.IGNORECASE)
    if motion is not None:
        moving = [without_words(each, motion_words) != each for each in objects]
        objects = [
            each if moves else f"{each} {motion[0]}" for each, moves in zip(objects, moving, strict=True)
        ]
    said = [f"{before}{each}{after}" for each in objects]
    if place in ("right", "below"):
        said.reverse()
    return (tuple(said),) if place in ("left", "right") else tuple((each,) for each in said)


def _any_of(words: Iterable[str]) -> str:
    """A pattern of whole words, the longest first."""
    longest_first = sorted(words, key=len, reverse=True)
    return rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)" if longest_first else "(?!)"
