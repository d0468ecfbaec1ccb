"""The verbs of the conditioned model: what is given comes back, at any size, and bad input is one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumiere.cli import main
from lumiere.io.video import Clip, read_metadata
from movies import add_sound, heard, smooth_frames, write_movie


@pytest.fixture(scope="module")
def model(make_pipe, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "conditioned"
    make_pipe(conditioned=True).save_pretrained(folder)
    return folder


@pytest.fixture
def run(capfd, tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)

    def call(*arguments, model=model):
        with pytest.raises(SystemExit) as caught:
            main([*map(str, arguments), "--model", str(model), "--steps", "2", "--seed", "7"])
        captured = capfd.readouterr()
        return caught.value.code, captured.out, captured.err

    return call


@pytest.fixture
def image(tmp_path) -> np.ndarray:
    picture = smooth_frames(1, 48, 64)[0]
    Image.fromarray(picture).save(tmp_path / "cat.png")
    return picture


@pytest.fixture
def video(tmp_path) -> np.ndarray:
    frames = smooth_frames(6, 32, 32)
    Clip(frames, 12).save(tmp_path / "clip")
    return frames


def test_an_image_is_the_first_frame(run, image):
    code, out, err = run("animate", "cat.png", "a cat", "--frames", 5, "--out", "cat", "--size", "64")
    assert (code == 2 and "no model at emoji-upscaler" in err) or code == 0
    code, out, err = run("animate", "cat.png", "a cat", "--frames", 5, "--out", "small")
    assert (code, out) == (0, "small\n"), err
    clip = Clip.load("small")
    assert clip.frames.shape == (5, 24, 32, 3) and clip.fps == 16
    assert np.abs(clip.frames[0].astype(int) - image.reshape(24, 2, 32, 2, 3).mean((1, 3))).max() <= 1
    assert read_metadata("small")["known_psnr"] > 40
    assert run("animate", "cat.png", "--frames", 2)[1] == "cat-animated.mp4\n"


def test_at_the_sources_size_what_is_given_is_exact(run, image, tiny_upscaler):
    arguments = ["--frames", 3, "--out", "large", "--size", "source", "--upscaler", tiny_upscaler]
    code, _, err = run("animate", "cat.png", "a cat", *arguments)
    assert code == 0, err
    clip = Clip.load("large")
    assert clip.frames.shape == (3, 48, 64, 3) and (clip.frames[0] == image).all()
    assert clip.metadata["upscaled"]["width"] == 64
    assert run("animate", "cat.png", "--frames", 2, "--size", 16, "--out", "tiny")[0] == 0
    assert Clip.load("tiny").frames.shape == (2, 12, 16, 3)


def test_a_transition_ends_with_its_last_image(run, image, tmp_path):
    Image.fromarray(image[:, ::-1]).save(tmp_path / "dog.png")
    assert run("transition", "cat.png", "dog.png", "--frames", 4, "--out", "both")[0] == 0
    frames = Clip.load("both").frames
    half = [each.reshape(24, 2, 32, 2, 3).mean((1, 3)) for each in (image, image[:, ::-1])]
    assert np.abs(frames[0] - half[0]).max() <= 1 and np.abs(frames[-1] - half[1]).max() <= 1


@pytest.mark.parametrize("region", [["--box", "16,8,48,40"], ["--polygon", "16,8 47,8 47,39 16,39"], None])
def test_a_cinemagraph_moves_in_its_region(run, image, tmp_path, region):
    if region is None:
        mask = np.zeros((48, 64), np.uint8)
        mask[8:40, 16:48] = 255
        Image.fromarray(mask).save(tmp_path / "mask.png")
        region = ["--mask", "mask.png"]
    code, _, err = run("cinemagraph", "cat.png", *region, "--frames", 4, "--out", "moving")
    assert code == 0, err
    frames = Clip.load("moving").frames
    inside = np.zeros((24, 32), bool)
    inside[4:20, 8:24] = True
    assert (frames[:, ~inside] == frames[:1, ~inside]).all()
    assert (frames[1:, inside] != frames[:1, inside]).any()


def test_a_hole_is_filled_and_the_rest_and_the_rate_stay(run, video):
    code, _, err = run("inpaint", "clip", "a cat", "--box", "8,8,24,24", "--out", "mended")
    assert code == 0, err
    clip = Clip.load("mended")
    hole = np.zeros((32, 32), bool)
    hole[8:24, 8:24] = True
    assert clip.fps == 12 and (clip.frames[:, ~hole] == video[:, ~hole]).all()
    assert (clip.frames[:, hole] != video[:, hole]).any()
    raw = run("inpaint", "clip", "a cat", "--box", "8,8,24,24", "--out", "raw", "--no-composite")
    assert raw[0] == 0 and (Clip.load("raw").frames[:, hole] == clip.frames[:, hole]).all()


@pytest.mark.parametrize(("at", "row", "column"), [([], 8, 16), (["--at", "4,0"], 0, 4)])
def test_a_video_lies_on_a_larger_canvas(run, video, tiny_upscaler, at, row, column):
    arguments = ["--canvas", "64x48", *at, "--size", "source", "--upscaler", tiny_upscaler, "--out", "wide"]
    code, _, err = run("outpaint", "clip", "a cat", *arguments)
    assert code == 0 and "PSNR of the known region before compositing" in err, err
    clip = Clip.load("wide")
    assert clip.frames.shape == (6, 48, 64, 3) and clip.fps == 12
    assert (clip.frames[:, row : row + 32, column : column + 32] == video).all()


def test_a_mask_may_move(run, video, tmp_path):
    mask = np.zeros((6, 32, 32, 3), np.uint8)
    for frame in range(6):
        mask[frame, 4:12, 4 * frame : 4 * frame + 8] = 255
    Clip(mask, 12).save(tmp_path / "mask")
    assert run("inpaint", "clip", "--mask", "mask", "--out", "mended")[0] == 0
    frames = Clip.load("mended").frames
    assert (frames[mask == 0] == video[mask == 0]).all()


def test_a_video_goes_on_from_its_last_frames(run, video, tiny_upscaler):
    arguments = ["--frames", 14, "--given", 3, "--out", "longer", "--size", "source"]
    code, _, err = run("extend", "clip", "a cat", *arguments)
    assert code == 0, err
    clip = Clip.load("longer")
    assert clip.frames.shape == (14, 32, 32, 3) and clip.fps == 12
    assert (clip.frames[:6] == video).all() and (clip.frames[6:] != 0).any()
    assert clip.metadata["extended_from"] == 6 and clip.metadata["seed"] == 7
    raw = ["extend", "clip", "--frames", 9, "--given", 3, "--fps", 20, "--no-composite", "--out", "raw"]
    assert run(*raw)[0] == 0 and Clip.load("raw").fps == 20
    code, _, err = run("extend", "clip", "--frames", 6, "--out", "no")
    assert code == 2 and "6 frames are asked for; the clip has 6 already" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["animate", "none.png"], "none.png does not exist"),
        (["animate", "text.png"], "text.png is no picture that can be read"),
        (["animate", "cat.png", "--out", "cat.avi"], "the ending '.avi' is not known"),
        (["animate", "cat.png", "--out", "cat.png"], "cat.png is the source itself"),
        (["animate", "cat.png", "--size", "big"], "size is 'big'"),
        (["transition", "cat.png", "clip/frame-00000.png"], "the pictures are 32x32 and 64x48"),
        (["cinemagraph", "cat.png"], "0 of --mask, --box and --polygon are set"),
        (["cinemagraph", "cat.png", "--box", "1,2,3"], "--box is '1,2,3'; give LEFT,TOP,RIGHT,BOTTOM"),
        (["cinemagraph", "cat.png", "--box", "0,0,99,9"], "the box 0,0,99,9 is not within 64x48"),
        (["cinemagraph", "cat.png", "--polygon", "1,1 2,2"], "the polygon has 2 corners"),
        (["inpaint", "clip", "--mask", "cat.png"], "levels up to 217 of 255, and none is white"),
        (["inpaint", "clip", "--box", "0,0,32,32"], "covers all of every frame"),
        (["inpaint", "clip", "--mask", "black.png"], "the mask is empty"),
        (["outpaint", "clip", "--canvas", "32x32"], "the canvas is as large as the video"),
        (["outpaint", "clip", "--canvas", "64x16"], "does not fit"),
        (["outpaint", "clip", "--canvas", "64x64", "--at", "1"], "--at is '1'; give X,Y"),
        (["inpaint", "text.png", "--box", "0,0,8,8"], "text.png"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_one_line(run, image, video, tmp_path, arguments, message):
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (32, 32)).save(tmp_path / "black.png")
    before = sorted(path.name for path in tmp_path.iterdir())
    code, out, err = run(*arguments)
    assert (code, out) == (2, "") and message in err
    assert len(err.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_model_that_was_not_trained_to_says_so(run, image, tiny_bundle):
    code, _, err = run(
        "animate", "cat.png", "--frames", 2, "--resample", 2, "--out", "cat", model=tiny_bundle
    )
    assert code == 0 and "was not trained on conditions: known latents are clamped" in err
    clip = Clip.load("cat")
    assert np.abs(clip.frames[0].astype(int) - image.reshape(24, 2, 32, 2, 3).mean((1, 3))).max() <= 1
    assert clip.metadata["resample"] == 2
    run("animate", "cat.png", "--frames", 2, "--out", "trained")
    assert "resample" not in Clip.load("trained").metadata


def test_an_edited_video_keeps_rate_length_and_size(run, video):
    code, out, err = run("edit", "clip", "a dog", "--strength", 0.5, "--out", "edited")
    assert (code, out) == (0, "edited\n"), err
    clip = Clip.load("edited")
    assert clip.frames.shape == video.shape and clip.fps == 12 and clip.metadata["strength"] == 0.5
    assert (clip.frames != video).any()
    assert run("edit", "clip", "a dog", "--strength", 0.01, "--out", "nearly")[0] == 0
    near, far = (np.abs(Clip.load(name).frames.astype(int) - video).mean() for name in ("nearly", "edited"))
    assert near < far / 3


def test_a_masked_edit_leaves_all_else_as_it_was(run, video):
    assert run("edit", "clip", "a dog", "--box", "8,8,24,24", "--out", "edited")[0] == 0
    changed = (Clip.load("edited").frames != video).any(-1)
    assert changed[:, 8:24, 8:24].mean() > 0.5
    changed[:, 8:24, 8:24] = False
    assert not changed.any()


def test_strengths_are_swept_on_one_sheet(run, video):
    assert run("edit", "clip", "a dog", "--strength-sweep", "sweep.png")[1] == "sweep.png\n"
    with Image.open("sweep.png") as sheet:
        assert sheet.height > 6 * 32
    assert not Path("clip-edited.mp4").exists()
    code, _, err = run("edit", "clip", "a dog", "--strength-sweep", "sweep.mp4")
    assert code == 2 and "the ending '.mp4' is not known" in err


def test_what_cannot_be_edited(run, video, image):
    Clip(video[:1], 12).save("one")
    for arguments, said in [
        (("one", "a dog"), "one has 1 frame; give a video of 2 or more"),
        (("clip", " "), "the prompt is empty"),
        (("clip", "a dog", "--strength", 0), "0 is not in the range"),
        (("clip", "a dog", "--box", "0,0,32,32"), "covers all of every frame"),
        (("clip", "a dog", "--box", "0,0,8,8", "--polygon", "0,0 4,0 0,4"), "2 of --mask"),
    ]:
        code, _, err = run("edit", *arguments, "--out", "none")
        assert code == 2 and said in err, err
        assert not Path("none").exists()


def test_sound_goes_along(run):
    add_sound(write_movie(Path("clip.mp4"), smooth_frames(25)), "aac", 1.0)
    for verb in (["edit", "sound-aac.mp4", "a cat"], ["inpaint", "sound-aac.mp4", "--box", "8,8,24,24"]):
        assert run(*verb, "--out", "new.mp4", "--overwrite")[0] == 0
        assert np.array_equal(heard(Path("new.mp4"))[1], heard(Path("sound-aac.mp4"))[1])


def test_what_is_given_may_be_less_than_a_pixel_of_the_models(run):
    Clip(smooth_frames(2, 320, 320), 12).save("large")
    code, _, err = run("inpaint", "large", "--box", "4,4,316,316", "--out", "mended")
    assert code == 0 and "PSNR" not in err, err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--upscaler", "typo", "--size", 64], "no model at typo"),
        (["--upscaler", "typo"], "--upscaler typo needs a --size"),
        (["--size", "0x64"], "size is '0x64'"),
        (["--size", 0], "size is '0'"),
    ],
)
def test_sizes_are_checked_before_any_work(run, image, options, said):
    code, _, err = run("animate", "cat.png", *options, "--out", "none")
    assert code == 2 and said in err and "sampling" not in err, err


def test_a_hole_is_made_by_itself_at_the_sources_size(run):
    video = smooth_frames(4, 90, 120)
    Clip(video, 12).save("large")
    hole = ["--box", "20,30,36,50", "--padding-mask-crop", 4]
    code, _, err = run("inpaint", "large", "a cat", *hole, "--out", "mended")
    assert code == 0, err
    changed = (Clip.load("mended").frames != video).any(-1)
    assert changed.shape == (4, 90, 120) and changed[:, 30:50, 20:36].mean() > 0.5
    changed[:, 30:50, 20:36] = False
    assert not changed.any()
    assert run("inpaint", "large", *hole, "--no-composite", "--out", "raw")[0] == 0
    around = (Clip.load("raw").frames != video).any(-1)
    assert around[:, 26:54, 16:40].mean() > 0.5 and not around[:, :26].any()
