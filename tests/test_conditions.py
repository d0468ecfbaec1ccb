from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import NamedTuple

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
from lumiere.io.video import Clip, resize


def pictures(count: int, height: int = 6, width: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


def test_the_first_frame_is_known() -> None:
    image = pictures(1)[0]
    condition = from_image(image, 5)
    assert len(condition) == 5 and (condition.height, condition.width) == (6, 8)
    assert (condition.video[0] == image).all()
    assert (condition.known[0] == 1).all() and not condition.known[1:].any()


def test_any_frames_are_known() -> None:
    first, last = pictures(2)
    condition = from_frames({0: first, 8: last}, 9)
    assert (condition.video[8] == last).all()
    assert condition.known.max((1, 2)).tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 1]


def test_everything_is_known_but_a_mask_still_or_moving() -> None:
    video, mask = pictures(4), rectangle(6, 8, (1, 2, 5, 6))
    still = inpaint(Clip(video, 16), mask)
    assert (still.known == 1 - mask).all() and (still.video == video).all()
    moving = np.stack([np.roll(mask, shift, 1) for shift in range(4)])
    assert (inpaint(video, (moving * 255).astype(np.uint8)).known == 1 - moving).all()


def test_a_cinemagraph_moves_in_its_region_alone() -> None:
    image, region = pictures(1)[0], rectangle(6, 8, (0, 0, 4, 3))
    condition = cinemagraph(image, region, 5)
    assert (condition.video == image).all()
    assert (condition.known[0] == 1).all() and (condition.known[1:] == 1 - region).all()
    moving = np.stack([np.roll(region, shift, 1) for shift in range(4)])
    condition = cinemagraph(image, moving)
    assert len(condition) == 4 and (condition.video == image).all()
    assert (condition.known[0] == 1).all() and (condition.known[1:] == 1 - moving[1:]).all()


def test_a_video_goes_on_from_its_last_frames() -> None:
    video = pictures(7)
    condition = continue_from(video, known=3, frames=10)
    assert (condition.video[:3] == video[4:]).all()
    assert condition.known.min((1, 2)).tolist() == [1] * 3 + [0] * 7


def test_a_canvas_grows_around_a_video() -> None:
    video = pictures(3)
    condition = outpaint(video, (10, 12), (1, 4))
    assert (condition.video[:, 1:7, 4:12] == video).all()
    assert condition.known.sum() == 3 * 48 and (condition.known[:, 1:7, 4:12] == 1).all()


def test_masks_come_from_paths_and_images(tmp_path: Path) -> None:
    video, mask = pictures(3), rectangle(6, 8, (1, 2, 5, 6))
    image = Image.fromarray((mask * 255).astype(np.uint8))
    image.save(tmp_path / "mask.png")
    for source in (image, tmp_path / "mask.png", str(tmp_path / "mask.png"), mask == 1):
        assert (inpaint(video, mask=source).known == 1 - mask).all()
        assert (cinemagraph(video[0], region=source, frames=2).known[1] == 1 - mask).all()


def test_without_a_length_the_clips_is_taken() -> None:
    image, last = pictures(2)
    region = rectangle(6, 8, (0, 0, 4, 3))
    for condition, same in [
        (from_image(image), from_image(image, 5)),
        (from_frames({0: image, -1: last}), from_frames({0: image, 4: last}, 5)),
        (cinemagraph(image, region), cinemagraph(image, region, 5)),
        (continue_from(pictures(4), 3), continue_from(pictures(4), 3, 5)),
    ]:
        assert condition.num_frames is None and (condition.height, condition.width) == (6, 8)
        for read in (len, lambda each: each.video, lambda each: each.known):
            with pytest.raises(InputError, match="has no length of its own"):
                read(condition)
        at = condition.at(5, 6, 8)
        assert len(at) == 5 and (at.video == same.video).all() and (at.known == same.known).all()
        made = pictures(5)
        assert condition.psnr(made) == same.psnr(made)
        assert (condition.composite(made) == same.composite(made)).all()
    with pytest.raises(InputError, match="frame 2 is outside the clip; its frames are 0 to 1"):
        continue_from(pictures(4), 3).at(2, 6, 8)
    with pytest.raises(InputError, match="frame -1 of 1 frames is known twice"):
        from_frames({0: image, -1: last}).at(1, 6, 8)
    with pytest.raises(InputError, match="the condition has 5 frames and the clip 6; make them alike"):
        from_image(image, 5).at(6, 6, 8)


