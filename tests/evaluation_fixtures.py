"""Fixtures of evaluations: sprites of our own making, and an untrained recogniser of them."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lumiere.cli import main
from lumiere.emoji.data.scenes import COLOURS, SIZES
from lumiere.emoji.data.sprites import encode_sprite
from lumiere.emoji.evaluation import recogniser as recogniser_module
from lumiere.emoji.evaluation.recogniser import Recogniser, RecogniserNet

LABELS = {f"{i:04x}": f"{colour} disc" for i, colour in enumerate(COLOURS)}
SIZE = SIZES[0]


@pytest.fixture
def labels() -> dict[str, str]:
    """Of the sprites of ``data`` and of the tiny recogniser."""
    return LABELS


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sprites: discs whose right half blinks."""
    folder = tmp_path_factory.mktemp("data")
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    sprites = []
    for code, colour in zip(LABELS, COLOURS.values(), strict=True):
        frames = np.zeros((48, SIZE, SIZE, 4), np.uint8)
        frames[:, x**2 + y**2 < 0.15] = (*colour, 255)
        frames[8:29, (x**2 + y**2 < 0.15) & (x > 0)] = (120, 90, 60, 255)
        file = encode_sprite(frames)
        (folder / f"{code}.mp4").write_bytes(file)
        digest = hashlib.sha256(file).hexdigest()
        entry = {"code": code, "label": LABELS[code], "tags": [f"{LABELS[code]}us"], "group": "symbols"}
        sprites.append(entry | {"sha256": digest})
    index = {"format": "lumiere-sprites/1", "sprites": sprites}
    (folder / "sprites.json").write_text(json.dumps(index))
    return folder


@pytest.fixture
def tiny_recogniser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the shipped one, an untrained one of ``labels``."""
    path = tmp_path / "recogniser.safetensors"
    path.write_bytes(Recogniser(RecogniserNet(len(LABELS)), LABELS).dumps())
    monkeypatch.setattr(recogniser_module, "SHIPPED", path)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command line: exit code, what it printed, and what it said of errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([*map(str, arguments)])
        captured = capfd.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, captured.out, captured.err

    return call
