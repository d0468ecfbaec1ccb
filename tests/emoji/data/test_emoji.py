import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fake_npm import CODES, Registry, disc, webp
from lumiere.emoji.data import sprites as emoji
from lumiere.emoji.data.sprites import (
    decode_sprite,
    encode_sprite,
    load_sprites,
    prepare_sprites,
    to_sprite_frames,
)
from lumiere.errors import InputError


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_frames_are_shown_as_long_as_the_file_says() -> None:
    grays = [Image.new("RGBA", (256, 256), (v, v, v, 255)) for v in (10, 110, 210)]
    frames = to_sprite_frames(webp(grays, [250, 125, 625]))
    assert frames.shape == (16, 128, 128, 4) and frames.dtype == np.uint8
    assert frames[:, 0, 0, 0].tolist() == [10] * 4 + [110] * 2 + [210] * 10


def test_colours_are_premultiplied_before_they_are_averaged() -> None:
    pixels = np.zeros((256, 256, 4), np.uint8)
    pixels[..., 1] = 200  # what is transparent is green, and must not show
    pixels[:, ::2] = (100, 0, 0, 255)
    pixels[128:, ::2] = (100, 0, 0, 51)
    picture = Image.fromarray(pixels)
    other = Image.fromarray(np.roll(pixels, 3, 0))
    first = to_sprite_frames(webp([picture, other], 125))[0]
    assert first[10, 10].tolist() == [50, 0, 0, 128]
    assert first[100, 10].tolist() == [10, 0, 0, 26]


def test_a_sprite_survives_its_compression() -> None:
    frames = to_sprite_frames(webp(disc((220, 40, 40), frames=8)))
    data = encode_sprite(frames)
    again = decode_sprite(data)
    assert again.shape == frames.shape
    assert _psnr(frames, again) > 36
    assert (again[..., :3] <= again[..., 3:]).all()
    assert len(data) < 30_000
    assert encode_sprite(frames) == data


def test_all_animations_without_skin_tones_are_prepared_and_named(
    tiny_emoji: Registry, tmp_path: Path
) -> None:
    prepare_sprites(tmp_path / "sprites", tmp_path / "cache", workers=1)
    sprites = load_sprites(tmp_path / "sprites")
    assert [sprite.code for sprite in sprites] == CODES
    assert [sprite.label for sprite in sprites] == ["rainbow", "thumbs up", "red heart", "star"]
    assert sprites[0].tags == ("sky", "weather") and sprites[3].tags == ()
    assert all(sprite.frames.shape == (12, 128, 128, 4) for sprite in sprites)
    green = sprites[1].frames[0, 64, 30]
    assert np.abs(green.astype(int) - (30, 170, 60, 255)).max() < 12
    assert [s.code for s in load_sprites(tmp_path)] == CODES, "the folder above does as well"
    assert [s.label for s in load_sprites(tmp_path, ["travel-places"])] == ["rainbow", "star"]
    index = json.loads((tmp_path / "sprites/sprites.json").read_text())
    assert [source["licence"] for source in index["sources"]] == ["MIT"] * 3


@pytest.mark.slow
def test_an_interrupted_preparation_goes_on_where_it_stopped(
    tiny_emoji: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_one, prepared = emoji._prepare_sprite, []

    def interrupted_at_the_third(code: str, data: bytes, size: int, folder: Path) -> None:
        if len(prepared) == 2:
            raise KeyboardInterrupt
        prepared.append(folder / f"{code}.mp4")
        prepare_one(code, data, size, folder)

    folder, whole = tmp_path / "sprites", tmp_path / "whole"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(emoji, "_prepare_sprite", interrupted_at_the_third)
        prepare_sprites(folder, tmp_path / "cache", workers=1)
    assert sorted(folder.iterdir()) == sorted(prepared)
    times = [path.stat().st_mtime_ns for path in prepared]

    prepare_sprites(folder, tmp_path / "cache", workers=2)
    assert [path.stat().st_mtime_ns for path in prepared] == times
    assert len(tiny_emoji.calls()) == 3, "no package is fetched twice"
    prepare_sprites(whole, tmp_path / "cache", workers=1)
    assert _contents(folder) == _contents(whole)


def test_a_prepared_folder_needs_no_packages(tiny_emoji: Registry, tmp_path: Path) -> None:
    prepare_sprites(tmp_path / "sprites", tmp_path / "cache", workers=1)
    tiny_emoji.mode("offline")
    prepare_sprites(tmp_path / "sprites", tmp_path / "another cache", workers=1)
    assert len(tiny_emoji.calls()) == 3


def test_sprites_that_cannot_be_used_are_named(tiny_emoji: Registry, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no sprites\.json; make sprites with: lumiere data emoji"):
        load_sprites(tmp_path)
    folder = tmp_path / "sprites"
    prepare_sprites(folder, tmp_path / "cache", workers=1)
    star = folder / "2b50.mp4"
    star.write_bytes(star.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"2b50\.mp4 is not the file in sprites\.json"):
        load_sprites(folder)
    star.unlink()
    with pytest.raises(InputError, match=r"2b50\.mp4 is missing"):
        load_sprites(folder)
    (folder / "sprites.json").write_text('{"format": "another"}')
    with pytest.raises(InputError, match="not an index of format"):
        load_sprites(folder)
    (folder / "sprites.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        load_sprites(folder)
