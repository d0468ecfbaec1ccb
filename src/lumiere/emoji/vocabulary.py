"""Names of a model's objects in many languages, from emojibase, and the objects that words name."""

from __future__ import annotations

import json
import re
import tarfile
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

#: a bundle's file: for each code the label and tags of each language
WORDS = "words.json"
Names = dict[str, dict[str, list[str]]]


def words_in(text: str) -> frozenset[str]:
    """The words of a text that spaces set apart."""
    return frozenset(text.split())


# Tags that describe an object and do not name it: they count only if they are all that a prompt says.
ATTRIBUTES = words_in(
    "accessibility adorbs alpha animal animals antarctica arctic assistance australia baa baby bacon "
    "bamboo banana beach bearer big bisque bite black blind cancer claws colorful creature curious dam "
    "desert dinner dressage disease down dying egg extinction face fairy fairytale farm feet female "
    "fever fishing flamboyant fluffy food "
    "front-facing garden gobble growl guide halloween hatching herd honey hump "
    "insect jump knights lady large lazy leo malaria male mane milk meow moo nature newborn nose ocean "
    "one order ornithology ostentatious peace pest pester pet pirate playful polar pork predator pretty "
    "print prints proud racing rawr rex roar rotting safari science sea service slow sly small smell "
    "spiny spiral spots spouting spring stink stripe strong t tale talk teeth thanksgiving tropical tusk "
    "two two-hump ugly under unlucky vampire virus water wilted white wise wool wooly zodiac zoo "
)
_WORDS_FOR = {
    "rat": "rodent",
    "mouse": "mice",
    "ox": "bull,steer,bullock",
    "cow": "cattle,calf,heifer",
    "tiger": "tiger cub,bengal tiger",
    "leopard": "jaguar,cheetah,panther,puma,cougar,lynx,snow leopard",
    "rabbit": "hare",
    "cat": "siamese,persian cat,maine coon,tabby,tomcat,feline,pussycat,ginger cat,moggy",
    "cat face": "kittycat",
    "black cat": "panther cat",
    "crocodile": "alligator,gator,croc,caiman",
    "whale": "blue whale,humpback,humpback whale,orca,killer whale,sperm whale",
    "snake": "python,cobra,viper,rattlesnake,anaconda,boa",
    "horse": "donkey,mule,pony,stallion,mare,foal,mustang",
    "ram": "bighorn",
    "goat": "billy goat,kid goat",
    "ewe": "sheep,lambkin",
    "monkey": "gibbon,lemur,mandrill,capuchin,chimp,chimpanzee,ape,macaque,baboon",
    "rooster": "cockerel",
    "chicken": "hen",
    "dog": "terrier,bulldog,chihuahua,collie,spaniel,pug,rottweiler,dalmatian,hound,doggo,doggy,doggie,"
    "canine,labrador,retriever,golden retriever,husky,corgi,beagle,"
    "german shepherd,dachshund,mutt,shiba,shiba inu,puppy dog,greyhound",
    "dog face": "pup,pupper",
    "pig": "hog,piglet,swine,piggy",
    "boar": "wild boar,warthog",
    "octopus": "jellyfish,kraken",
    "spiral shell": "seashell,sea shell,snail shell",
    "bug": "centipede,millipede,caterpillar,bugs",
    "honeybee": "wasp,hornet",
    "fish": "eel,herring,piranha,trout,salmon,cod,carp,tuna",
    "tropical fish": "clownfish,goldfish,angelfish,nemo",
    "blowfish": "pufferfish,puffer fish,puffer,fugu",
    "turtle": "sea turtle",
    "baby chick": "chickie,ducky",
    "bird": "woodpecker,heron,stork,crane,canary,blue jay,swallow,magpie,starling,"
    "sparrow,robin,crow,raven,finch,songbird,birdie,seagull,gull,hummingbird",
    "penguin": "emperor penguin",
    "koala": "koala bear",
    "camel": "camels",
    "dolphin": "porpoise",
    "frog": "toad,tree frog,bullfrog,froggy,tadpole",
    "hamster": "capybara,guinea pig,gerbil",
    "wolf": "coyote,werewolf,jackal",
    "bear": "teddy,brown bear,grizzly bear,bear cub,black bear",
    "panda": "panda bear,giant panda",
    "paw prints": "pawprint,footprints",
    "chipmunk": "squirrel,red squirrel",
    "dove": "pigeon",
    "spider": "tarantula,arachnid",
    "spider web": "spiderweb,cobweb",
    "wilted flower": "wilted rose,dead flower,rose,flower",
    "lion": "lioness,lion cub",
    "unicorn": "unicorns",
    "eagle": "hawk,falcon,bald eagle,vulture",
    "duck": "mallard",
    "shark": "great white,hammerhead,great white shark",
    "owl": "owlet",
    "butterfly": "moth,monarch",
    "deer": "stag,reindeer,moose,elk,doe,fawn,bambi,antelope,gazelle",
    "lizard": "gecko,chameleon,iguana,salamander",
    "rhinoceros": "rhino",
    "shrimp": "prawn,krill",
    "squid": "cuttlefish,calamari",
    "hedgehog": "porcupine",
    "sauropod": "dino,triceratops,stegosaurus,long neck dinosaur",
    "T-Rex": "velociraptor,raptor,trex,t rex,tyrannosaurus rex",
    "cricket": "locust",
    "kangaroo": "wallaby,roo",
    "peacock": "peafowl",
    "parrot": "toucan,budgie,cockatiel,macaw,cockatoo,parakeet",
    "raccoon": "racoon,trash panda",
    "lobster": "crayfish,crawfish",
    "mosquito": "gnat",
    "microbe": "germ,amoeba,bacterium",
    "mammoth": "woolly mammoth",
    "otter": "weasel,ferret,mongoose,meerkat,sea otter",
    "orangutan": "orang utan,orang-utan",
    "skunk": "skunks",
    "fly": "housefly",
    "worm": "maggot,larva",
    "seal": "manatee,walrus,sea lion,seals",
    "badger": "mole",
    "bison": "wildebeest,yak,american buffalo",
    "cockroach": "roach",
    "lady beetle": "lady bug,lady bird",
    "dragon": "wyvern,drake",
    "elephant": "elephant calf,dumbo",
    "llama": "lama",
    "swan": "goose",
    "dodo": "ostrich,emu",
}
#: for each label the words that people use and emojibase lacks
OTHER_NAMES = {label: tuple(words.split(",")) for label, words in _WORDS_FOR.items()}
_IRREGULAR = {
    "mice": "mouse",
    "oxen": "ox",
    "geese": "goose",
    "wolves": "wolf",
    "calves": "calf",
    "oxes": "ox",
    "feet": "foot",
    "lice": "louse",
    "flies": "fly",
    "octopi": "octopus",
    "hippopotami": "hippopotamus",
    "larvae": "larva",
    "bacteria": "bacteria",
    "rhinoceros": "rhinoceros",
    "hippopotamus": "hippopotamus",
    "octopus": "octopus",
    "walrus": "walrus",
}
# Scripts whose words are not set apart, so that a name is looked for anywhere.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]")
#: rank of what a name is: the first ones are preferred
LABEL, NAME, FOREIGN_LABEL, FOREIGN_TAG, ATTRIBUTE = range(5)


