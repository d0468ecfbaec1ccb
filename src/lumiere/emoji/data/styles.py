"""The same emoji in five styles that the shipped model never saw, cut out, to fit and to judge styles by."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from lumiere.data.files import MANIFEST, to_json, write_whole
from lumiere.emoji.data.drawings import Drawing, check_rasteriser, read_drawings
from lumiere.emoji.data.npm import Package
from lumiere.errors import InputError
from lumiere.io.pictures import read_cutout

STYLES = {
    "flat": Package(
        "@iconify-json/fluent-emoji-flat",
        "1.2.6",
        "RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw==",
        1172438,
        "MIT",
        "Microsoft; packed by Iconify",
    ),
    "line-art": Package(
        "@iconify-json/fluent-emoji-high-contrast",
        "1.2.6",
        "esqhZPpkrF7sNX3NsLoh8KW64okEr/bzko7WNnFP+qTJGAqDPDYjp0925yxuivXy3HtVQB8xhIKu3+Nq1byX5w==",
        1054969,
        "MIT",
        "Microsoft; packed by Iconify",
    ),
    "monochrome": Package(
        "@iconify-json/emojione-monotone",
        "1.2.1",
        "cZSNcPsuiAD6HCzCh/2dYKGh3pNI0jJlxBxQWfC33cQsPtqYZqulGBvlkThXYNvDl8VxgVHT9u+izyX/yeEIkA==",
        1094642,
        "CC-BY-4.0",
        "EmojiOne; packed by Iconify",
    ),
    "noto": Package(
        "@iconify-json/noto",
        "1.2.9",
        "DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw==",
        3102958,
        "Apache-2.0",
        "Google; packed by Iconify",
    ),
    "openmoji": Package(
        "@iconify-json/openmoji",
        "1.2.29",
        "vXdhkqcXVSO6suy+m9LbcUM3OdVyuNOtpV8/als/WqfkQIRxevL5Geb/g+6GH/Qwnq1OqksEmaDGTCmZ5nFKJQ==",
        1264633,
        "CC-BY-SA-4.0",
        "OpenMoji; packed by Iconify",
    ),
}
SIDE = 128
_FORMAT = "lumiere-styles/1"


def draw(out: Path, cache: Path) -> bool:
    """Write ``out/STYLE/NAME.png`` for the emoji that all styles have; False if they are all there already.

    Raises:
        InputError: resvg-py is not installed, ``out`` holds something else, a package cannot be fetched, or a
            file cannot be written.
    """
    check_rasteriser()
    sources = {
        style: {"package": each.filename, "licence": each.licence, "credit": each.credit}
        for style, each in STYLES.items()
    }
    manifest = to_json({"format": _FORMAT, "side": SIDE, "sources": sources}, indent=1)
    path = out / MANIFEST
    if path.exists() and path.read_bytes() == manifest:
        return False
    if out.exists() and (not out.is_dir() or any(each.name not in STYLES for each in out.iterdir())):
        raise InputError(f"{out} holds something else; choose another folder")
    drawings = {
        style: {each.name: each for each in read_drawings(package, cache)}
        for style, package in STYLES.items()
    }
    shared = sorted(set.intersection(*(set(each) for each in drawings.values())))
    for style, named in drawings.items():
        for name in shared:
            write_whole(out / style / f"{name}.png", _png(named[name]))
    write_whole(path, manifest)
    return True


def load(folder: Path, style: str, names: list[str]) -> dict[str, np.ndarray]:
    """Drawings of these names that a style has, uint8 128 x 128 x 4, not premultiplied.

    Raises:
        InputError: ``folder`` is none that :func:`draw` wrote.
    """
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} holds no styles; make it with `lumiere data styles --out {folder}`")
    paths = {name: folder / style / f"{name}.png" for name in names}
    return {name: read_cutout(path) for name, path in paths.items() if path.is_file()}


def _png(drawing: Drawing) -> bytes:
    file = io.BytesIO()
    Image.fromarray(drawing.draw(SIDE)).save(file, "PNG")
    return file.getvalue()
