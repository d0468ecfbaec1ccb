"""Vector graphics, one for each emoji, as Iconify packs them."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lumiere.emoji.data.npm import Package, fetch
from lumiere.errors import InputError

_SIDE = 16  # of a package that does not say it
_TONES = ("-dark", "-light", "-medium", "-skin-tone")


@dataclass(frozen=True)
class Drawing:
    """A vector graphic in a box of ``width`` x ``height``."""

    name: str
    body: str
    width: float | int = 32
    height: float | int = 32

    @property
    def title(self) -> str:
        return self.name.replace("-", " ")

    def draw(self, side: int) -> np.ndarray:
        """uint8 side x side x 4, RGBA, not premultiplied."""
        import resvg_py

        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}" '
            f'viewBox="0 0 {self.width} {self.height}">{self.body}</svg>'
        )
        with Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))) as image:
            return np.asarray(image.convert("RGBA"))


def read_drawings(package: Package, cache: Path) -> list[Drawing]:
    """A package's drawings without a skin tone, sorted by name; fetched into ``cache`` if it is not there.

    Raises:
        InputError: the package cannot be fetched.
    """
    with tarfile.open(fetch(package, cache), "r:gz") as archive:
        file = archive.extractfile("package/icons.json")
        assert file is not None
        content = json.load(file)
    width, height = (content.get(side, _SIDE) for side in ("width", "height"))
    return [
        Drawing(name, icon["body"], icon.get("width", width), icon.get("height", height))
        for name, icon in sorted(content["icons"].items())
        if not name.endswith(_TONES)
    ]


def check_rasteriser() -> None:
    """Raise :class:`InputError` if resvg-py is not installed."""
    try:
        import resvg_py  # noqa: F401
    except ImportError:
        raise InputError("drawing needs resvg-py: pip install 'lumiere-video[train]'") from None
