"""Broken calls, by seed: arguments for the command line, and the files that they name."""

from __future__ import annotations

import io
import json
import os
import random
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from broken_models import broken_model
from PIL import Image

NUMBERS = ("0", "-1", "1", "nan", "inf", "1e400", "99999999", "٣", "", "0x10", "1,2", "3.5", "--")
SIZES = ("0", "64", "0x0", "99999999x99999999", "9999999999999", "16x", "x16", "64x48", "-4", "source", "1e9")
BOXES = ("0,0,9,9", "9,9,0,0", "0,0,99999999,9", "1,2,3", "a,b,c,d", "0,0,0,0", "-1,0,5,5", "0,0,32,32")
TEXTS = (
    "a frog",
    "",
    "\x1b[2J",
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    "x" * 5000,
    "🐸",
)
NOTES = (
    "[" * 100_000,
    '{"software": "lumiere", "fps": "1e300000000", "size": [8, 8], "frames": 3, "settings": {}}',
    '{"software": "lumiere", "fps": "0", "size": [8, 8], "frames": 3, "settings": {}}',
    '{"software": "lumiere", "fps": "16", "size": [Infinity, 8], "frames": 3, "settings": {}}',
    '{"software": "lumiere", "fps": "16", "size": [8, 8], "frames": 1000000000, "settings": {}}',
    '{"software": "lumiere", "fps": "16", "size": [32, 32], "frames": 3, "settings": {"prompt": "\\ud800"}}',
    '{"software": "lumiere", "fps": "16", "size": [32, 32], "frames": 3, "settings": {"\\u001b[2J": 1}}',
)


MESSENGERS = ("telegram", "whatsapp", "signal", "discord", "")
#: verbs that take an upscaler; others that take a model take one that generates
UPSCALING = ("upscale",)
SAMPLING = (
    "generate", "loop", "animate", "transition", "cinemagraph", "inpaint", "outpaint", "extend", "edit",
    "stylize", "style", "words",
)  # fmt: skip


