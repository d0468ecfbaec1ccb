"""Model folders broken by seed, from whole ones: files, configurations and weights."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

MANIFEST = "SHA256SUMS"
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 2**40, 1e308, float("nan"), float("inf"), "", "\x1b[2J", "../x", [], [[]], {}, [0, 0],
    ["evil", "Evil"], ["os", "system"], {"a": {"b": 1}},
)  # fmt: skip
TEXTS = (b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"a": 1e999}', b"\0" * 512)


def broken_model(rng: random.Random, whole: Path, folder: Path) -> None:
    """Copy a model to ``folder`` and break one or two things of it; mostly with hashes that fit."""
    shutil.copytree(whole, folder, copy_function=_linked)
    for _ in range(rng.choice([1, 1, 2])):
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
        if files:
            rng.choice([*(2 * [_field]), *(2 * [_tensors]), _bytes, _missing, _special, _text, _added])(
                rng, files
            )
    if rng.random() < 0.85:
        _hash_again(folder)
    elif rng.random() < 0.3:
        _replace(folder / MANIFEST, rng.choice(TEXTS))


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _replace(path: Path, data: bytes) -> None:
    """A new file in the place of one that the whole model may share."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def _of_ending(rng: random.Random, files: list[Path], ending: str) -> Path | None:
    return rng.choice(found) if (found := [path for path in files if path.suffix == ending]) else None


def _missing(rng: random.Random, files: list[Path]) -> None:
    path = rng.choice(files)
    if rng.random() < 0.3 and len(path.parts) > min(len(each.parts) for each in files):
        shutil.rmtree(path.parent)
    else:
        path.unlink()


def _bytes(rng: random.Random, files: list[Path]) -> None:
    path = rng.choice(files)
    data = bytearray(path.read_bytes())
    if not data:
        return
    match rng.randrange(3):
        case 0:
            del data[rng.randrange(len(data)) :]
        case 1:
            for _ in range(rng.randrange(1, 20)):
                data[rng.randrange(min(len(data), 2000))] = rng.randrange(256)
        case _:
            data[:8] = struct.pack("<Q", rng.choice([0, 1, 2**31, 2**63, 2**64 - 1]))
    _replace(path, bytes(data))


def _text(rng: random.Random, files: list[Path]) -> None:
    _replace(rng.choice(files), rng.choice(TEXTS))


def _special(rng: random.Random, files: list[Path]) -> None:
    path = rng.choice(files)
    path.unlink()
    match rng.randrange(4):
        case 0:
            os.mkfifo(path)
        case 1:
            path.symlink_to(path.name)
        case 2:
            path.mkdir()
        case _:
            path.symlink_to("/dev/zero")


def _added(rng: random.Random, files: list[Path]) -> None:
    beside = rng.choice(files)
    name = rng.choice(["x.bin", "x.json", "x.safetensors", "diffusion_pytorch_model.safetensors.index.json"])
    index = {"weight_map": {"a": rng.choice(["../x.safetensors", "x.safetensors", "/etc/passwd", 3, None])}}
    _replace(beside.with_name(name), rng.choice([*TEXTS, json.dumps(index).encode()]))


def _field(rng: random.Random, files: list[Path]) -> None:
    """One value of a configuration, however deep, replaced, removed, or put under another name."""
    path = _of_ending(rng, files, ".json")
    if path is None:
        return
    try:
        content = json.loads(path.read_text())
    except ValueError:
        return
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        keys = node.keys() if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            places.append((node, key))
            walk(node[key])

    walk(content)
    if not places:
        return
    node, key = rng.choice(places)
    match rng.randrange(5):
        case 0 if isinstance(node, dict):
            del node[key]
        case 1 if isinstance(node, dict):
            node[rng.choice(["unknown", "_class_name", "\x1b[2J", "size", "frames"])] = rng.choice(VALUES)
        case 2 if isinstance(node[key], int | float) and not isinstance(node[key], bool):
            node[key] = rng.choice(
                [-node[key], node[key] * 1000, node[key] + 1, node[key] / 3, str(node[key])]
            )
        case _:
            node[key] = rng.choice(VALUES)
    _replace(path, json.dumps(content).encode())


def _tensors(rng: random.Random, files: list[Path]) -> None:
    """One tensor of a file of weights with other values, shape, type or name."""
    path = _of_ending(rng, files, ".safetensors")
    if path is None:
        return
    try:
        tensors = load_file(path)
    except (SafetensorError, ValueError, TypeError):
        return
    name = rng.choice(sorted(tensors))
    tensor = tensors[name]
    changes: list[Callable[[], Any]] = [
        lambda: np.full_like(tensor, rng.choice([np.nan, np.inf, 1e30, -1e4])),
        lambda: tensor.reshape(-1),
        lambda: tensor[None],
        lambda: np.zeros((0, 3), tensor.dtype),
        lambda: tensor.astype(rng.choice([np.int8, np.int64, np.bool_, np.float64, np.float16])),
        lambda: np.repeat(tensor[None], 3, 0).reshape(-1, *tensor.shape[1:]),
    ]
    match rng.randrange(8):
        case 0:
            del tensors[name]
        case 1:
            tensors["unknown.weight"] = tensors.pop(name)
        case _:
            with np.errstate(all="ignore"):
                tensors[name] = np.ascontiguousarray(rng.choice(changes)())
    path.unlink()
    save_file(tensors, path)


def _hash_again(folder: Path) -> None:
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".json", ".safetensors") and path.is_file()
    ]
    _replace(folder / MANIFEST, "".join(lines).encode())