class Dense(NamedTuple):
    """The definition that a sparse condition is to equal: every frame and its region, at full size."""

    video: np.ndarray
    known: np.ndarray

    def resized(self, height: int, width: int) -> Dense:
        if (height, width) == self.video.shape[1:3]:
            return self
        known = resize(self.known, height, width, Image.Resampling.BOX).round(4).clip(0, 1)
        if self.known.all():
            return Dense(resize(self.video, height, width), known)
        frames = []
        for frame, region in zip(self.video, self.known > 0, strict=True):
            layers = np.concatenate([(frame * region[..., None]).transpose(2, 0, 1), region[None]])
            *colours, weight = resize(layers.astype(np.float32), height, width)
            mean = np.stack(colours, -1) / np.maximum(weight, 1 / 255)[..., None]
            frames.append(mean.round().clip(0, 255).astype(np.uint8))
        return Dense(np.stack(frames), known)

    def psnr(self, frames: np.ndarray) -> float | None:
        known = self.known == 1
        if not known.any():
            return None
        error = np.square(self.video[known].astype(np.float32) - frames[known]).mean()
        return float(10 * np.log10(255**2 / max(error, 1e-10)))

    def composite(self, frames: np.ndarray) -> np.ndarray:
        share = self.known[..., None]
        mixed = (share * self.video + (1 - share) * frames).round().astype(np.uint8)
        return np.where(share == 1, self.video, np.where(share == 0, frames, mixed))


def same_sparse_and_dense(kind: str, rng: np.random.Generator, size: tuple[int, int], frames: int):
    """A condition of a kind, and its dense definition."""
    video = rng.integers(0, 256, (frames, *size, 3), np.uint8)
    shares = np.float32([0, 0.3, 1])[rng.integers(0, 3, (frames, *size))]
    shares[0, 0, 0], shares[0, -1, -1] = 1, 0
    nothing, everything = np.zeros(shares.shape, np.float32), np.ones(shares.shape, np.float32)
    if kind == "frames":
        chosen = sorted(rng.choice(frames, rng.integers(1, frames + 1), replace=False).tolist())
        dense = Dense(video * 0, nothing)
        dense.video[chosen], dense.known[chosen] = video[chosen], 1
        return from_frames({index - int(rng.integers(2)) * frames: video[index] for index in chosen}), dense
    if kind == "cinemagraph":
        dense = Dense(video[:1].repeat(frames, 0), 1 - shares[:1].repeat(frames, 0))
        dense.known[0] = 1
        return cinemagraph(video[0], shares[0]), dense
    if kind == "still mask":
        return inpaint(video, shares[0]), Dense(video, 1 - shares[:1].repeat(frames, 0))
    if kind == "moving mask":
        return inpaint(video, shares), Dense(video, 1 - shares)
    if kind == "canvas":
        dense = Dense(
            np.pad(video, ((0, 0), (1, 3), (2, 0), (0, 0))), np.pad(everything, ((0, 0), (1, 3), (2, 0)))
        )
        return outpaint(video, dense.video.shape[1:3], (1, 2)), dense
    return Condition(video, everything), Dense(video, everything)


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(["frames", "cinemagraph", "still mask", "moving mask", "canvas", "all"]),
    st.tuples(st.integers(2, 20), st.integers(2, 20)),
    st.tuples(st.integers(1, 24), st.integers(1, 24)),
    st.integers(1, 5),
    st.integers(0, 2**32),
)
def test_a_sparse_condition_equals_the_dense_one(kind, size, target, frames, seed) -> None:
    rng = np.random.default_rng(seed)
    condition, dense = same_sparse_and_dense(kind, rng, size, frames)
    for height, width in (target, dense.video.shape[1:3]):
        expected = dense.resized(height, width)
        found = condition.at(frames, height, width)
        assert found.video.dtype == np.uint8 and found.known.dtype == np.float32
        assert np.array_equal(found.known, expected.known)
        assert np.array_equal(found.video, expected.video)
        made = rng.integers(0, 256, expected.video.shape, np.uint8)
        assert np.array_equal(found.composite(made), expected.composite(made))
        assert found.psnr(made) == expected.psnr(made)


@pytest.mark.parametrize("kind", ["image", "cinemagraph"])
def test_a_large_image_is_never_a_large_video(kind: str, tmp_path: Path) -> None:
    size = 1500, 2000
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    region = rectangle(*size, (400, 300, 900, 800))
    tracemalloc.start()
    try:
        condition = from_image(image) if kind == "image" else cinemagraph(image, region)
        at = condition.at(80, 96, 128)
        assert at.video.shape == (80, 96, 128, 3) and at.known.shape == (80, 96, 128)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * image.nbytes


