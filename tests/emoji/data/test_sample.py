"""The sample that ships is what this code would compose."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import webdataset
from PIL import Image

from lumiere.data import h264
from lumiere.emoji.data.scenes import Background, Scene, Sprite, held_out_combinations, render
from lumiere.emoji.data.sprites import load_sprites

SAMPLE = Path(__file__).parents[2] / "sample"


@pytest.fixture(scope="module")
def sprites() -> dict[str, Sprite]:
    return {sprite.code: sprite for sprite in load_sprites(SAMPLE / "sprites")}


def _read(shard: str) -> list[dict]:
    samples = []
    for sample in webdataset.WebDataset(f"file:{SAMPLE / shard}", shardshuffle=False):
        about = json.loads(sample["json"])
        background = Background(
            about["scene"]["background"]["kind"], tuple(about["scene"]["background"]["colours"])
        )
        fields = {k: tuple(v) if isinstance(v, list) else v for k, v in about["scene"].items()}
        about["scene"] = Scene(**fields | {"background": background})
        samples.append(sample | about)
    return samples


def test_the_sample_is_small() -> None:
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file()) < 1_000_000


def test_its_sprites_are_animated(sprites: dict[str, Sprite]) -> None:
    assert {"black cat", "rocket", "red heart"} <= {sprite.label for sprite in sprites.values()}
    for sprite in sprites.values():
        assert len(sprite.frames) > 16
        assert np.abs(np.diff(sprite.frames.astype(int), axis=0)).mean() > 0.3, sprite.label


def test_its_stills_are_their_scenes(sprites: dict[str, Sprite]) -> None:
    samples = _read("stills.tar")
    assert len(samples) == 24
    for sample in samples:
        picture = np.asarray(Image.open(io.BytesIO(sample["webp"])))
        truth = render(sample["scene"], sprites, 1, sample["frame"])[0]
        # float arithmetic may differ by a step between machines
        assert np.abs(picture.astype(int) - truth).max() <= 1
        assert held_out_combinations(sample["scene"]) == []


def test_its_clips_are_their_scenes(sprites: dict[str, Sprite]) -> None:
    samples = _read("clips.tar")
    assert len(samples) == 8
    for sample in samples[:3]:
        frames, truth = h264.decode(sample["mp4"]), render(sample["scene"], sprites)
        assert frames.shape == truth.shape == (80, 128, 128, 3)
        assert 10 * np.log10(255**2 / np.mean((frames.astype(float) - truth) ** 2)) > 36


@pytest.mark.parametrize(
    ("objects", "relation", "motion", "quarters"),
    [
        (
            ("1f427", "1f680"),
            "beside",
            "spin",
            [
                [128.2, 73.0, 130.1],
                [141.8, 81.2, 131.5],
                [134.2, 80.5, 138.5],
                [131.5, 74.6, 131.6],
            ],
        ),
        (
            ("2b50", "2764"),
            "above",
            "bounce",
            [[141.3, 72.7, 110.4], [129.2, 87.1, 127.0], [131.4, 65.9, 123.2], [127.2, 68.2, 131.9]],
        ),
        (
            ("1f98b", "1f427", "2b50"),
            "row",
            "grow",
            [
                [125.0, 66.4, 121.1],
                [128.8, 84.4, 129.7],
                [126.5, 67.5, 122.7],
                [126.2, 78.2, 131.1],
            ],
        ),
    ],
)
def test_several_objects_are_drawn_as_ever(
    sprites: dict[str, Sprite], objects: tuple, relation: str, motion: str, quarters: list
) -> None:
    background = Background("stripes", ("red", "blue"))
    picture = render(Scene(objects, relation, background, motion, 0.46, (0.02, -0.03)), sprites, 1, 11)[0]
    means = picture.reshape(2, 64, 2, 64, 3).mean((1, 3))
    assert np.abs(means.reshape(4, 3) - quarters).max() < 0.1
