"""Ordinary prompts in the words of the shipped model's captions.

The model was trained on captions of a small grammar (:func:`lumiere.emoji.data.scenes.caption`): objects by
their labels, a motion, a background. :class:`PromptRewriter` finds these in a prompt as people write it, in
any language of emojibase, and says them in that grammar.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from torch import Tensor

from lumiere.emoji.data.scenes import (
    CALM_COLOURS,
    COLOURS,
    MOTION_PHRASES,
    MOTION_WORDS,
    RELATION_WORDS,
    Motion,
    is_held_out,
    with_article,
)
from lumiere.emoji.vocabulary import (
    ATTRIBUTE,
    FOREIGN_LABEL,
    FOREIGN_TAG,
    LABEL,
    NAME,
    WORDS,
    Found,
    Vocabulary,
    folded,
    words_in,
)
from lumiere.errors import InputError
from lumiere.io import bundle
from lumiere.models.text import MiniLMTextEncoder

MOST_OBJECTS = 3
#: cosine of MiniLM's sentence vectors from which a word is taken for the nearest name
NEAR = 0.68

_COLOUR_WORDS: dict[str, str] = {
    "white": "blanc blanche blanco blanca weiß weiss weißer weißem weißen weisser weissem "
    "bianco bianca branco "
    "branca wit witte vit vitt biały białym белый белом 白 白色 ivory cream snowy beige",
    "black": "noir noire negro negra schwarz schwarzer schwarzem schwarzen nero nera preto "
    "preta zwart zwarte "
    "svart czarny czarnym чёрный черный чёрном черном 黑 黑色 黒 黒い dark ebony",
    "gray": "grey gris grau grauer grauem grauen grigio grigia cinza grijs grijze grå szary серый сером 灰色 "
    "silver charcoal slate",
    "red": "rouge rojo roja rot roter rotem roten rosso rossa vermelho vermelha rood rode röd rött czerwony "
    "czerwonym красный красном 红 红色 紅色 赤 赤い crimson scarlet maroon",
    "orange": "naranja arancione laranja oranje pomarańczowy оранжевый оранжевом 橙色 オレンジ "
    "brown tan amber",
    "yellow": "jaune amarillo amarilla gelb gelber gelbem gelben giallo gialla amarelo amarela geel gele gul "
    "gult żółty żółtym жёлтый желтый жёлтом желтом 黄色 黄 golden gold",
    "green": "vert verte verde grün gruen grüner grünem grünen groen groene grön grönt zielony "
    "zielonym зелёный "
    "зеленый зелёном зеленом 绿色 綠色 緑 olive lime emerald mint",
    "blue": "bleu bleue azul blau blauer blauem blauen blu blauw blauwe blå blått niebieski niebieskim синий "
    "синем голубой 蓝色 藍色 青 青い navy cyan turquoise teal azure aqua indigo",
    "purple": "violet violette morado morada púrpura lila violett violettem viola roxo roxa "
    "paars paarse lilla "
    "fioletowy фиолетовый фиолетовом 紫色 紫 lavender magenta mauve plum",
    "pink": "rose rosa roze różowy розовый розовом 粉色 粉红色 ピンク fuchsia",
}
_COLOUR_OF = {word: colour for colour, words in _COLOUR_WORDS.items() for word in [colour, *words.split()]}
_PLACES: dict[str, str] = {
    "green": "grass|field|meadow|lawn|jungle|forest|woods|rainforest|park|garden|swamp|farm",
    "blue": "sky|sea|ocean|water|underwater|lake|river|pond|pool|aquarium",
    "white": "snow|ice|arctic|winter|clouds?|fog",
    "black": "night|dark|darkness|space|outer space|cave|moonlight",
    "orange": "desert|sunset|sunrise",
    "yellow": "beach|sand|savannah?|sunshine|sun",
}
_BACKGROUND_NOUNS = (
    "background|backdrop|bg|wallpaper|wall|floor|screen|hintergrund|fond|arrière-plan|fondo|sfondo|fundo|"
    "achtergrond|bakgrund|bakgrunn|baggrund|tło|tle|фон|фоне|tausta|背景|배경"
)
#: what stands out badly from white: a quarter or more of its outline is white
_LIGHT = frozenset(
    [
        "polar bear", "swan", "rabbit face", "rabbit", "llama", "dove", "ewe", "cow", "ram", "raccoon",
        "spiral shell", "mouse face", "duck", "chicken", "poodle", "panda", "spider web",
    ]
)  # fmt: skip

_GOING = (
    r"(?:mov(?:e|es|ing)|go(?:es|ing)?|runn?(?:s|ing)?|walk(?:s|ing)?|slid(?:e|es|ing)|fly|flies|flying|"
    r"swimm?(?:s|ing)?|crawl(?:s|ing)?|drift(?:s|ing)?|float(?:s|ing)?|head(?:s|ing)|travel(?:s|l?ing)?|"
    r"dash(?:es|ing)|march(?:es|ing)?|gallop(?:s|ing)?|scroll(?:s|ing)?|jump(?:s|ing)?|climb(?:s|ing)?)"
)
_HOW = r"(?:(?:slowly|quickly|fast|gently|slightly|smoothly|away|off|straight|from (?:right|left)) )*"
_MOTION_PATTERNS: tuple[tuple[Motion, str], ...] = (
    ("left", rf"{_GOING} {_HOW}(?:(?:to|towards?) )?(?:the )?left(?:wards?)?(?! of)"),
    ("right", rf"{_GOING} {_HOW}(?:(?:to|towards?) )?(?:the )?right(?:wards?)?(?! of)"),
    ("bounce", r"(?:hop|jump|bounc|leap|skip)\w*(?: (?:up and down|around|with joy))?"),
    ("bounce", rf"{_GOING} up and down"),
    ("spin", r"(?:turn(?:s|ing)? (?:around|round)|spin(?:s|ning)?|rotat(?:e|es|ing)|twirl(?:s|ing)?|"
     r"whirl(?:s|ing)?|pirouett\w+|roll(?:s|ing)|turning|revolv(?:es|ing))"
     r"(?: around| round)?(?: and around)?"),
    ("up", rf"(?:{_GOING} {_HOW}(?:to the top|up(?:wards?)?)(?: (?:high )?(?:into|to) the (?:sky|air))?|"
     r"ris(?:es|ing)(?: up)?|ascend(?:s|ing)|tak(?:es|ing) off|soar(?:s|ing)(?: up)?)"),
    ("down", rf"(?:{_GOING} {_HOW}(?:to the bottom|down(?:wards?)?)|sink(?:s|ing)(?: down)?|"
     r"fall(?:s|ing)(?: down)?|descend(?:s|ing)|div(?:es|ing)(?: down)?|drop(?:s|ping)(?: down)?)"),
    ("grow", r"(?:(?:get(?:s|ting)?|becom(?:es|ing)|grow(?:s|ing)?) (?:bigger|larger|huge|big)"
     r"(?: and (?:bigger|larger))?|grow(?:s|ing)|expand(?:s|ing)|inflat(?:es|ing)|zoom(?:s|ing)? in)"),
    ("shrink", r"(?:(?:get(?:s|ting)?|becom(?:es|ing)) (?:smaller|tiny)(?: and smaller)?|shrink(?:s|ing)|"
     r"zoom(?:s|ing)? out)"),
)  # fmt: skip
# What objects do by themselves: it needs no scripted motion.
_OWN_MOTION = (
    r"(?:wag(?:s|ging)?|flap(?:s|ping)?|shak(?:es|ing)|wav(?:es|ing)|mov(?:es|ing)|nod(?:s|ding)?|"
    r"blink(?:s|ing)?|wiggl(?:es|ing)|open(?:s|ing)|spread(?:s|ing)?|stretch(?:es|ing)|stick(?:s|ing) out|"
    r"clos(?:es|ing)|snapp(?:s|ing)) (?:its|his|her|the|their) (?:\w+ )?"
    r"(?:tails?|wings?|heads?|ears?|arms?|legs?|eyes?|mouth|beak|tongue|paws?|nose|trunk|claws|tentacles|mane|"
    r"hands?|feet|hips|body|feathers|fins?)"
)
_RELATIONS = {
    **RELATION_WORDS,
    "on the left of": "left",
    "on the right of": "right",
    "left of": "left",
    "right of": "right",
    "on top of": "above",
    "on the back of": "above",
    "riding on": "above",
    "riding": "above",
    "rides": "above",
    "sitting on": "above",
    "standing on": "above",
    "over": "above",
    "on": "above",
    "under": "below",
    "underneath": "below",
    "beneath": "below",
}
_NUMBERS = {
    "2": 2, "two": 2, "pair": 2, "couple": 2, "both": 2, "twin": 2, "deux": 2, "zwei": 2, "dos": 2, "due": 2,
    "dois": 2, "duas": 2, "twee": 2, "två": 2, "to": 0, "dwa": 2, "два": 2, "две": 2, "3": 3, "three": 3,
    "trois": 3, "drei": 3, "tres": 3, "tre": 3, "drie": 3, "trzy": 3, "три": 3, "several": 3, "many": 3,
    "some": 0, "group": 3, "herd": 3, "flock": 3, "trio": 3, "bunch": 3, "pack": 3, "swarm": 3, "few": 3,
    "school": 3, "4": 4, "four": 4, "5": 5, "five": 5, "6": 6, "six": 6, "seven": 7, "eight": 8, "ten": 10,
    "hundred": 100, "vier": 4, "cinq": 5, "quatre": 4,
}  # fmt: skip
_JOINING = words_in(", & + and und et y e och og en i и 和 と with avec mit con plus ")
_ARTICLES = words_in("a an the one another un une ein eine einen der die das el la le una il lo um uma een ")
_ENGLISH = words_in(
    "a an the of on in with is are and at to for its his her their my that this from by it who while "
)
# Words that change nothing in the picture, and need no note.
_FILLING = (
    _ENGLISH
    | _ARTICLES
    | words_in(
        "i you we me us im i'm please can could would will want like show shows showing make makes "
        "making draw draws give create generate generated render let lets video videos clip clips "
        "picture image images photo photos gif animation animated animate movie footage film shot scene "
        "close up closeup close-up portrait of some any very so really just little small tiny big large "
        "huge giant cute adorable lovely funny silly happy sad angry friendly beautiful pretty nice cool "
        "cozy fluffy furry fuzzy soft sweet young old baby wild great majestic fat chubby lazy sleepy "
        "tired playful curious shy brave scary cheerful colorful colourful sleek plain simple solid "
        "bright light pale deep vivid calm clean around there here be being do does doing was has have "
        "having get gets getting as against before front behind into onto over out through across under "
        "near by side next each other together back forth away down left right slowly quickly fast "
        "gently happily softly proudly quietly loudly gracefully excitedly still all day long looking "
        "looks cartoon emoji 3d style hd 4k 8k cinematic realistic high quality resolution detailed "
        "smooth motion wow omg lol thanks hi hey hello one two moment while then when where what which "
        "your our mine single alone lone it's that's dont don't not no lots lot face head body tail eyes "
        "camera background backdrop wall sort kind piece time place something joyfully clearly calmly "
        "slow mo loop looping endless forever super extra tho idk plz pls ok okay pic pair couple both "
        "twin three four five six seven eight ten several many few group herd flock trio bunch pack "
        "swarm school des du de les dans sur avec qui et au aux mit auf dem den in von sich und ist "
        "kleiner kleine süßer süße süßes niedlicher niedliche del los las en con sobre que se está esta "
        "y un pequeño pequeña lindo linda petit petite mignon mignonne joli jolie che di su gli e "
        "piccolo piccola carino carina da na os em com pequeno pequena fofo fofa van het op met die "
        "leuke schattige som på med ett ei det och liten søt söt w z jest mały mała słodki в на и один "
        "одна милый милая маленький маленькая "
    )
)
_OWN_VERBS = re.compile(
    r"(?:danc|runn?|walk|swimm?|fl[yi]|roar|bark|meow|purr|sleep|eat|chew|munch|sit|sitt|stand|play|wav|shak|stretch|"
    r"crawl|drift|mov|laugh|smil|sing|blink|wink|yawn|stalk|slither|prowl|hunt|chas|howl|growl|buzz|gallop|trot|"
    r"graz|swing|climb|sway|wiggl|wobbl|wagg?|flapp?|look|star|breath|rest|relax|snor|cuddl|celebrat|party|jogg?|"
    r"strutt?|waddl|scurr|sneak|creep|hover|float|glid|nod|sniff|lick|drink|splash|paddl|lay|ly|jump|groov|zoom|"
    r"bob|parad|hang|peck|cluck|quack|squeak|hiss|chirp|tweet|croak|bounc|spin|dash|hurr|rush)"
    r"(?:e|s|es|ies|y|ed|ing)?"
)
# Compounds that are no animals.
_NO_OBJECTS = re.compile(
    r"\b(?:hot dogs?|(?:bull|bear) markets?|(?:computer|optical|wireless|gaming) (?:mouse|mice)|mouse ?pads?|"
    r"horse ?power|pig iron|bat ?mobile|baseball bats?|cricket bats?|software bugs?|rat race|monkey wrench|"
    r"(?:dog|bird|chicken) house|fish and chips|chicken (?:soup|nuggets|curry))\b"
)
# A letter, or a mark of a script that writes its vowels as marks.
_LETTER = r"(?:[^\W_]|[\u0300-\u036f\u0900-\u0dff\u0e00-\u0e7f])"
_TOKEN = re.compile(rf"{_LETTER}+(?:['.-]{_LETTER}+)*|[,;&+]")


@dataclass(frozen=True)
class Rewritten:
    """A prompt for the model.

    Attributes:
        prompt: what the model gets.
        notes: which of the user's words it does not get, and why.
        codes: of the objects, in the order of the prompt; empty for one that was in the grammar.
    """

    prompt: str
    notes: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()


@dataclass
class _Mention:
    """An object in a prompt, at its words ``begin`` to ``end``."""

    found: Found
    begin: int
    end: int
    count: int = 1
    motion: str = ""
    note: str = ""


@dataclass
class _Text:
    """Words of a prompt, each of which is used at most once."""

    words: list[str]
    used: set[int] = field(default_factory=set)

    def free(self, begin: int, end: int) -> bool:
        return not self.used.intersection(range(begin, end))


class PromptRewriter:
    """Rewrites prompts for one model.

    Args:
        vocabulary: of the model's objects.
    """

    def __init__(self, vocabulary: Vocabulary):
        self.vocabulary = vocabulary
        self.objects = vocabulary.objects

    @classmethod
    def from_bundle(cls, folder: Path) -> PromptRewriter | None:
        """The rewriter of a bundle, None if it has no ``words.json``.

        Raises:
            InputError: a file of the bundle is no JSON.
        """
        if not (folder / WORDS).is_file():
            return None
        return cls(Vocabulary(bundle.objects(folder), bundle.read_json(folder / WORDS)))

    def __call__(self, prompt: str, default_background: bool = True) -> Rewritten:
        """Rewrite a prompt; one that is in the grammar, background and all, is returned as it is.

        Args:
            default_background: add a background, if the prompt names none: plain white, or a plain colour
                that the object stands out from.

        Raises:
            InputError: it names nothing near an object of the model.
        """
        if not prompt.strip() or self.grammar.fullmatch(prompt):
            return Rewritten(prompt)
        notes: list[str] = []
        text, background = _without_background(self._without_emoji(prompt), notes)
        text = _NO_OBJECTS.sub(lambda found: found[0].replace(" ", "-"), text)
        bare, motions = _without_motions(text)
        said = _Text(_TOKEN.findall(bare))
        mentions = self._mentions(said)
        if not mentions and motions:  # "spin" is a spider in Dutch
            as_name = _Text(_TOKEN.findall(text))
            if mentions := self._mentions(as_name):
                said, motions = as_name, {}
        if not mentions:
            mentions = self._by_vectors(said)
        if not mentions:
            raise InputError(self._refusal(prompt, said))
        mentions = _counted(said, mentions, notes)
        notes += [each.note for each in mentions if each.note]
        subject = self._subject(said, mentions, motions)
        notes += self._unknown(said, mentions)
        if not background and default_background:
            background = f"on {self._calm([each.found.code for each in mentions])}"
        codes = tuple(each.found.code for each in mentions)
        return Rewritten(f"{subject} {background}".strip(), tuple(dict.fromkeys(notes)), codes)

    @cached_property
    def grammar(self) -> re.Pattern[str]:
        """What a caption with a background matches."""
        name = _any(with_article(label) for label in self.objects.values())
        relation = _any(RELATION_WORDS)
        colour = _any(COLOURS)
        background = (
            rf"an? (?:{colour} background(?: with {colour} dots)?|"
            rf"background fading from {colour} to {colour}|"
            rf"background with {colour} and {colour} stripes|{colour} and {colour} checkered background)"
        )
        subject = rf"{name}(?: {relation} {name}|, {name} and {name} in a row)?(?: {_any(MOTION_WORDS)})?"
        return re.compile(rf"{subject} on {background}|on {background}, {subject}")

    def _without_emoji(self, prompt: str) -> str:
        """Lower case, with labels for emoji characters if no word names an object."""
        text = re.sub(r"'s face\b", " face", folded(prompt).replace("\ufe0f", ""))
        known = _any(self.vocabulary.emoji)
        spelt = re.sub(known, lambda found: f" , a {self.objects[self.vocabulary.emoji[found[0]]]} ", text)
        if spelt == text:
            return text
        bare = re.sub(known, " ", text)
        words = _TOKEN.findall(_without_background(bare, [])[0])
        if _JOINING.union(_FILLING, _NUMBERS).issuperset(words):
            return folded(spelt)
        named = self._mentions(_Text(words))
        return bare if any(each.found.rank <= FOREIGN_LABEL for each in named) else folded(spelt)

    def _mentions(self, said: _Text) -> list[_Mention]:
        """Objects that words name, in their order; their words are used up."""
        words = said.words
        whole = [word for word in words if word != ","]
        content = [i for i, word in enumerate(words) if word not in _FILLING and word not in _JOINING]
        if whole and (found := self.vocabulary.exact(whole)) and found.rank != LABEL:
            return [self._mention(said, found, 0, len(words))]
        english = bool(_ENGLISH.intersection(words))
        all_found = self._candidates(said)
        strong = [each for each in all_found if each.found.rank <= NAME]
        foreign = [each for each in all_found if each.found.rank == FOREIGN_LABEL]
        chosen = strong + [each for each in foreign if not (english and strong)]
        if not chosen:
            chosen = self._misspelt(said, content)
        if not chosen:
            chosen = self._within(said)
        if not chosen and not english:
            chosen = [each for each in all_found if each.found.rank == FOREIGN_TAG][:1]
        if not chosen:
            described = [each for each in all_found if each.found.rank == ATTRIBUTE]
            chosen = self._described(said, described, content)
        elif chosen[0].found.rank <= NAME:
            known = {i for each in chosen for i in range(each.begin, each.end)}
            chosen += self._misspelt(said, [i for i in content if i not in known])
        chosen = self._apart(said, chosen)
        for each in chosen:
            if said.words[each.end : each.end + 1] == ["face"]:
                each.end += 1
                each.found = replace(each.found, code=self._faces.get(each.found.code, each.found.code))
            said.used.update(range(each.begin, each.end))
        return chosen

    @cached_property
    def _faces(self) -> dict[str, str]:
        """Of objects that there is the face of, that."""
        codes = {label: code for code, label in self.objects.items()}
        return {codes[label]: codes[f"{label} face"] for label in codes if f"{label} face" in codes}

    def _mention(self, said: _Text, found: Found, begin: int, end: int) -> _Mention:
        words, label = " ".join(said.words[begin:end]), self.objects[found.code]
        note = ""
        if found.rank in (NAME, FOREIGN_TAG, ATTRIBUTE) and not self._names_it(found, words):
            note = f"'{words}' is drawn as {with_article(label)}"
        return _Mention(found, begin, end, note=note)

    def _names_it(self, found: Found, words: str) -> bool:
        """Whether the words are emojibase's own for the object, so that no note is needed."""
        return found.rank == NAME and self.vocabulary.is_tag(found.code, words)

    def _candidates(self, said: _Text) -> list[_Mention]:
        """The longest names at every place, of all ranks."""
        words, found, at = said.words, [], 0
        while at < len(words):
            for length in range(min(self.vocabulary.longest, len(words) - at), 0, -1):
                phrase = words[at : at + length]
                if length == 1 and (phrase[0] in _JOINING or (phrase[0] in _FILLING and phrase[0] != "baby")):
                    continue
                if match := self.vocabulary.exact(phrase):
                    found.append(self._mention(said, match, at, at + length))
                    at += length - 1
                    break
            at += 1
        return found

    def _misspelt(self, said: _Text, content: Sequence[int]) -> list[_Mention]:
        """Objects whose names are misspelt; words that the text encoder knows are not."""
        found = []
        for i in content:
            word = said.words[i]
            if _is_motion(word) or word in _COLOUR_OF or self._is_word(word):
                continue
            if match := self.vocabulary.misspelt(word):
                found.append(_Mention(match, i, i + 1))
        return found

    def _within(self, said: _Text) -> list[_Mention]:
        """Objects in words of scripts that set none apart."""
        found = []
        for i, word in enumerate(said.words):
            found += [_Mention(match, i, i + 1) for _, _, match in self.vocabulary.within(word)]
        return found

    def _described(self, said: _Text, found: Sequence[_Mention], content: Sequence[int]) -> list[_Mention]:
        """The object that most words describe, if these are all that the prompt says, or there are "
        "several."""
        if not found:
            return []
        words = [" ".join(said.words[each.begin : each.end]) for each in found]
        shares = {
            code: sum(
                1 / self.vocabulary.sharing(word) for word in words if self.vocabulary.shares(code, word)
            )
            for code in self.objects
        }
        code = max(shares, key=shares.__getitem__)
        described = [w for w in words if self.vocabulary.shares(code, w) and self.vocabulary.sharing(w) < 8]
        if len(described) < 2 and len(content) > len(found):
            return []
        label = with_article(self.objects[code])
        first = found[0]
        for each in found:
            said.used.update(range(each.begin, each.end))
        note = f"'{' '.join(words)}' is drawn as {label}"
        return [_Mention(Found(code, ATTRIBUTE), first.begin, first.end, note=note)]

    def _apart(self, said: _Text, chosen: Sequence[_Mention]) -> list[_Mention]:
        """Of names that stand together, such as "puppy dog" and "spider monkey", the one that is meant."""
        kept: list[_Mention] = []
        for each in sorted(chosen, key=lambda each: each.begin):
            between = said.words[kept[-1].end : each.begin] if kept else []
            if (
                not kept
                or set(between) & (_JOINING | _ARTICLES | _NUMBERS.keys())
                or each.begin < kept[-1].end
            ):
                kept.append(each)
                continue
            last = kept[-1]
            if between and each.found.rank <= NAME and not set(between) <= _FILLING:
                kept.append(each)
                continue
            mine, its = (" ".join(said.words[one.begin : one.end]) for one in (each, last))
            said.used.update(range(last.begin, each.end))
            if between:
                kept.append(each)
            elif not self.vocabulary.shares(last.found.code, mine) or (
                self.vocabulary.shares(each.found.code, its) and each.found.rank < last.found.rank
            ):
                kept[-1] = each
        return kept

    def _is_word(self, word: str) -> bool:
        """Whether a word is one of the text encoder's own, and so no misspelt name."""
        vocabulary = self._tokens
        return word in vocabulary or any(
            word.endswith(ending) and word[: -len(ending)] in vocabulary for ending in ("s", "es", "'s")
        )

    @cached_property
    def _encoder(self) -> MiniLMTextEncoder:
        return MiniLMTextEncoder()

    @cached_property
    def _tokens(self) -> Mapping[str, int]:
        tokens: dict[str, int] = self._encoder.tokenizer.get_vocab()
        return tokens

    def _similarities(self, phrases: Sequence[str]) -> list[list[tuple[float, str, str]]]:
        """For each phrase, English names by their similarity: (cosine, name, code)."""
        names, vectors = self._names
        found = _vectors(self._encoder, phrases) @ vectors.T
        return [
            sorted(((float(s), *name) for s, name in zip(row, names, strict=True)), reverse=True)
            for row in found
        ]

    @cached_property
    def _names(self) -> tuple[list[tuple[str, str]], Tensor]:
        names = self.vocabulary.english_names()
        return names, _vectors(self._encoder, [name for name, _ in names])

    def _by_vectors(self, said: _Text) -> list[_Mention]:
        """The object whose name is nearest, by the text encoder, to a word of the prompt."""
        places = [i for i, word in enumerate(said.words) if self._may_name(word)]
        phrases = [(i, i + 1) for i in places] + [(i, i + 2) for i in places if i + 1 in places]
        if not phrases:
            return []
        texts = [" ".join(said.words[begin:end]) for begin, end in phrases]
        best = [each[0] for each in self._similarities(texts)]
        number = max(range(len(best)), key=lambda i: best[i][0])
        similarity, _, code = best[number]
        if similarity < NEAR:
            return []
        begin, end = phrases[number]
        said.used.update(range(begin, end))
        note = (
            f"'{texts[number]}' is not known to this model; the nearest is {with_article(self.objects[code])}"
        )
        return [_Mention(Found(code, NAME), begin, end, note=note)]

    def _may_name(self, word: str) -> bool:
        return (
            len(word) > 2
            and word not in _FILLING
            and word not in _JOINING
            and word not in _COLOUR_OF
            and not _is_motion(word)
        )

    def _refusal(self, prompt: str, said: _Text) -> str:
        text = " ".join(word for word in said.words if self._may_name(word)) or prompt
        near = dict.fromkeys(self.objects[code] for _, _, code in self._similarities([text])[0])
        some = list(near)[:3] or [self.objects[code] for code in list(self.objects)[:3]]
        return (
            f"the prompt {prompt!r} names nothing that this model knows; the nearest are {', '.join(some)} "
            "(`lumiere words` lists all; --no-rewrite passes the prompt as it is)"
        )

    def _subject(self, said: _Text, mentions: Sequence[_Mention], motions: Mapping[int, Motion]) -> str:
        """The objects with their motion, as a caption says them."""
        names = [with_article(self.objects[each.found.code]) for each in mentions]
        markers = [(i, motion) for i, word in enumerate(said.words) if (motion := _marked(word, motions))]
        said.used.update(i for i, _ in markers)
        phrase = MOTION_PHRASES[markers[0][1]][0] if markers else ""
        if len(names) == 1:
            return f"{names[0]} {phrase}".strip()
        places = []
        for first, second in pairwise(mentions):
            between = " ".join(
                word for word in said.words[first.end : second.begin] if not _marked(word, motions)
            )
            found = re.search(rf"(?<!\w){_any(_RELATIONS)}(?!\w)", between)
            said.used.update(range(first.end, second.begin))
            places.append(_RELATIONS[found[0]] if found else "beside")
        relation = {"left": "to the left of", "right": "to the right of", "beside": "to the left of"}
        if len(names) == 2:
            each = relation.get(places[0], places[0])
            return f"{names[0]} {each} {names[1]} {phrase}".strip()
        if set(places) in ({"above"}, {"below"}):
            return f"{f' {places[0]} '.join(names)} {phrase}".strip()
        return f"{', '.join(names[:-1])} and {names[-1]} in a row {phrase}".strip()

    def _calm(self, codes: Sequence[str]) -> str:
        light = any(self.objects[code] in _LIGHT for code in codes)
        colours = [each for each in CALM_COLOURS if not (light and each == "white")]
        trained = (c for c in colours if not any(is_held_out(code, c) for code in codes))
        return f"a {next(trained, colours[0])} background"

    def _unknown(self, said: _Text, mentions: Sequence[_Mention]) -> list[str]:
        """Notes on words that say nothing to the model."""
        spans = {i for each in mentions for i in range(each.begin, each.end)}
        notes = []
        for i, word in enumerate(said.words):
            if i in spans or i in said.used or not re.search(r"\w", word) or word in _NUMBERS:
                continue
            if word in _COLOUR_OF:
                notes.append(f"the colour '{word}' is ignored: objects have their own colours")
            elif len(word) > 1 and self._may_name(word):
                notes.append(f"'{word}' is not known to this model and is ignored")
        return notes


