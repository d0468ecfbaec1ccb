from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from fake_npm import Registry
from lumiere.cli import main
from lumiere.emoji.data import svg
from lumiere.emoji.data.scenes import CLIP_FRAMES
from lumiere.emoji.data.svg import SQUARE, Drawing, compose, load_drawings, on_background, squares
from lumiere.errors import InputError
from lumiere.train.dataset import CLIPS, STILLS, Pictures

DISC = Drawing("red-disc", '<circle cx="16" cy="16" r="16" fill="#f00"/>')


@pytest.fixture
def published(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Registry:
    icons = {name: {"body": DISC.body} for name in ("disc", "hand-medium-dark", "a-light")}
    package = registry.publish(svg.DRAWINGS.name, {"icons.json": json.dumps({"icons": icons}).encode()})
    monkeypatch.setattr(svg, "DRAWINGS", package)
    return registry


def test_a_drawing_has_the_size_that_is_asked_for() -> None:
    rgba = DISC.draw(64)
    assert rgba.shape == (64, 64, 4)
    assert rgba[32, 32].tolist() == [255, 0, 0, 255] and rgba[0, 0, 3] == 0
    assert abs((rgba[..., 3] > 127).sum() / 64**2 - np.pi / 4) < 0.02


def test_it_lies_whole_on_its_background() -> None:
    picture = on_background(DISC, np.random.default_rng(1))
    red = (picture == [255, 0, 0]).all(-1)
    rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert picture.shape == (1024, 1024, 3) and picture.dtype == np.uint8
    assert abs(height - width) <= 3 and 500 <= width <= 922


def test_squares_are_parts_of_the_picture_that_show_something() -> None:
    picture = np.zeros((1024, 1024, 3), np.uint8)
    assert not list(squares(picture, np.random.default_rng(0)))
    picture[:, 512:] = 255
    found = list(squares(picture, np.random.default_rng(0)))
    assert found and all(each.shape == (SQUARE, SQUARE, 3) and each.std() > 0 for each in found)


def test_held_out_drawings_are_no_training_data(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    icons = {f"drawing-{number}": {"body": DISC.body} for number in range(100)}
    content = json.dumps({"icons": icons}).encode()
    monkeypatch.setattr(svg, "DRAWINGS", registry.publish(svg.DRAWINGS.name, {"icons.json": content}))
    trained, held_out = (
        {drawing.name for drawing in load_drawings(tmp_path, held_out=kept)} for kept in (False, True)
    )
    assert trained | held_out == icons.keys() and not trained & held_out
    assert 2 <= len(held_out) <= 20


def test_shards_are_what_training_reads(published: Registry, tmp_path: Path) -> None:
    assert [drawing.name for drawing in load_drawings(tmp_path / "cache")] == ["disc"]
    assert compose(tmp_path / "a", 5, 0, 0, tmp_path / "cache", 2)
    pictures = Pictures((f"{tmp_path}/a/train-stills-*.tar",), STILLS, (SQUARE, SQUARE))
    assert len(pictures) == 5 and pictures.caption(0) == "a part of a drawing: disc"
    assert pictures.read(4).shape == (1, SQUARE, SQUARE, 3)


def test_held_out_clips_show_a_drawing_in_motion(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(svg, "SIDE", 64)
    icons = {f"red-disc-{number}": {"body": DISC.body} for number in range(100)}
    package = registry.publish(svg.DRAWINGS.name, {"icons.json": json.dumps({"icons": icons}).encode()})
    monkeypatch.setattr(svg, "DRAWINGS", package)
    assert compose(tmp_path / "a", 0, 3, 0, tmp_path / "cache", 1)
    clips = Pictures((f"{tmp_path}/a/heldout-clips-*.tar",), CLIPS, (64, 64))
    assert len(clips) == 3
    for number in range(3):
        frames = clips.read(number)
        assert frames.shape == (CLIP_FRAMES, 64, 64, 3)
        assert clips.caption(number).startswith("a red disc")
        assert (frames[0] != frames[40]).any()


def test_what_is_there_is_kept_and_a_seed_gives_the_same(
    published: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(svg, "SHARD", 2)
    cache = tmp_path / "cache"
    names = ["train-stills-00000.tar", "train-stills-00001.tar"]
    for folder, workers in (("a", 2), ("b", 1)):
        assert compose(tmp_path / folder, 4, 0, 0, cache, workers)
    first, second = ([(tmp_path / folder / name).read_bytes() for name in names] for folder in "ab")
    assert first == second
    (tmp_path / "a" / names[0]).write_bytes(b"kept")
    (tmp_path / "a" / names[1]).unlink()
    assert compose(tmp_path / "a", 4, 0, 0, cache, 1)
    assert (tmp_path / "a" / names[0]).read_bytes() == b"kept"
    assert (tmp_path / "a" / names[1]).read_bytes() == first[1]
    assert not compose(tmp_path / "a", 4, 0, 0, cache, 1)


def test_folders_of_other_data_are_left_alone(published: Registry, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert compose(tmp_path / "a", 1, 0, 0, cache, 1)
    with pytest.raises(InputError, match=r"holds .* stills 1, held_out 0, seed 0; ask for the same"):
        compose(tmp_path / "a", 1, 0, 1, cache, 1)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").touch()
    with pytest.raises(InputError, match="holds other data"):
        compose(tmp_path / "b", 1, 0, 0, cache, 1)
    with pytest.raises(InputError, match=r"thesis.txt is a file; --out names a folder"):
        compose(tmp_path / "b" / "thesis.txt", 1, 0, 0, cache, 1)
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["thesis.txt"]


def test_without_resvg_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(InputError, match=r"pip install 'lumiere-video\[train\]'"):
        compose(tmp_path / "a", 1, 0, 0, tmp_path, 1)
    assert not (tmp_path / "a").exists()


def test_the_command(published: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "data",
        "svg",
        "--out",
        f"{tmp_path}/out",
        "--stills",
        "1",
        "--held-out",
        "0",
        "--cache",
        f"{tmp_path}/cache",
    ]
    for said in ("is ready", "already complete; nothing to do"):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0 and said in capsys.readouterr().out
