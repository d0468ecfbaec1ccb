"""Captioned scenes as WebDataset shards, with a manifest that says what they are and how they came about.

Every shard is a function of (seed, split, its number) and the sprites alone, and is written whole or not at
all: a run that was interrupted goes on with the first shard that is missing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from PIL import Image

from lumiere.data import h264
from lumiere.data.files import MANIFEST, read_manifest, to_json, write_whole
from lumiere.data.parallel import write_shards
from lumiere.emoji.data.heldout import held_out_prompts
from lumiere.emoji.data.npm import chunks
from lumiere.emoji.data.scenes import (
    CLIP_FRAMES,
    FPS,
    HELD_OUT_SHARE,
    SIZES,
    Sprite,
    caption,
    held_out_combinations,
    own_tags,
    random_scene,
    render,
)
from lumiere.emoji.data.sprites import in_groups, load_sprites, prepare_sprites, read_index
from lumiere.errors import InputError

PROMPTS = "heldout-prompts.json"
_FORMAT = "lumiere-emoji/1"
CLIP_CRF = 18  # about 40 dB and 32 KiB a clip
_SHARD_SIZES = {"stills": 2000, "clips": 250}

Kind: TypeAlias = Literal["stills", "clips"]


@dataclass(frozen=True)
class Request:
    """What to compose: so many training stills and clips, and so many held-out ones of each kind, of the
    objects of some groups or, without any, of all, ``size`` pixels a side.
    """

    stills: int
    clips: int
    held_out: int
    seed: int
    groups: list[str] = dataclasses.field(default_factory=list)
    size: int = SIZES[0]

    @property
    def command(self) -> str:
        """The command line that makes it."""
        counts = f"--stills {self.stills} --clips {self.clips} --held-out {self.held_out}"
        groups = "".join(f" --group {group}" for group in self.groups)
        size = f" --size {self.size}" if self.size != SIZES[0] else ""
        return f"lumiere data emoji --out DIR {counts} --seed {self.seed}{groups}{size}"

    @property
    def sprites(self) -> str:
        """Name of the folder with sprites of this size."""
        return "sprites" if self.size == SIZES[0] else f"sprites-{self.size}"

    def shards(self) -> list[Shard]:
        """The shards in the order in which they are made."""
        wanted: list[tuple[Kind, bool, int]] = [
            ("clips", True, self.held_out),
            ("stills", True, self.held_out),
            ("stills", False, self.stills),
            ("clips", False, self.clips),
        ]
        return [
            Shard(kind, held_out, number, min(_SHARD_SIZES[kind], total - start), self.seed)
            for kind, held_out, total in wanted
            for number, start in enumerate(range(0, total, _SHARD_SIZES[kind]))
        ]


@dataclass(frozen=True)
class Shard:
    """One tar of ``samples`` stills (``.webp``, lossless) or clips (``.mp4``), each beside its ``.json``."""

    kind: Kind
    held_out: bool
    number: int
    samples: int
    seed: int

    @property
    def split(self) -> str:
        return f"{'heldout' if self.held_out else 'train'}-{self.kind}"

    @property
    def filename(self) -> str:
        return f"{self.split}-{self.number:05d}.tar"

    def numbers(self) -> np.random.Generator:
        """The shard's own random numbers."""
        return np.random.default_rng([self.seed, int(self.kind == "clips"), int(self.held_out), self.number])


class Composer:
    """Composes shards from sprites; safe to call from several threads."""

    def __init__(self, sprites: Sequence[Sprite]):
        self.sprites = {sprite.code: sprite for sprite in sprites}
        self.codes = sorted(self.sprites)
        self.labels = {sprite.code: sprite.label for sprite in sprites}
        self.synonyms = own_tags(sprites)

    def shard(self, shard: Shard, stop: Event | None = None) -> bytes:
        """The tar's bytes. Held-out samples have the canonical caption, training samples varied ones.

        Raises :class:`InterruptedError` soon after ``stop`` is set.
        """
        rng = shard.numbers()
        samples = []
        for _ in range(shard.samples):
            if stop is not None and stop.is_set():
                raise InterruptedError
            samples.append(self.sample(shard, rng))
        return tar(shard.number, samples)

    def sample(self, shard: Shard, rng: np.random.Generator) -> dict[str, bytes]:
        """One sample's files, by their endings."""
        scene = random_scene(rng, self.codes, shard.held_out)
        about: dict[str, Any] = {
            "caption": caption(scene, self.labels, self.synonyms, None if shard.held_out else rng),
            "scene": dataclasses.asdict(scene),
            "held_out": held_out_combinations(scene),
        }
        if shard.kind == "clips":
            frames = render(scene, self.sprites)
            return {"mp4": h264.encode(frames, FPS, CLIP_CRF), "json": to_json(about)}
        about["frame"] = int(rng.integers(CLIP_FRAMES))
        (picture,) = render(scene, self.sprites, 1, about["frame"])
        return {"webp": lossless_webp(picture), "json": to_json(about)}