def _any(words: Iterable[str]) -> str:
    return "(?:" + "|".join(map(re.escape, sorted(words, key=len, reverse=True))) + ")"


def _is_motion(word: str) -> bool:
    return bool(_OWN_VERBS.fullmatch(word)) or word.startswith(_MARK)


_MARK = "motion0"


def _marked(word: str, motions: Mapping[int, Motion]) -> Motion | None:
    return motions[int(word[len(_MARK) :])] if word.startswith(_MARK) else None


def _without_motions(text: str) -> tuple[str, dict[int, Motion]]:
    """Text with a mark in place of each scripted motion, and what objects do by themselves left out."""
    text = " ".join(text.split())
    text = re.sub(rf"(?<!\w){_OWN_MOTION}(?!\w)", " ", text)
    text = re.sub(r"\b(?:stand|sitt|stay)\w* still\b", " ", " ".join(text.split()))
    found: dict[int, Motion] = {}
    for motion, pattern in _MOTION_PATTERNS:

        def mark(match: re.Match[str], motion: Motion = motion) -> str:
            found[len(found)] = motion
            return f" {_MARK}{len(found) - 1} "

        text = re.sub(rf"(?<![\w-]){pattern}(?![\w-])", mark, text)
    return text, found


def _without_background(text: str, notes: list[str]) -> tuple[str, str]:
    """The prompt without its background, and that in the grammar's words, empty if there is none."""
    text = " ".join(text.split())
    colour, noun = _any(_COLOUR_OF), f"(?:{_BACKGROUND_NOUNS})"
    opening = (
        r"(?:,? ?(?:on|with|against|in front of|over|in|auf|vor|sur|sobre|en|con|em|su|op|på|на|mit|avec) )?"
    )
    article = r"(?:(?:an?|the|its?|un|une|einem|ein|el|la|le|uno|um|een|en|et|ett|his|her) )?"
    how = r"(?:(?:plain|solid|simple|bright|light|pale|dark|deep|vivid|clean|calm|neon|pastel|soft) )*"
    forms = (
        (rf"background fading from ({colour}) to ({colour})", "a background fading from {0} to {1}"),
        (rf"({colour})(?: to | and |-to-|-)({colour}) gradient(?: {noun})?",
         "a background fading from {0} to {1}"),
        (rf"{noun} with ({colour}) and ({colour}) stripes", "a background with {0} and {1} stripes"),
        (rf"({colour}) and ({colour}) strip(?:ed|es)(?: {noun})?", "a background with {0} and {1} stripes"),
        (rf"({colour}) and ({colour}) (?:checkered|checked|checkerboard) {noun}",
         "a {0} and {1} checkered background"),
        (rf"({colour}) {noun} with ({colour}) (?:polka )?dots", "a {0} background with {1} dots"),
        (rf"({colour})(?:[- ]colou?red)? ?{noun}", "a {0} background"),
        (rf"{noun},? (?:is |in |of |de color |de |colou?r )?({colour})", "a {0} background"),
    )  # fmt: skip
    for pattern, wording in forms:
        match = re.search(rf"(?<!\w){opening}{article}{how}{pattern}(?!\w),?", text)
        if match:
            colours = [_COLOUR_OF[each] for each in match.groups()]
            if len(set(colours)) < len(colours):
                colours, wording = colours[:1], "a {0} background"
            said = wording.format(*colours).replace("a orange", "an orange")
            return text[: match.start()] + " " + text[match.end() :], f"on {said}"
    match = re.search(
        rf"(?<!\w)(?:on|against|in front of) (?:an? )?(?:plain |solid |bright )?({colour})[.!]?$", text
    )
    if match:
        said = f"a {_COLOUR_OF[match[1]]} background".replace("a orange", "an orange")
        return text[: match.start()], f"on {said}"
    for colour, places in _PLACES.items():
        match = re.search(
            r"(?<!\w)(?:(?:in|on|at|through|across|under|into|over|against|by|during) )"
            rf"(?:(?:the|an?|some|outer) )?(?:[\w-]+ )??(?:{places})(?!\w)|(?<!\w)underwater(?!\w)",
            text,
        )
        if match and (colour == "blue" or "underwater" not in match[0]):
            said = f"a {colour} background".replace("a orange", "an orange")
            notes.append(f"'{match[0].strip()}' is drawn as {said}")
            return text[: match.start()] + " " + text[match.end() :], f"on {said}"
    return text, ""


def _counted(said: _Text, mentions: Sequence[_Mention], notes: list[str]) -> list[_Mention]:
    """The mentions as often as their numbers say, at most ``MOST_OBJECTS`` altogether."""
    several: list[_Mention] = []
    begin = 0
    for each in mentions:
        before = said.words[max(begin, each.begin - 4) : each.begin]
        numbers = [_NUMBERS[word] for word in before if _NUMBERS.get(word)]
        several += [each] * max(numbers[-1] if numbers else 1, 2 if each.found.plural else 1)
        begin = each.end
    if len(several) > MOST_OBJECTS:
        notes.append(f"{len(several)} objects are too many; the first {MOST_OBJECTS} are drawn")
    return several[:MOST_OBJECTS]


def _vectors(encoder: MiniLMTextEncoder, texts: Sequence[str]) -> Tensor:
    """Sentence vectors, the normalised means of the encoder's states: n x d."""
    states = encoder(list(texts)).float()
    there = states.abs().sum(-1, keepdim=True) > 0
    means = (states * there).sum(1) / there.sum(1).clamp(min=1)
    return means / means.norm(dim=-1, keepdim=True).clamp(min=1e-6)
