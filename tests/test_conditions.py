from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lumiere.conditions import (
    Condition,
    cinemagraph,
    continue_from,
    feather,
    from_frames,
    from_image,
    inpaint,
    outpaint,
    read_mask,
    read_picture,
    rectangle,
)
from lumiere.errors import InputError
from lumiere.io.video import Clip


def pictures(count: int, height: int = 6, width: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


def test_a_first_frame_is_given() -> None:
    image = pictures(1)[0]
    condition = from_image(image, 5)
    assert len(condition) == 5 and (condition.height, condition.width) == (6, 8)
    assert (condition.video[0] == image).all()
    assert (condition.mask[0] == 1).all() and not condition.mask[1:].any()


def test_any_frames_are_given() -> None:
    first, last = pictures(2)
    condition = from_frames({0: first, 8: last}, 9)
    assert (condition.video[8] == last).all()
    assert condition.mask.max((1, 2)).tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 1]


def test_all_is_given_but_a_hole_still_or_moving() -> None:
    video, hole = pictures(4), rectangle(6, 8, (1, 2, 5, 6))
    still = inpaint(Clip(video, 16), hole)
    assert (still.mask == 1 - hole).all() and (still.video == video).all()
    moving = np.stack([np.roll(hole, shift, 1) for shift in range(4)])
    assert (inpaint(video, (moving * 255).astype(np.uint8)).mask == 1 - moving).all()


def test_a_cinemagraph_moves_in_its_region_alone() -> None:
    image, region = pictures(1)[0], rectangle(6, 8, (0, 0, 4, 3))
    condition = cinemagraph(image, region, 5)
    assert (condition.video == image).all()
    assert (condition.mask[0] == 1).all() and (condition.mask[1:] == 1 - region).all()


def test_a_video_goes_on_from_its_last_frames() -> None:
    video = pictures(7)
    condition = continue_from(video, given=3, frames=10)
    assert (condition.video[:3] == video[4:]).all()
    assert condition.mask.min((1, 2)).tolist() == [1] * 3 + [0] * 7


def test_a_canvas_grows_around_a_video() -> None:
    video = pictures(3)
    condition = outpaint(video, (10, 12), (1, 4))
    assert (condition.video[:, 1:7, 4:12] == video).all()
    assert condition.mask.sum() == 3 * 48 and (condition.mask[:, 1:7, 4:12] == 1).all()


def test_a_composite_is_exact_where_given_and_mixed_at_feathered_edges() -> None:
    video, made = pictures(2), pictures(4)[2:]
    mask = np.zeros((2, 6, 8), np.float32)
    mask[:, :2], mask[:, 2:4] = 1, 0.5
    mixed = Condition(video, mask).composite(made)
    assert (mixed[:, :2] == video[:, :2]).all() and (mixed[:, 4:] == made[:, 4:]).all()
    middle = (video[:, 2:4].astype(float) + made[:, 2:4]) / 2
    assert np.abs(mixed[:, 2:4] - middle).max() <= 0.5
    assert Condition(video, mask).psnr(video) == pytest.approx(148.1, abs=0.1)
    assert Condition(video, 0 * mask).psnr(video) is None


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40))
def test_at_another_size_nothing_unknown_is_given(height: int, width: int) -> None:
    video = np.zeros((1, 20, 20, 3), np.uint8)
    video[:, 5:15, 5:15] = 200
    mask = (video[..., 0] == 200).astype(np.float32)
    resized = Condition(video, mask).resized(height, width)
    assert resized.video.shape == (1, height, width, 3) and resized.mask.shape == (1, height, width)
    assert (resized.video[resized.mask > 0.01] == 200).all()