def prepare(out: Path, request: Request, cache: Path, workers: int, overwrite: bool) -> bool:
    """Fetch, decode and compose all that ``request`` asks for into ``out``; False if it is all there already.

    ``out`` gets ``sprites/`` (``sprites-256/``), the shards, ``heldout-prompts.json`` and, last,
    ``manifest.json``. With ``overwrite``, shards of another request are replaced; sprites are kept, since no
    request of their size changes them.

    Raises:
        InputError: ``out`` holds something else, a package cannot be fetched, or a file cannot be written.
    """
    manifest = _claim(out, request, overwrite)
    sizes = {shard["file"]: shard["bytes"] for shard in manifest.get("shards", [])}
    missing = [shard for shard in request.shards() if not _is_there(out / shard.filename, sizes)]
    if manifest["complete"] and not missing and (out / PROMPTS).exists():
        return False
    sprites = out / request.sprites
    prepare_sprites(sprites, cache, workers, request.size)
    entries = in_groups(read_index(sprites), request.groups)
    labels = {entry["code"]: entry["label"] for entry in entries}
    write_whole(
        out / PROMPTS, to_json([dataclasses.asdict(prompt) for prompt in held_out_prompts(labels)], indent=1)
    )
    if missing:
        composer = Composer(load_sprites(sprites, request.groups))

        def write(shard: Shard, stop: Event) -> int:
            write_whole(out / shard.filename, composer.shard(shard, stop))
            return shard.samples

        # on threads, which share 2 GB of sprites
        write_shards(write, missing, sum(shard.samples for shard in missing), "scene", workers)
    write_whole(out / MANIFEST, to_json(_manifest(out, request), indent=1))
    return True


def _claim(out: Path, request: Request, overwrite: bool) -> dict[str, Any]:
    """The manifest of ``out``, begun if there is none. Nothing that is not ours is ever written over."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; --out names a folder")
    asked = dataclasses.asdict(request)
    found = read_manifest(out / MANIFEST, _FORMAT)
    old_shards = [p for kind in _SHARD_SIZES for p in out.glob(f"*-{kind}-[0-9][0-9][0-9][0-9][0-9].tar")]
    if found is None and out.exists() and not all(_may_be_there(path) for path in out.iterdir()):
        raise InputError(f"{out} holds something else than emoji data; choose a new or empty folder")
    if found is not None:
        before = dataclasses.asdict(Request(0, 0, 0, 0)) | found["request"]
        differing = {key: before[key] for key in asked if before[key] != asked[key]}
        if not differing:
            return found
        if old_shards and not overwrite:
            was = ", ".join(f"{key} {value}" for key, value in differing.items())
            raise InputError(
                f"{out} was made with {was}; ask for the same, choose another folder, or say --overwrite"
            )
    for shard in old_shards:  # first, lest an interruption leave them under the new request
        shard.unlink()
    begun = {"format": _FORMAT, "complete": False, "request": asked}
    write_whole(out / MANIFEST, to_json(begun, indent=1))
    return begun


def _may_be_there(path: Path) -> bool:
    """Hidden leftovers, and sprites that were prepared on another machine."""
    return path.name.startswith(".") or (path.name.startswith("sprites") and (path / "sprites.json").exists())


def _is_there(path: Path, sizes: dict[str, int]) -> bool:
    return path.exists() and path.stat().st_size == sizes.get(path.name, path.stat().st_size)


def _manifest(out: Path, request: Request) -> dict[str, Any]:
    from lumiere import __version__

    index = read_index(out / request.sprites)
    return {
        "format": _FORMAT,
        "complete": True,
        "request": dataclasses.asdict(request),
        "command": request.command,
        "versions": {
            "lumiere": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "pillow": Image.__version__,
            "av": h264.av.__version__,
        },
        "media": {"size": request.size, "fps": FPS, "clip_frames": CLIP_FRAMES},
        "sources": index["sources"],
        "sprites": {
            "count": len(in_groups(index, request.groups)),
            "index_sha256": _sha256(out / request.sprites / "sprites.json"),
        },
        "held_out": {
            "rule": "blake2s of 'code|colour', 'code|motion' or 'code|code' (first 4 bytes, little-endian) "
            "below the share; such combinations are in no training sample and in every held-out one",
            "share": HELD_OUT_SHARE,
            "prompts": len(json.loads((out / PROMPTS).read_text("utf-8"))),
            "prompts_sha256": _sha256(out / PROMPTS),
        },
        "shards": [
            {
                "file": shard.filename,
                "split": shard.split,
                "samples": shard.samples,
                "bytes": (out / shard.filename).stat().st_size,
                "sha256": _sha256(out / shard.filename),
            }
            for shard in request.shards()
        ],
    }


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    for chunk in chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def tar(shard: int, samples: Sequence[dict[str, bytes]]) -> bytes:
    """An uncompressed tar of samples, each by its files' endings; their keys count up."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for place, sample in enumerate(samples):
            for ending, data in sample.items():
                member = tarfile.TarInfo(f"{shard:05d}{place:05d}.{ending}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def lossless_webp(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", lossless=True, method=2, quality=20)
    return file.getvalue()
