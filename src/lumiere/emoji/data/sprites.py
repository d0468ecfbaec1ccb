"""Animated 3-D emoji from npm, prepared as sprites: small H.264 files, colour beside alpha, and one index.

A folder of sprites is self-contained and some 40 MB, so it can be carried to a machine without a network.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import av
import numpy as np
from PIL import Image
from tqdm import tqdm

from lumiere.data import h264
from lumiere.data.files import write_whole
from lumiere.data.parallel import process_pool, unordered, usable_cores
from lumiere.emoji.data.npm import Package, fetch
from lumiere.emoji.data.scenes import FPS, SIZES, Sprite
from lumiere.errors import InputError

_LOBEHUB = "LobeHub, after Microsoft's Fluent Emoji"
ANIMATIONS = tuple(
    Package(f"@lobehub/fluent-emoji-anim-{part}", "1.0.0", sha512, size, "MIT", _LOBEHUB)
    for part, (sha512, size) in enumerate(
        [
            (
                "/4m31vAuZEQ4aUJ5pxcOU5PVkuJya55GRxUZL7+zgLlxZXpzzE8jPqpDyhZICE3n47nS/Y9M5/vLdizi8201QA==",
                164966217,
            ),
            (
                "S6yzf0RZXrQbXdxCWuHA9BAoLdBRk2flX+ne4TPGEH/qApwisCAKHoAAGjKSlTY3OVeZ9b7t/NEbmpjawnQYJA==",
                181915962,
            ),
            (
                "UzRSUDMjdfdt9vER5bhjHkPqgc3EEgfGtYs6ndvizOTvQOxYQ57ow2RTkWSDZxwW30X4EYBi2eWTS7CXDDoFsg==",
                197000910,
            ),
            (
                "IIkl5ztSd1HrzvIDt/uGsFoC1WODXRdYq5uROrnkyqi9DbToEcJ1nlY86PnoUXeFS9nBCnHfiYk3ouSEGThFmA==",
                185915894,
            ),
        ],
        start=1,
    )
)
NAMES = Package(
    "emojibase-data",
    "17.0.0",
    "Yvgb5AWoHViHV/gq1qr5ZAarcBip+B27/ZLRsUJkbgAEaLlZ/fof9g882LTpmEpyhBNEC0m2SEmItljHsTygjA==",
    6711091,
    "MIT",
    "Miles Johnson",
)
PACKAGES = (*ANIMATIONS, NAMES)

GROUPS = (
    "smileys-emotion",
    "people-body",
    "component",
    "animals-nature",
    "food-drink",
    "travel-places",
    "activities",
    "objects",
    "symbols",
    "flags",
)
SKIN_TONES = frozenset({"1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"})
_SPRITE_CRF = 16  # about 39 dB and 50 KiB a sprite
_INDEX = "sprites.json"
_FORMAT = "lumiere-sprites/1"


def prepare_sprites(folder: Path, cache: Path, workers: int, size: int = SIZES[0]) -> None:
    """Fetch the packages and write every animated emoji without a skin tone into ``folder``, then its index.

    ``size``, one of ``SIZES``, is their side in pixels; a folder holds sprites of one size.

    Sprites that are there already are kept, so that an interrupted run goes on where it stopped. With the
    index there, nothing is done.

    Raises:
        InputError: a package cannot be fetched (:func:`lumiere.emoji.data.npm.fetch`) or ``folder`` written.
    """
    if (folder / _INDEX).exists():
        return
    tarballs = {
        package.name: fetch(package, cache)
        for package in tqdm(PACKAGES, "packages", unit="package", disable=None)
    }
    names = _names(tarballs[NAMES.name])
    animated: set[str] = set()

    def jobs() -> Iterator[tuple[str, bytes, int, Path]]:
        total = sum(package.size for package in ANIMATIONS)
        with tqdm(total=total, desc="sprites", unit="B", unit_scale=True, disable=None) as bar:
            for package in ANIMATIONS:
                for code, webp in _animations(tarballs[package.name], bar):
                    animated.add(code)
                    if not _file(folder, code).exists():
                        yield code, webp, size, folder

    if workers == 1:
        for job in jobs():
            _prepare_sprite(*job)
    else:
        with process_pool(workers) as pool:
            for _ in unordered(pool, _prepare_sprite, jobs(), 2 * workers):
                pass
    index = {
        "format": _FORMAT,
        "fps": FPS,
        "size": size,
        "sources": [
            {
                "name": p.name,
                "version": p.version,
                "licence": p.licence,
                "credit": p.credit,
                "sha512": p.sha512,
            }
            for p in PACKAGES
        ],
        "sprites": [_entry(folder, code, *names[_key(code)]) for code in sorted(animated)],
    }
    write_whole(folder / _INDEX, (json.dumps(index, indent=1, ensure_ascii=False) + "\n").encode())


def load_sprites(folder: Path | str, groups: Sequence[str] = (), codes: Collection[str] = ()) -> list[Sprite]:
    """The sprites of a folder that ``lumiere data emoji`` prepared, sorted by code.

    Each is 3 MB of memory, of 256 pixels 12 MB.

    ``folder`` is the ``sprites`` folder or the one above it. ``groups``, some of :data:`GROUPS`, limit them,
    and ``codes``, of which some may be missing.

    Raises :class:`InputError` if ``folder`` holds none, or if a file is missing or not the one in the index.
    """
    folder = Path(folder)
    if not (folder / _INDEX).exists():
        folder = folder / "sprites"
    entries = [e for e in in_groups(read_index(folder), groups) if not codes or e["code"] in codes]
    with ThreadPoolExecutor(usable_cores()) as pool:
        return list(pool.map(lambda entry: _load(folder, entry), entries))


def in_groups(index: dict[str, Any], groups: Sequence[str]) -> list[dict[str, Any]]:
    """The index's entries of ``groups``; without any, all."""
    return [entry for entry in index["sprites"] if not groups or entry["group"] in groups]


