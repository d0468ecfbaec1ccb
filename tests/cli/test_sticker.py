"""Clips without their background, and as stickers within each messenger's limits."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from lumiere import Clip
from lumiere.cli import main
from lumiere.cli.sticker import MESSENGERS
from lumiere.errors import InputError
from lumiere.io.video import read_metadata, stickers
from lumiere.io.video.transparent import TRANSPARENT_ENDINGS, read_alpha, save_transparent


@pytest.fixture
def run(capfd):
    def call(*arguments):
        with pytest.raises(SystemExit) as exit:
            main([str(argument) for argument in arguments])
        return exit.value.code or 0, *capfd.readouterr()

    return call


def disc(count=20, side=32):
    """A disc that moves over a blue background, and its alpha."""
    y, x = np.mgrid[:side, :side]
    frames = np.empty((count, side, side, 3), np.uint8)
    inside = np.empty((count, side, side), bool)
    for index in range(count):
        centre = side / 2 + 3 * np.sin(2 * np.pi * index / count)
        inside[index] = (x - centre) ** 2 + (y - side / 2) ** 2 < (side / 4) ** 2
        frames[index] = np.where(inside[index][..., None], (230, 180, 20), (20, 40, 200))
    return frames, inside


@pytest.mark.parametrize("ending", TRANSPARENT_ENDINGS)
def test_alpha_survives_in_every_format(tmp_path, ending):
    frames, inside = disc(4)
    rgba = np.concatenate([frames, inside[..., None] * np.uint8(255)], axis=-1)
    path = save_transparent(tmp_path / f"disc{ending}", rgba, Fraction(10), {"prompt": "a disc"})
    again = read_alpha(path)
    assert again.shape == rgba.shape
    assert abs((again[..., 3] > 127).astype(int) - inside).mean() < 0.02
    assert abs(again[inside].astype(int) - rgba[inside]).mean() < 16  # VP9 halves the chroma
    assert read_metadata(path)["prompt"] == "a disc"
    assert (len(Clip.load(path)), Clip.load(path).fps) == (4, 10)
    with pytest.raises(InputError, match="exists"):
        save_transparent(path, rgba, Fraction(10), {})


@pytest.mark.parametrize("messenger", MESSENGERS)
def test_a_sticker_is_within_the_limits(run, tmp_path, messenger):
    assert tuple(stickers.MESSENGERS) == MESSENGERS
    limits = stickers.MESSENGERS[messenger]
    clip, out = tmp_path / "disc.webp", tmp_path / f"sticker{limits.ending}"
    frames, _ = disc(60 if limits.seconds == 3 else 12)
    Clip(frames, 16).save(clip)
    code, printed, err = run("sticker", clip, "--for", messenger, "--out", out)
    assert code == 0 and printed.strip() == str(out), err
    assert ("given up: length: 3.0 of 3.8 seconds" in err) == (len(frames) == 60)
    assert out.stat().st_size <= limits.bytes
    pixels = read_alpha(out)
    assert pixels.shape[1:3] == (limits.side, limits.side)
    assert pixels[:, 0, 0, 3].max() < 8 and pixels[:, limits.side // 2, limits.side // 2, 3].min() > 240
    if limits.ending == ".webm":
        with av.open(str(out)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name in ("vp9", "libvpx-vp9") and not container.streams.audio
            assert container.duration / 1e6 <= limits.seconds + 0.01 and stream.average_rate <= limits.fps
    else:
        with Image.open(out) as image:
            assert image.info["loop"] == 0 and image.n_frames > 1
            durations = []
            for index in range(image.n_frames):
                image.seek(index)
                image.load()
                durations.append(image.info["duration"])
            assert sum(durations) / 1000 <= limits.seconds and min(durations) >= 1000 // limits.fps


def test_what_does_not_fit_loses_quality_and_then_frames(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 4), np.uint8)
    small = stickers.Limits(".webp", 32, 3000, Fraction(10), 30)
    monkeypatch.setitem(stickers.MESSENGERS, "whatsapp", small)
    lost = stickers.write_sticker(tmp_path / "a.webp", noise, Fraction(16), "whatsapp")
    assert lost[0].startswith("rate: ") and lost[0].endswith("of 16 frames per second")
    assert (tmp_path / "a.webp").stat().st_size <= 3000
    monkeypatch.setitem(stickers.MESSENGERS, "whatsapp", stickers.Limits(".webp", 32, 100, Fraction(10), 30))
    with pytest.raises(InputError, match="does not fit into 100 bytes"):
        stickers.write_sticker(tmp_path / "b.webp", noise, Fraction(16), "whatsapp")
    assert not (tmp_path / "b.webp").exists()


def test_generating_without_a_background(run, tiny_bundle, tmp_path):
    out = tmp_path / "cat.webp"
    options = ("--model", tiny_bundle, "--frames", 2, "--steps", 1, "--transparent")
    code, printed, err = run("generate", "a cat", *options, "--out", out)
    assert code == 0 and printed.strip() == str(out), err
    # A random net paints no background; the clip is not lost for that.
    assert "keeps its background: the background is neither plain" in err and len(Clip.load(out)) == 2
    code, _, err = run("generate", "a cat", *options, "--out", tmp_path / "cat.mp4")
    assert code == 2 and "'.mp4' is not known" in err


@pytest.mark.parametrize("ending", [".webp", ".webm"])
def test_hidden_colours_leave_no_rim(tmp_path, ending):
    """Lossy formats mix colours of neighbours; those of transparent pixels must not be among them."""
    _, inside = disc(4)
    made = []
    for name, hidden in (("green", (0, 255, 0)), ("own", (230, 60, 20))):
        colours = np.where(inside[..., None], (230, 60, 20), hidden).astype(np.uint8)
        rgba = np.concatenate([colours, inside[..., None] * np.uint8(255)], axis=-1)
        path = save_transparent(tmp_path / f"{name}{ending}", rgba, Fraction(10), {})
        made.append(read_alpha(path).astype(int))
    assert np.array_equal(*made)
    green = made[0][made[0][..., 3] > 16][:, 1]
    assert abs(green - 60).max() < 24