def words_of(package: Path, objects: Mapping[str, str]) -> Names:
    """Label and tags of each object in each language of emojibase-data.

    Args:
        package: tarball of the npm package.
        objects: labels by code.

    Returns:
        ``{code: {language: [label, tag, ...]}}``, without the tags that the same object has in an earlier
        language.
    """
    found: Names = {code: {} for code in objects}
    with tarfile.open(package, "r:gz") as archive:
        paths = sorted(name for name in archive.getnames() if name.count("/") == 2)
        for path in sorted((p for p in paths if p.endswith("/compact.json")), key=lambda p: "/en/" not in p):
            file = archive.extractfile(path)
            assert file is not None
            for entry in json.load(file):
                code = entry["hexcode"].lower().replace("-fe0f", "")
                if code not in found:
                    continue
                known = {word for words in found[code].values() for word in words}
                tags = [tag for tag in entry.get("tags", []) if tag not in known | {entry["label"]}]
                if tags or entry["label"] not in known:
                    found[code][path.split("/")[1]] = [entry["label"], *tags]
    return found


def write_words(folder: Path, package: Path, objects: Mapping[str, str]) -> None:
    """Write a bundle's ``words.json``."""
    text = json.dumps(words_of(package, objects), ensure_ascii=False, separators=(",", ":"))
    (folder / WORDS).write_text(text + "\n", "utf-8")


