from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fake_npm import Registry
from lumiere.emoji.data import styles
from lumiere.emoji.data.styles import SIDE, STYLES, draw, load
from lumiere.errors import InputError

DISC = '<circle cx="8" cy="8" r="8" fill="currentColor"/>'


@pytest.fixture
def published(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages of a 16-pixel disc under three names; one of them is the first style's alone."""
    packages = {}
    for number, (style, package) in enumerate(STYLES.items()):
        names = ["disc", "hand-dark", *(["rare"] if not number else ["ring"])]
        content = {"icons": {name: {"body": DISC} for name in names}, "width": 16, "height": 16}
        packages[style] = registry.publish(package.name, {"icons.json": json.dumps(content).encode()})
    monkeypatch.setattr(styles, "STYLES", packages)


@pytest.mark.usefixtures("published")
def test_what_all_styles_have_is_drawn_once(tmp_path: Path) -> None:
    out = tmp_path / "styles"
    assert draw(out, tmp_path / "cache")
    assert {path.stem for path in out.rglob("*.png")} == {"disc"}
    rgba = load(out, "noto", ["disc", "ring"])
    assert list(rgba) == ["disc"] and rgba["disc"].shape == (SIDE, SIDE, 4)
    assert abs((rgba["disc"][..., 3] > 127).mean() - np.pi / 4) < 0.02, "the drawing fills its box"
    assert not draw(out, tmp_path / "cache")


def test_another_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear")
    with pytest.raises(InputError, match="holds something else"):
        draw(tmp_path, tmp_path / "cache")
    with pytest.raises(InputError, match="lumiere data styles"):
        load(tmp_path, "noto", ["disc"])