def test_feathering_grows_outward_only() -> None:
    mask = rectangle(40, 40, (15, 15, 25, 25))
    soft = feather(mask, 6)
    assert (soft[mask == 1] == 1).all()
    assert soft[20, 7:16] == pytest.approx([0, 0, *(np.arange(6) + 1) / 7, 1], abs=0.01)
    with pytest.raises(InputError, match="feathered over inf pixels; give 0 to 40"):
        feather(mask, float("inf"))
    assert np.array_equal(feather(mask, 0), mask)
    assert feather(mask[None].repeat(2, 0), 6).shape == (2, 40, 40)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: from_frames({}), "no frame is given"),
        (lambda: from_frames({5: pictures(1)[0]}, 5), "frame 5 is outside the clip; its frames are 0 to 4"),
        (lambda: from_frames({0: pictures(1)[0], 1: pictures(1, 4)[0]}, 5), "the pictures are 8x4 and 8x6"),
        (lambda: inpaint(pictures(3), np.zeros((6, 8))), "the mask is empty"),
        (lambda: inpaint(pictures(3), np.ones((6, 8))), "covers all of every frame"),
        (lambda: inpaint(pictures(3), np.ones((6, 9))), "3 frames of 9x6; the video is 3 frames of 8x6"),
        (lambda: inpaint(pictures(3), np.ones((2, 6, 8))), "2 frames of 8x6; the video is 3 frames of 8x6"),
        (lambda: cinemagraph(pictures(1)[0], np.zeros((6, 8))), "the region is empty"),
        (lambda: cinemagraph(pictures(1)[0], np.ones((8, 6))), "the region is 80 frames of 6x8"),
        (lambda: continue_from(pictures(3), 4), "4 frames are to be given; the video has 3"),
        (lambda: continue_from(pictures(9), 8, 8), "8 frames are given of 8; leave some"),
        (lambda: outpaint(pictures(1), (6, 8), (0, 0)), "give a larger one"),
        (lambda: outpaint(pictures(1), (7, 8), (2, 0)), r"8x6 does not fit at \(2, 0\) into 8x7"),
        (lambda: rectangle(6, 8, (4, 0, 4, 3)), "the box 4,0,4,3 is not within 8x6"),
        (lambda: Condition(pictures(1), np.full((1, 6, 8), 2.0)), "values outside 0 to 1"),
        (lambda: Condition(pictures(1), np.ones((1, 6, 9))), "the mask is"),
        (lambda: Condition(pictures(1).astype(float), np.ones((1, 6, 8))), "is uint8"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_pictures_of_every_kind_are_read(tmp_path: Path) -> None:
    image = Image.fromarray(pictures(1)[0])
    image.save(tmp_path / "plain.png")
    assert np.array_equal(read_picture(tmp_path / "plain.png"), np.asarray(image))
    image.convert("CMYK").save(tmp_path / "cmyk.tif")
    assert read_picture(tmp_path / "cmyk.tif").shape == (6, 8, 3)
    image.quantize(4).save(tmp_path / "palette.png")
    assert read_picture(tmp_path / "palette.png").shape == (6, 8, 3)
    deep = np.linspace(0, 65535, 48).reshape(6, 8).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert np.abs(read_picture(tmp_path / "deep.png")[..., 0] - deep / 257).max() <= 1
    turned = Image.Exif()
    turned[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=turned)
    assert read_picture(tmp_path / "turned.png").shape == (8, 6, 3)
    frames = [Image.fromarray(frame) for frame in pictures(3)]
    frames[0].save(tmp_path / "animated.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert np.array_equal(read_picture(tmp_path / "animated.webp"), pictures(3)[0])
    image.putalpha(0)
    image.save(tmp_path / "clear.png")
    assert (read_picture(tmp_path / "clear.png") == 255).all()
    (tmp_path / "text.png").write_text("no picture")
    for name, message in (("text.png", "is no picture that can be read"), ("none.png", "does not exist")):
        with pytest.raises(InputError, match=message):
            read_picture(tmp_path / name)


def test_a_mask_is_white_or_opaque(tmp_path: Path) -> None:
    mask = rectangle(6, 8, (1, 1, 4, 4))
    white = Image.fromarray((mask * 255).astype(np.uint8))
    white.save(tmp_path / "white.png")
    opaque = Image.new("RGB", (8, 6), "red")
    opaque.putalpha(white)
    opaque.save(tmp_path / "opaque.png")
    assert np.array_equal(read_mask(tmp_path / "white.png"), mask)
    assert np.array_equal(read_mask(tmp_path / "opaque.png"), mask)
    white.convert("RGBA").save(tmp_path / "covered.png")
    assert np.array_equal(read_mask(tmp_path / "covered.png"), mask)
    white.save(tmp_path / "still.gif")
    assert np.array_equal(read_mask(tmp_path / "still.gif"), mask)


def test_a_mask_may_be_compressed_or_move(tmp_path: Path) -> None:
    mask = rectangle(48, 64, (16, 16, 40, 40))
    white = Image.fromarray((mask * 255).astype(np.uint8))
    white.save(tmp_path / "white.jpg", quality=95)
    assert np.array_equal(read_mask(tmp_path / "white.jpg"), mask)
    frames = np.stack([mask, mask[:, ::-1]]).repeat(2, 0)[..., None].repeat(3, -1)
    for name in ("mask.mp4", "mask.webp", "mask.gif"):
        Clip((frames * 255).astype(np.uint8), 16).save(tmp_path / name)
        read = read_mask(tmp_path / name)
        assert read.shape == (4, 48, 64) and np.abs(read - frames[..., 0]).mean() < 0.01
        assert (read[0][:, :8] == 0).all() and (read[0][20:36, 20:36] == 1).all()


def test_deep_pictures_are_read_by_what_their_kind_calls_white(tmp_path: Path) -> None:
    dark = np.full((6, 8), 250, np.uint16)
    Image.fromarray(dark).save(tmp_path / "dark.png")
    assert read_picture(tmp_path / "dark.png").max() <= 1
    Image.fromarray(np.full((6, 8), 0.5, np.float32)).save(tmp_path / "share.tif")
    assert np.abs(read_picture(tmp_path / "share.tif").astype(int) - 128).max() <= 1


def test_the_hole_alone_is_put_in_its_place() -> None:
    video = pictures(3)
    hole = np.zeros((3, 6, 8), bool)
    hole[0, 2, 3], hole[2, 3, 5] = True, True
    condition = inpaint(video, hole)
    part, box = condition.around_hole(1)
    assert box == (2, 1, 7, 5) and (part.video == video[:, 1:5, 2:7]).all()
    assert (condition.with_part(part.video, box) == video).all()
    large = part.resized(16, 20)
    made = condition.composite(condition.with_part(255 - large.video, box))
    changed = (made != video).any(-1)
    assert changed[hole].all() and not changed[~hole].any()
    assert condition.around_hole(100)[1] == (0, 0, 8, 6)
    with pytest.raises(InputError, match="the padding is -1 pixels"):
        condition.around_hole(-1)
    with pytest.raises(InputError, match="there is nothing to make"):
        Condition(video, np.ones((3, 6, 8))).around_hole(1)
