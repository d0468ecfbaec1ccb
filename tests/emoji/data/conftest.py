"""An ``npm`` that serves tiny packages, and among them a tiny stand-in for the emoji."""

import json
import os
import sys
from pathlib import Path

import pytest

from fake_npm import FAKE_NPM, Registry, disc, webp
from lumiere.emoji.data import sprites as emoji


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    folder, binaries = tmp_path / "registry", tmp_path / "bin"
    folder.mkdir()
    binaries.mkdir()
    npm = binaries / "npm"
    npm.write_text(FAKE_NPM.format(python=sys.executable, registry=str(folder)))
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
    registry = Registry(folder)
    registry.mode("ok")
    return registry


@pytest.fixture(scope="session")
def emoji_packages() -> dict[str, dict[str, bytes]]:
    """Four animated emoji in two packages, a still one and one with a skin tone; and the package of names."""
    red, green, blue, yellow = (
        webp(disc(c)) for c in [(220, 40, 40), (30, 170, 60), (40, 60, 220), (250, 220, 60)]
    )
    entries = [
        {"hexcode": "1F308", "label": "rainbow", "tags": ["sky", "weather"], "group": 5},
        {"hexcode": "1F44D", "label": "thumbs up", "tags": ["yes", "good"], "group": 1},
        {"hexcode": "2764", "label": "red heart", "tags": ["love"], "group": 0},
        {"hexcode": "2B50", "label": "star", "group": 5},
        {"hexcode": "1F6D1", "label": "stop sign", "tags": [], "group": 5},
    ]
    return {
        "@tiny/anim-1": {
            "assets/1f308.webp": red,
            "assets/1f44d-1f3fd.webp": red,
            "assets/1f44d.webp": green,
            "assets/2764-fe0f.webp": blue,
            "README.md": b"MIT",
        },
        "@tiny/anim-2": {"assets/2b50.webp": yellow, "assets/1f6d1.webp": webp(disc((0, 0, 0), frames=1))},
        "names": {"en/data.json": json.dumps(entries).encode()},
    }


@pytest.fixture
def tiny_emoji(
    registry: Registry, emoji_packages: dict[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> Registry:
    """The registry with those packages, pinned in the place of the real ones."""
    packages = [registry.publish(name, files) for name, files in emoji_packages.items()]
    monkeypatch.setattr(emoji, "ANIMATIONS", tuple(packages[:2]))
    monkeypatch.setattr(emoji, "NAMES", packages[2])
    monkeypatch.setattr(emoji, "PACKAGES", tuple(packages))
    return registry
