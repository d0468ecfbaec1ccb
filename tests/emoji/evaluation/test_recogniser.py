"""The recogniser: what it looks at, its file, and that training teaches it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lumiere.emoji.data.scenes import COLOURS, SIZES, Background, Scene, Sprite, render
from lumiere.emoji.evaluation.recogniser import INPUT_SIZE, Recogniser, RecogniserNet, object_crops, ranking
from lumiere.emoji.evaluation.train_recogniser import Pictures, train
from lumiere.errors import InputError

SIZE = SIZES[0]


def _sprite(code: str, colour: tuple[int, int, int], inside: np.ndarray) -> Sprite:
    frames = np.zeros((6, SIZE, SIZE, 4), np.uint8)
    frames[:, inside] = (*colour, 255)
    return Sprite(code, f"thing {code}", (), "objects", frames)


@pytest.fixture(scope="module")
def sprites() -> list[Sprite]:
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    shapes = [x**2 + y**2 < 0.16, abs(x) + abs(y) < 0.42, (abs(x) < 0.15) & (abs(y) < 0.4)]
    colours = [(210, 60, 40), (70, 170, 210), (240, 240, 200)]
    return [
        _sprite(f"{i}{j}", colour, shape)
        for i, shape in enumerate(shapes)
        for j, colour in enumerate(colours)
    ]


@pytest.fixture(scope="module")
def recogniser(sprites: list[Sprite]) -> Recogniser:
    return train(sprites, steps=70, batch_size=36, seed=1)


def _scene(code: str, motion: str, colour: str) -> Scene:
    return Scene((code,), "alone", Background("solid", (colour,)), motion, 0.85, (0.0, 0.0))


def test_training_teaches_what_is_what(sprites: list[Sprite], recogniser: Recogniser) -> None:
    by_code = {sprite.code: sprite for sprite in sprites}
    right = 0
    cases = [(c, m) for c in by_code for m in ("left", "spin")]
    for number, (code, motion) in enumerate(cases):
        frames = render(_scene(code, motion, ("black", "green", "purple")[number % 3]), by_code, 80)
        probabilities = recogniser.probabilities(frames, count=8)
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-4)
        right += ranking(probabilities)[0] == code
    assert right >= 0.8 * len(cases)


def test_the_file_gives_the_same_recogniser(
    recogniser: Recogniser, sprites: list[Sprite], tmp_path: Path
) -> None:
    path = tmp_path / "r.safetensors"
    path.write_bytes(recogniser.dumps())
    again = Recogniser.load(path)
    assert again.labels == recogniser.labels == {sprite.code: sprite.label for sprite in sprites}
    assert len(again.sha256) == 64
    frames = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    before, after = (list(r.probabilities(frames).values()) for r in (recogniser, again))
    assert after == pytest.approx(before, abs=0.02)


@pytest.mark.parametrize("content", [b"", b"not safetensors", None])
def test_another_file_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "r.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="is not a recogniser"):
        Recogniser.load(path)


def test_weights_of_another_net_are_refused(recogniser: Recogniser, tmp_path: Path) -> None:
    path = tmp_path / "r.safetensors"
    path.write_bytes(Recogniser(RecogniserNet(4), recogniser.labels).dumps())
    with pytest.raises(InputError, match="is not a recogniser"):
        Recogniser.load(path)


def test_the_cut_follows_the_object() -> None:
    frames = np.full((2, 128, 128, 3), COLOURS["blue"], np.uint8)
    frames[0, 8:40, 80:112] = (250, 250, 250)
    frames[1, 20:120, 10:110] = (250, 250, 250)
    crops = object_crops(frames)
    assert crops.shape == (2, 3, INPUT_SIZE, INPUT_SIZE)
    shares = (crops[:, 0] > 0.9).float().mean((1, 2))
    assert torch.allclose(shares, torch.tensor(1 / 1.12**2), atol=0.08)


def test_where_nothing_stands_out_the_whole_frame_is_seen() -> None:
    ramp = np.arange(128, dtype=np.uint8)[None, None, :, None] // 16 + 100
    frames = np.broadcast_to(ramp, (1, 128, 128, 3)).copy()
    crop = object_crops(frames)[0, 0]
    assert crop[0, 0] == pytest.approx(100 / 255, abs=0.01) and crop[0, -1] == pytest.approx(
        107 / 255, abs=0.01
    )


def test_training_pictures_show_every_class_equally_often(sprites: list[Sprite]) -> None:
    pictures = Pictures(sprites)
    classes = torch.cat([pictures.batch(9)[1] for _ in range(4)])
    assert classes.bincount().tolist() == [4] * 9
    again, _ = Pictures(sprites).batch(9)
    x, _ = Pictures(sprites).batch(9)
    assert torch.equal(x, again) and x.shape == (9, 3, INPUT_SIZE, INPUT_SIZE)
    assert x.min() >= 0 and x.max() <= 1


def test_the_net_is_small() -> None:
    assert sum(p.numel() for p in RecogniserNet(734).parameters()) < 1.1e6