def read_index(folder: Path) -> dict[str, Any]:
    """The index of a folder of sprites. Raises :class:`InputError` if there is none that can be read."""
    path = folder / _INDEX
    try:
        index: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{folder} holds no {_INDEX}; make sprites with: lumiere data emoji --out DIR"
        ) from None
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); prepare the sprites again") from None
    if not isinstance(index, dict) or index.get("format") != _FORMAT:
        raise InputError(f"{path} is not an index of format {_FORMAT}; prepare the sprites again")
    return index


def to_sprite_frames(webp: bytes, size: int = SIZES[0]) -> np.ndarray:
    """An animated WebP of 256 x 256 as uint8, t x size x size x 4, premultiplied RGBA at 16 fps.

    Each frame is the one shown at the middle of its sixteenth of a second; 128 pixels are averages of 2 x 2
    after premultiplication, so that what is transparent lends no colour to edges.
    """
    with Image.open(io.BytesIO(webp)) as image:
        pictures, ends, now = [], [], 0
        for index in range(image.n_frames):
            image.seek(index)
            pictures.append(np.asarray(image.convert("RGBA")))
            now += image.info.get("duration") or 42
            ends.append(now)
    count = max(2, round(now * FPS / 1000))
    middles = (np.arange(count) + 0.5) * now / count
    shown = np.searchsorted(ends, middles, side="right").clip(0, len(pictures) - 1)
    rgba = np.stack([pictures[i] for i in shown]).astype(np.float32)
    rgba[..., :3] *= rgba[..., 3:] / 255
    pooled = rgba.reshape(count, size, 256 // size, size, 256 // size, 4).mean((2, 4))
    return pooled.round().astype(np.uint8)


def encode_sprite(frames: np.ndarray) -> bytes:
    """Premultiplied RGBA (uint8, t x h x w x 4) as an MP4 twice as wide: colour on the left, alpha right."""
    colour, alpha = frames[..., :3], np.repeat(frames[..., 3:], 3, -1)
    return h264.encode(np.concatenate([colour, alpha], axis=2), FPS, _SPRITE_CRF, preset="slow")


def decode_sprite(data: bytes) -> np.ndarray:
    """What :func:`encode_sprite` was given, but for compression; no colour exceeds its alpha."""
    colour, alpha = np.split(h264.decode(data), 2, axis=2)
    alpha = alpha[..., 1:2]
    return np.concatenate([np.minimum(colour, alpha), alpha], axis=-1)


def _animations(tarball: Path, bar: tqdm[NoReturn]) -> Iterator[tuple[str, bytes]]:
    """Code and bytes of each animated WebP without a skin tone; ``bar`` follows the bytes read."""
    with tarball.open("rb") as file, tarfile.open(fileobj=file, mode="r|gz") as archive:
        done = 0
        for member in archive:
            bar.update(file.tell() - done)
            done = file.tell()
            match = re.fullmatch(r"package/assets/([0-9a-f]{4,5}(?:-[0-9a-f]{4,5})*)\.webp", member.name)
            if match is None or not member.isfile() or SKIN_TONES & set(match[1].split("-")):
                continue
            content = archive.extractfile(member)
            assert content is not None
            webp = content.read()
            if _is_animated(webp):
                yield _key(match[1]), webp


def _is_animated(webp: bytes) -> bool:
    return webp[12:16] == b"VP8X" and bool(webp[20] & 0b10)  # the container's animation flag


def _names(tarball: Path) -> dict[str, tuple[str, list[str], str]]:
    """Label, tags and group by code points."""
    with tarfile.open(tarball, "r:gz") as archive:
        file = archive.extractfile("package/en/data.json")
        assert file is not None
        entries = json.load(file)
    return {
        _key(entry["hexcode"]): (entry["label"], entry.get("tags", []), GROUPS[entry["group"]])
        for entry in entries
        if "group" in entry
    }


def _key(code: str) -> str:
    """Code points without the variation selector, which the two sources do not agree on."""
    return "-".join(point for point in code.lower().split("-") if point != "fe0f")


def _file(folder: Path, code: str) -> Path:
    return folder / f"{code}.mp4"


def _prepare_sprite(code: str, webp: bytes, size: int, folder: Path) -> None:
    write_whole(_file(folder, code), encode_sprite(to_sprite_frames(webp, size)))


def _entry(folder: Path, code: str, label: str, tags: list[str], group: str) -> dict[str, Any]:
    data = _file(folder, code).read_bytes()
    return {
        "code": code,
        "label": label,
        "tags": tags,
        "group": group,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def _load(folder: Path, entry: dict[str, Any]) -> Sprite:
    path = _file(folder, entry["code"])
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise InputError(
                f"{path} is not the file in {_INDEX}; delete both and run lumiere data emoji again"
            )
        return Sprite(
            entry["code"], entry["label"], tuple(entry["tags"]), entry["group"], decode_sprite(data)
        )
    except FileNotFoundError:
        raise InputError(f"{path} is missing; delete {_INDEX} and run lumiere data emoji again") from None
    except av.FFmpegError as error:
        raise InputError(f"{path} is not a video ({error.strerror}); prepare the sprites again") from None