def test_a_composite_is_exact_where_known_and_mixed_at_feathered_edges() -> None:
    video, made = pictures(2), pictures(4)[2:]
    known = np.zeros((2, 6, 8), np.float32)
    known[:, :2], known[:, 2:4] = 1, 0.5
    mixed = Condition(video, known).composite(made)
    assert (mixed[:, :2] == video[:, :2]).all() and (mixed[:, 4:] == made[:, 4:]).all()
    middle = (video[:, 2:4].astype(float) + made[:, 2:4]) / 2
    assert np.abs(mixed[:, 2:4] - middle).max() <= 0.5
    assert Condition(video, known).psnr(video) == pytest.approx(148.1, abs=0.1)
    assert Condition(video, 0 * known).psnr(video) is None


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40))
def test_at_another_size_no_unknown_pixel_is_known(height: int, width: int) -> None:
    video = np.zeros((1, 20, 20, 3), np.uint8)
    video[:, 5:15, 5:15] = 200
    known = (video[..., 0] == 200).astype(np.float32)
    resized = Condition(video, known).resized(height, width)
    assert resized.video.shape == (1, height, width, 3) and resized.known.shape == (1, height, width)
    assert (resized.video[resized.known > 0.01] == 200).all()


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
        (lambda: from_frames({}), "no frame is known"),
        (lambda: from_frames({5: pictures(1)[0]}, 5), "frame 5 is outside the clip; its frames are 0 to 4"),
        (lambda: from_frames({-6: pictures(1)[0]}, 5), "frame -6 is outside the clip; its frames are 0 to 4"),
        (
            lambda: from_frames({4: pictures(1)[0], -1: pictures(1)[0]}, 5),
            "frame -1 of 5 frames is known twice",
        ),
        (lambda: from_image(pictures(1)[0], 0), "frames is 0; give at least 1"),
        (lambda: from_frames({0: pictures(1)[0], 1: pictures(1, 4)[0]}, 5), "the pictures are 8x4 and 8x6"),
        (lambda: inpaint(pictures(3), np.zeros((6, 8))), "the mask is empty"),
        (lambda: inpaint(pictures(3), np.ones((6, 8))), "covers all of every frame"),
        (lambda: inpaint(pictures(3), np.ones((6, 9))), "the mask is 9x6; the video is 3 frames of 8x6"),
        (lambda: inpaint(pictures(3), np.ones((2, 6, 8))), "2 frames of 8x6; the video is 3 frames of 8x6"),
        (lambda: cinemagraph(pictures(1)[0], np.zeros((6, 8))), "the region is empty"),
        (lambda: cinemagraph(pictures(1)[0], np.ones((8, 6))), "the region is 6x8; the image is 8x6"),
        (
            lambda: cinemagraph(pictures(1)[0], np.ones((3, 6, 8)), 5),
            "the region has 3 frames and the clip 5",
        ),
        (lambda: inpaint(pictures(3), np.full((6, 8), 2.0)), "values outside 0 to 1"),
        (lambda: inpaint(pictures(3), np.ones((6, 8), np.uint8)), "the mask is uint8 and at most 1"),
        (lambda: inpaint(pictures(3), np.ones(6)), r"a mask is h x w or t x h x w; this is \(6,\)"),
        (lambda: continue_from(pictures(3), 4), "4 frames are to be known; the video has 3"),
        (lambda: continue_from(pictures(9), 8, 8), "8 frames are known of 8; leave some"),
        (lambda: outpaint(pictures(1), (6, 8), (0, 0)), "give a larger one"),
        (lambda: outpaint(pictures(1), (7, 8), (2, 0)), r"8x6 does not fit at \(2, 0\) into 8x7"),
        (lambda: rectangle(6, 8, (4, 0, 4, 3)), "the box 4,0,4,3 is not within 8x6"),
        (lambda: Condition(pictures(1), np.full((1, 6, 8), 2.0)), "values outside 0 to 1"),
        (lambda: Condition(pictures(1), np.ones((1, 6, 9))), "known is"),
        (lambda: Condition(pictures(0), np.ones((0, 6, 8))), "has no frames"),
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


def test_the_unknown_part_alone_is_put_in_its_place() -> None:
    video = pictures(3)
    mask = np.zeros((3, 6, 8), bool)
    mask[0, 2, 3], mask[2, 3, 5] = True, True
    condition = inpaint(video, mask)
    part, box = condition.crop_to_unknown(1)
    assert box == (2, 1, 7, 5) and (part.video == video[:, 1:5, 2:7]).all()
    assert (condition.paste(part.video, box) == video).all()
    large = part.resized(16, 20)
    made = condition.composite(condition.paste(255 - large.video, box))
    changed = (made != video).any(-1)
    assert changed[mask].all() and not changed[~mask].any()
    assert condition.crop_to_unknown(100)[1] == (0, 0, 8, 6)
    assert from_image(video[0]).crop_to_unknown(0)[1] == (0, 0, 8, 6)
    with pytest.raises(InputError, match="the padding is -1 pixels"):
        condition.crop_to_unknown(-1)
    with pytest.raises(InputError, match="there is nothing to generate"):
        Condition(video, np.ones((3, 6, 8))).crop_to_unknown(1)