class Broken:
    """Makes broken files in a folder, from good ones, as a random generator chooses.

    Args:
        models: folders of a model that generates and one that upscales.
    """

    def __init__(self, rng: random.Random, folder: Path, good: dict[str, bytes], models: tuple[Path, Path]):
        self.rng, self.folder, self.good, self.models = rng, folder, good, models
        self.made = 0

    def named(self, name: str, data: bytes) -> str:
        name = self.fresh(name)
        (self.folder / name).write_bytes(data)
        return name

    def fresh(self, name: str) -> str:
        """The name, with a number if this is not the first file."""
        self.made += 1
        return name if self.made == 1 else f"{self.made}-{name}"

    def picture(self) -> str:
        return self.rng.choice([self.mutated, self.claiming, self.special, self.odd_levels, self.text_file])(
            "png"
        )

    def video(self) -> str:
        ways = [self.mutated, self.claiming, self.special, self.noted_folder, self.text_file, self.noted]
        return self.rng.choice(ways)("mp4")

    def mutated(self, kind: str) -> str:
        """A good file with bytes changed, cut off or doubled, under a fitting or another name."""
        pictures = ("png", "jpg", "tif", "webp-still")
        kinds = (
            [kind] if kind == "pt" else [name for name in self.good if (name in pictures) == (kind == "png")]
        )
        chosen = self.rng.choice(kinds if self.rng.random() < 0.8 else list(self.good))
        data = bytearray(self.good[chosen])
        match self.rng.randrange(5):
            case 0:
                del data[self.rng.randrange(len(data)) :]
            case 1:
                for _ in range(self.rng.randrange(1, 30)):
                    data[self.rng.randrange(len(data))] = self.rng.randrange(256)
            case 2:
                place = self.rng.randrange(len(data))
                data[place : place + 4] = struct.pack(">I", self.rng.choice([0, 1, 2**31 - 1, 2**32 - 1]))
            case 3:
                head = min(len(data), 200)
                data[self.rng.randrange(head)] ^= 1 << self.rng.randrange(8)
            case _:
                start = self.rng.randrange(len(data))
                data[start:start] = data[start : start + 500]
        ending = self.rng.choice([chosen.split("-")[0], kind, "bin", "MP4", "tar"])
        return self.named(f"mutated.{ending}", bytes(data))

    def claiming(self, kind: str) -> str:
        """A header that claims more than the file holds."""
        side = self.rng.choice([12_000, 16_000, 65_535, 2**31 - 1])
        if kind == "png" or self.rng.random() < 0.3:
            made = bytearray(self.good["png"])
            made[16:24] = struct.pack(">II", side, side)
            made[29:33] = struct.pack(">I", zlib.crc32(bytes(made[12:29])))
            return self.named("claims.png", bytes(made))
        short = min(side, 65_535)
        if self.rng.random() < 0.5:
            return self.named(
                "claims.gif", b"GIF89a" + struct.pack("<HH", short, short) + self.good["gif"][10:]
            )
        made = bytearray(self.good["webp"])
        made[24:27] = made[27:30] = min(side, 16_383).to_bytes(3, "little")
        return self.named("claims.webp", bytes(made))

    def special(self, kind: str) -> str:
        """What is no file: a pipe, a device, a loop of links, a folder, a name that is too long, nothing."""
        name = self.fresh(f"special.{kind}")
        path = self.folder / name
        match self.rng.randrange(8):
            case 0:
                os.mkfifo(path)
            case 1:
                return self.rng.choice(["/dev/null", "/dev/zero", "/dev/random", "/proc/self/mem"])
            case 2:
                path.symlink_to(name)
            case 3:
                path.mkdir()
            case 4:
                return "y" * 300 + f".{kind}"
            case 5:
                return "/".join(["deep"] * 900) + f"/x.{kind}"
            case 6:
                path.symlink_to("nowhere")
            case _:
                return self.rng.choice(
                    [f"missing.{kind}", "", ".", "/", f"http:/host/x.{kind}", f"concat:a|b.{kind}"]
                )
        return name

    def odd_levels(self, kind: str) -> str:
        value = self.rng.choice([float("nan"), float("inf"), -1.0, 1.01, 5.5, 1e30, 0.0])
        made = io.BytesIO()
        Image.fromarray(np.full((32, 32), value, np.float32)).save(made, "TIFF")
        return self.named("levels.tif", made.getvalue())

    def text_file(self, kind: str) -> str:
        contents = (
            b"",
            b"\0" * 1000,
            b"<html>404</html>",
            b"ffconcat version 1.0\nfile clip.mp4\n",
            b"{" * 5000,
        )
        return self.named(f"text.{kind}", self.rng.choice(contents))

    def noted_folder(self, kind: str) -> str:
        folder = self.folder / self.fresh("frames")
        folder.mkdir()
        for number in range(self.rng.randrange(3)):
            (folder / f"frame-{number:05d}.png").write_bytes(self.good["png"])
        (folder / "clip.json").write_text(self.rng.choice(NOTES))
        return folder.name

    def noted(self, kind: str) -> str:
        """A GIF with a comment that may be a note."""
        gif, note = self.good["gif"], self.rng.choice(NOTES).encode()
        blocks = b"".join(
            bytes([len(note[i : i + 255])]) + note[i : i + 255] for i in range(0, len(note), 255)
        )
        head = 13 + (3 * 2 ** ((gif[10] & 7) + 1) if gif[10] & 0x80 else 0)
        return self.named("noted.gif", gif[:head] + b"\x21\xfe" + blocks + b"\0" + gif[head:])

    def lines(self, ending: str) -> str:
        """A file of prompts or lines, or of JSON."""
        values = (1, None, [], {}, "x", "\ud800", "a\0b", 1e400, -5, True, "clip.mp4", "/dev/zero", ".")
        row = {
            self.rng.choice(
                ["prompt", "image", "seed", "verb", "clip", "mask", "frames", "model", "regions"]
            ): self.rng.choice(values)
        }
        texts = (
            "",
            "\ufeff",
            "[" * 5000,
            json.dumps(row),
            f'{json.dumps(row)}\n{{"prompt": ""}}',
            "a,b\n1,2,3\n",
            "{}",
        )
        text = self.rng.choice(texts)
        data = text.encode("utf-8", "surrogatepass") if self.rng.random() < 0.9 else b"\xff\xfe\x00"
        return self.named(f"lines.{ending}", data)

    def shard(self) -> str:
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as tar:
            for name in ("a.mp4", "a.json", "b.png", "b.json"):
                data = self.rng.choice([self.good["mp4"], self.good["png"], b"{}", b'{"caption": "a"}', b""])
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        data = bytearray(made.getvalue())
        if self.rng.random() < 0.6:
            data[self.rng.randrange(512)] = self.rng.randrange(256)
        return self.named("shard.tar", bytes(data))

    def toml(self) -> str:
        key = self.rng.choice(
            ["data.frames", "optim.lr", "optim.betas", "data.clips", "run.threads", "data.size"]
        )
        value = self.rng.choice(
            ["nan", "-1", "[]", '"x"', "100000", "[1,1]", "[[" * 2000, "{}", "true", "inf"]
        )
        return self.named("run.toml", f'stage = "image"\n{key} = {value}\n'.encode())

    def model(self, upscaler: bool = False) -> str:
        """A model's folder in which something is broken."""
        name = self.fresh("model")
        broken_model(self.rng, self.models[upscaler], self.folder / name)
        return name

    def out(self) -> str:
        choices = (
            "new.mp4",
            "new.gif",
            "new",
            "new.xyz",
            "/dev/null",
            "clip.mp4",
            "clip.mp4/x.mp4",
            ".",
            "",
            "/proc/x.mp4",
        )
        return self.rng.choice([*choices, "a:b.webm", "z" * 300 + ".mp4", "deep/er/new.webp"])