def folded(text: str) -> str:
    """Text in one case and width, curly apostrophes straight."""
    return unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")


def without_accents(text: str) -> str:
    if not re.search(r"[\u00c0-\u024f]", text):
        return text
    parts = unicodedata.normalize("NFKD", text)
    return "".join(c for c in parts if not unicodedata.combining(c))


def singulars(word: str) -> Iterator[str]:
    """An English word and what it may be the plural of."""
    yield word
    if word in _IRREGULAR:
        yield _IRREGULAR[word]
        return
    for ending, instead in (("'s", ""), ("ies", "y"), ("ves", "f"), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 2 and not word.endswith("ss"):
            yield word[: -len(ending)] + instead


def distance(first: str, second: str, most: int) -> int:
    """Edits from one word to the other, swapped neighbours being one; ``most + 1`` if there are more."""
    if abs(len(first) - len(second)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(second, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and first[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]


def _of_label(tag: str, label: str) -> bool:
    """Whether a tag is a word of a label, in one form or another: "медведь" of "морда медведя"."""
    return len(tag) > 3 and any(
        part[:-1].startswith(folded(tag)[: max(4, len(tag) - 2)]) or part == folded(tag)
        for part in folded(label).split()
    )


@dataclass(frozen=True)
class Found:
    """An object that words name: ``rank`` is ``LABEL`` for its English label, up to ``ATTRIBUTE``."""

    code: str
    rank: int
    plural: bool = False


class Vocabulary:
    """Objects by their names.

    Args:
        objects: English labels by code.
        names: as :func:`words_of` returns them.
    """

    def __init__(self, objects: Mapping[str, str], names: Names):
        self.objects = dict(objects)
        self.emoji = {"".join(chr(int(point, 16)) for point in code.split("-")): code for code in objects}
        ranked: dict[str, list[tuple[int, int, int, str]]] = defaultdict(list)
        order = {code: place for place, code in enumerate(objects)}

        def add(word: str, rank: int, code: str) -> None:
            face = int(objects[code].endswith(" face") or len(objects[code].split()) > 1)
            for spelt in {
                folded(word),
                without_accents(folded(word)),
                folded(word).replace("-", " "),
                " ".join(re.sub(r"[,()~]", " ", folded(word)).split()),
            }:
                ranked[spelt].append((rank, face, order[code], code))

        for code, label in objects.items():
            add(label, LABEL, code)
            for word in OTHER_NAMES.get(label, ()):
                add(word, NAME, code)
            for language, words in names.get(code, {}).items():
                for place, word in enumerate(words):
                    if language.startswith("en"):
                        rank = LABEL if place == 0 else ATTRIBUTE if word in ATTRIBUTES else NAME
                        if language != "en" and rank == LABEL:
                            rank = NAME
                    else:
                        rank = FOREIGN_LABEL if not place or _of_label(word, words[0]) else FOREIGN_TAG
                    add(word, rank, code)
        self._shared = {word: {each[3] for each in found} for word, found in ranked.items()}
        self._tags = {
            code: {folded(word) for words in names.get(code, {}).values() for word in words}
            for code in objects
        }
        # Of languages that disagree the majority decides.
        self._best: dict[str, tuple[int, str]] = {}
        for word, found in ranked.items():
            rank = min(each[0] for each in found)
            best = [each for each in found if each[0] == rank]
            counts: dict[str, int] = defaultdict(int)
            for each in best:
                counts[each[3]] += 1
            chosen = min(best, key=lambda each: (-counts[each[3]], each[1], each[2]))
            self._best[word] = (rank, chosen[3])
        self.longest = max(len(word.split()) for word in self._best)

    @cached_property
    def spelt(self) -> dict[str, Found]:
        """Names that a misspelt word may be meant for, the most usual ones."""
        return {
            word: Found(code, rank)
            for word, (rank, code) in self._best.items()
            if " " not in word and (rank <= NAME or (rank == FOREIGN_LABEL and len(word) > 4))
        }

    @cached_property
    def _unspaced(self) -> list[str]:
        found = (w for w, (rank, _) in self._best.items() if _UNSPACED.search(w) and rank == FOREIGN_LABEL)
        return sorted(found, key=len, reverse=True)

    def shares(self, code: str, word: str) -> bool:
        """Whether ``word`` is a name or a tag of the object."""
        return code in self._shared.get(folded(word), ())

    def sharing(self, word: str) -> int:
        """How many objects have this name or tag."""
        return max(1, len(self._shared.get(folded(word), ())))

    def is_tag(self, code: str, words: str) -> bool:
        """Whether these words, or their singular, are emojibase's for the object."""
        *first, last = words.split()
        return any(" ".join([*first, each]) in self._tags[code] for each in singulars(last))

    def exact(self, words: Sequence[str]) -> Found | None:
        """The object of this name, in the singular or the plural."""
        *first, last = words
        for number, word in enumerate(dict.fromkeys(singulars(last))):
            found = self._best.get(" ".join([*first, word]))
            if found and not (number and found[0] >= FOREIGN_LABEL):
                plural = not last.endswith("'s") and (number > 0 or self._is_plural([*first, last], found))
                return Found(found[1], found[0], plural)
        plain = [without_accents(word) for word in words]
        return self.exact(plain) if plain != list(words) else None

    def _is_plural(self, words: Sequence[str], found: tuple[int, str]) -> bool:
        *first, last = words
        others = (" ".join([*first, word]) for word in singulars(last) if word != last)
        return found[0] <= NAME and any(self._best.get(word, (0, ""))[1] == found[1] for word in others)

    def misspelt(self, word: str) -> Found | None:
        """The object whose name is nearest to a word, by a share of its letters."""
        if len(word) < 3:
            return None
        most = 1 if len(word) < 7 else 2  # of other languages' names 1
        best: tuple[int, int, bool, Found] | None = None
        for name, found in self.spelt.items():
            if len(word) == 3 and (sorted(name) != sorted(word) or found.rank > NAME):
                continue
            if len(word) == 4 and (name[0] != word[0] and sorted(name) != sorted(word)):
                continue
            for plural, form in ((False, name), (True, name + "s")):
                edits = distance(word, form, most)
                if edits <= (most if found.rank <= NAME else 1):
                    candidate = (edits + (found.rank >= FOREIGN_LABEL), found.rank, plural, found)
                    if best is None or candidate[:3] < best[:3]:
                        best = candidate
        return None if best is None else Found(best[3].code, best[3].rank, best[2])

    def within(self, text: str) -> list[tuple[int, int, Found]]:
        """Names within text that sets no words apart: where each begins and ends."""
        found: list[tuple[int, int, Found]] = []
        if not _UNSPACED.search(text):
            return found
        for name in self._unspaced:
            for match in re.finditer(re.escape(name), text):
                if all(match.end() <= begin or match.start() >= end for begin, end, _ in found):
                    rank, code = self._best[name]
                    found.append((match.start(), match.end(), Found(code, rank)))
        return sorted(found, key=lambda each: each[0])

    def english_names(self) -> list[tuple[str, str]]:
        """Each English name with its object's code."""
        return [(word, code) for word, (rank, code) in self._best.items() if rank <= NAME]