def call(rng: random.Random, folder: Path, good: dict[str, bytes], models: tuple[Path, Path]) -> list[str]:
    """The arguments of one broken call, whose files are put into ``folder``, beside good ones."""
    made = Broken(rng, folder, good, models)

    def options(*known: tuple[str, Callable[[], str]]) -> list[str]:
        chosen = rng.sample(known, rng.randrange(min(3, len(known)) + 1))
        return [part for name, value in chosen for part in (name, value())]

    def number() -> str:
        return rng.choice(NUMBERS)

    def few() -> str:
        return rng.choice(["0", "-1", "1", "x"])

    def text() -> str:
        return rng.choice(TEXTS)

    def size() -> str:
        return rng.choice(SIZES)

    shared = (
        ("--out", made.out),
        ("--size", size),
        ("--fps", number),
        ("--steps", number),
        ("--guidance", number),
        ("--seed", number),
        ("--device", lambda: rng.choice(["hpu", "cuda:9", "meta", "", "xpu"])),
        ("--style", made.video),
        ("--lora", made.picture),
        ("--dtype", text),
        ("--scheduler", text),
        ("--offload", text),
        ("--alpha", number),
        ("--lora-scale", number),
        ("--count", few),
        ("--free-init", few),
        ("--regions", lambda: rng.choice(["a | b", "a / b", "|", "a | / b", "", "a |" * 500])),
        ("--first-frame-prompt", text),
        ("--upscaler", lambda: made.model(upscaler=True)),
    )
    region = rng.choice(
        [["--box", rng.choice(BOXES)], ["--mask", made.picture()], ["--polygon", "1,1 9,9 1,9"], []]
    )
    good_video = rng.random() < 0.25
    verbs: dict[str, Callable[[], list[str]]] = {
        "show": lambda: [made.video(), *options(("--sheet", made.out), ("--xt-slice", made.out))],
        "xt-slice": lambda: [
            made.video(),
            *options(("--out", made.out), ("--row", number), ("--line", lambda: rng.choice(BOXES))),
        ],
        "animate": lambda: [made.picture(), text(), *options(("--frames", number), *shared)],
        "transition": lambda: [made.picture(), "good.png", *options(("--frames", number), *shared)],
        "cinemagraph": lambda: ["good.png" if good_video else made.picture(), *region, *options(*shared)],
        "inpaint": lambda: ["clip.mp4" if good_video else made.video(), text(), *region, *options(*shared)],
        "outpaint": lambda: [
            "clip.mp4" if good_video else made.video(),
            "--canvas",
            size(),
            *options(("--at", number), *shared),
        ],
        "extend": lambda: [made.video(), *options(("--frames", number), ("--given", number), *shared)],
        "edit": lambda: [made.video(), text(), *region, *options(("--strength", number), *shared)],
        "upscale": lambda: [
            "clip.mp4" if good_video else made.video(),
            *options(("--window", number), ("--tile", number), *shared[:2]),
        ],
        "generate": lambda: [text(), "--frames", number(), *options(*shared)],
        "style": lambda: ["fit", made.picture(), "--out", "style", *options(("--steps", few))],
        "batch": lambda: [made.lines(rng.choice(["jsonl", "csv", "txt", "x"])), "--out", "clips"],
        "loop": lambda: [text(), "--frames", number(), *options(*shared)],
        "stylize": lambda: [text(), "--reference", made.picture(), "--fit-steps", few(), *options(*shared)],
        "sticker": lambda: [
            "clip.mp4" if good_video else made.video(),
            "--for",
            rng.choice(MESSENGERS),
            *options(("--out", made.out)),
        ],
        "convert": lambda: [made.mutated("pt"), "out.safetensors"],
        "rival": lambda: [made.model(), made.lines("jsonl"), "--out", "clips"],
        "words": lambda: options(("--json", lambda: "x")),
        "ablate": lambda: ["multidiffusion", made.shard(), *options(("--frames", few), ("--window", number))],
        "evaluate": lambda: [made.model(), "--prompts", "1", "--steps", "1", "--out", "figures"],
        "metrics": lambda: [
            rng.choice(["clips", "nearest", "ucf101", "compare"]),
            rng.choice([made.video, made.shard])(),
            *options(("--prompts", lambda: made.lines("jsonl"))),
        ],
        "data": lambda: [
            "videos",
            rng.choice([".", made.video()]),
            "--out",
            "shards",
            *options(("--caption", text), ("--fps", number)),
        ],
        "train": lambda: [made.toml(), *options(("--set", lambda: "optim.lr=nan"), ("--out", made.out))],
        "study": lambda: ["build", f"a={rng.choice(['.', made.video()])}", "b=.", "--out", "study"],
        "report": lambda: [rng.choice([lambda: made.lines("json"), made.picture])(), "--out", "page.html"],
        "inflate": lambda: [rng.choice([made.picture, made.video, made.model])(), "--out", "inflated"],
    }
    (folder / "clip.mp4").write_bytes(good["mp4"])
    (folder / "good.png").write_bytes(good["png"])
    verb = rng.choice(list(verbs))
    takes_model = verb in (*UPSCALING, *SAMPLING)
    if takes_model and rng.random() < 0.4:
        arguments = _whole(verb)
        chosen = made.model(verb in UPSCALING)
    else:
        arguments, chosen = verbs[verb](), str(models[verb in UPSCALING])
    if takes_model:
        arguments += ["--model", chosen]
        arguments += [] if "--steps" in arguments or verb == "words" else ["--steps", "1"]
    return [verb, *arguments]


def _whole(verb: str) -> list[str]:
    """Arguments of a call that has nothing broken but its model."""
    files = {
        "animate": ["good.png"],
        "transition": ["good.png", "good.png"],
        "cinemagraph": ["good.png", "--box", "4,4,20,20"],
        "inpaint": ["clip.mp4", "--box", "4,4,20,20"],
        "outpaint": ["clip.mp4", "--canvas", "48x32"],
        "extend": ["clip.mp4", "--frames", "8"],
        "edit": ["clip.mp4", "a frog"],
        "upscale": ["clip.mp4", "--size", "64"],
        "style": ["fit", "good.png", "--out", "style"],
        "stylize": ["a frog", "--reference", "good.png", "--fit-steps", "1", "--frames", "4"],
        "words": [],
    }
    return files.get(verb, ["a frog", "--frames", "4"])
