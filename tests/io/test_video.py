"""Clips and their files: what goes in comes out, at the exact rate, whole or not at all."""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lumiere.errors import InputError
from lumiere.io.video import (
    ENDINGS,
    Clip,
    probe,
    read_metadata,
    save_picture,
    stream,
    write_frames,
    writing,
)
from lumiere.io.video.transparent import read_alpha
from movies import add_sound, heard, smooth_frames, write_movie

SETTINGS = {
    "prompt": 'a "black" cat ☃ 猫\'s <b> & \\ \n tab\t',
    "seed": 2**53,
    "guidance": 7.5,
    "negative": "",
    "window": None,
    "sizes": [1, 2],
}
NTSC_FILM = Fraction(24000, 1001)
# Peak signal to noise of smooth_frames, a few dB below what is measured; a wrong colour matrix costs 10.
LEAST_PSNR = {".mp4": 35, ".webm": 37, ".gif": 25, ".webp": 37, "": 100}
every_ending = pytest.mark.parametrize("ending", ENDINGS)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.square(a.astype(float) - b).mean(), 1e-9)))


# ---------------------------------------------------------------- round trips


@every_ending
@pytest.mark.parametrize("fps", [Fraction(16), NTSC_FILM], ids=["16", "24000/1001"])
@pytest.mark.parametrize("count", [1, 80])
def test_a_clip_comes_back(tmp_path: Path, ending: str, fps: Fraction, count: int) -> None:
    clip = Clip(smooth_frames(count), fps, SETTINGS)
    path = clip.save(tmp_path / f"clip{ending}")
    again = Clip.load(path)
    assert again.fps == fps
    assert again.frames.shape == clip.frames.shape
    assert again.metadata == SETTINGS == read_metadata(path)
    assert psnr(again.frames, clip.frames) > LEAST_PSNR[ending]
    info = probe(path)
    assert (info.width, info.height, info.frames, info.fps) == (48, 32, count, fps)
    assert info.duration == float(count / fps) == clip.duration


def test_a_folder_of_pngs_is_exact(tmp_path: Path) -> None:
    clip = Clip(np.random.default_rng(0).integers(0, 256, (3, 7, 5, 3), dtype=np.uint8), 12, SETTINGS)
    folder = clip.save(tmp_path / "clip")
    assert np.array_equal(Clip.load(folder).frames, clip.frames)
    assert sorted(path.name for path in folder.iterdir()) == [
        "clip.json",
        *(f"frame-0000{index}.png" for index in range(3)),
    ]


@every_ending
def test_frames_that_are_all_alike_are_counted(tmp_path: Path, ending: str) -> None:
    still = Clip(np.repeat(smooth_frames(1), 20, axis=0), 16)
    path = still.save(tmp_path / f"still{ending}")
    assert len(Clip.load(path)) == probe(path).frames == 20


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(1, 3),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    fps=st.fractions(Fraction(1, 4), 50, max_denominator=1001),
    ending=st.sampled_from(ENDINGS),
)
def test_any_size_and_rate_comes_back(
    tmp_path: Path, count: int, height: int, width: int, fps: Fraction, ending: str
) -> None:
    clip = Clip(smooth_frames(count, height, width), fps)
    again = Clip.load(clip.save(tmp_path / f"clip{ending}", overwrite=True))
    assert again.frames.shape == (count, height, width, 3)
    assert again.fps == fps


@pytest.mark.parametrize(
    ("fps", "exact"), [(16, Fraction(16)), (23.976, Fraction(2997, 125)), (29.97, Fraction(2997, 100))]
)
def test_rates_are_kept_as_given(fps: float, exact: Fraction) -> None:
    assert Clip(smooth_frames(1), fps).fps == exact
    assert Clip(smooth_frames(1), 24000 / 1001).fps == NTSC_FILM


# ---------------------------------------------------------------- what the files are


def test_an_mp4_plays_everywhere(tmp_path: Path) -> None:
    path = Clip(smooth_frames(80), 16).save(tmp_path / "clip.mp4")
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "the index is not in front"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.average_rate, stream.guessed_rate, stream.frames) == (16, 16, 80)
        assert stream.duration * stream.time_base == 5
        assert container.duration == 5 * av.time_base
        times = [frame.pts * frame.time_base for frame in container.decode(stream)]
    assert times == [Fraction(index, 16) for index in range(80)]


def test_an_odd_size_is_made_even_in_an_mp4_and_only_there(tmp_path: Path) -> None:
    clip = Clip(smooth_frames(2, 33, 17), 16)
    for ending, size in (".mp4", (18, 34)), (".webm", (17, 33)):
        with av.open(str(clip.save(tmp_path / f"odd{ending}"))) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height) == size


def test_gif_delays_have_the_exact_mean(tmp_path: Path) -> None:
    path = Clip(smooth_frames(80), 16).save(tmp_path / "clip.gif")
    with Image.open(path) as image:
        assert image.n_frames == 80
        assert image.info["loop"] == 0
        delays = []
        for index in range(80):
            image.seek(index)
            delays.append(image.info["duration"])
    assert sum(delays) == 5000
    assert set(delays) == {60, 70}


def test_a_gif_of_few_colours_keeps_them_exactly_enough(tmp_path: Path) -> None:
    frames = np.full((3, 16, 16, 3), (126, 62, 172), np.uint8)
    frames[1, 4:8, 4:8] = (250, 220, 60)
    again = Clip.load(Clip(frames, 10).save(tmp_path / "flat.gif"))
    assert np.abs(again.frames.astype(int) - frames).max() <= 2


def test_webp_delays_have_the_exact_mean(tmp_path: Path) -> None:
    path = Clip(smooth_frames(80), 16).save(tmp_path / "clip.webp")
    with Image.open(path) as image:
        delays = []
        for index in range(image.n_frames):
            image.seek(index)
            image.load()
            delays.append(image.info["duration"])
    assert (len(delays), sum(delays), set(delays)) == (80, 5000, {62, 63})


# ---------------------------------------------------------------- other programs' files


def test_rotation_is_undone(tmp_path: Path) -> None:
    frames = np.zeros((2, 32, 48, 3), np.uint8)
    frames[:, :, :16] = 255
    path = write_movie(tmp_path / "turned.mp4", frames, rotation=90)
    upright = Clip.load(path).frames
    assert upright.shape == (2, 48, 32, 3)
    assert psnr(upright, np.rot90(frames, 1, (1, 2))) > 25
    assert (probe(path).width, probe(path).height) == (32, 48)


def test_a_variable_rate_is_made_uniform(tmp_path: Path) -> None:
    """Nine pictures 40 ms apart, but the fifth stays for four intervals: it is repeated."""
    times = [0, 40, 80, 120, 160, 320, 360, 400, 440]
    path = write_movie(tmp_path / "variable.mkv", smooth_frames(9), milliseconds=times)
    clip = Clip.load(path)
    assert clip.fps == 25
    assert (len(clip), probe(path).frames) == (12, 12)
    for index in (5, 6, 7):
        assert np.array_equal(clip.frames[index], clip.frames[4])
    assert not np.array_equal(clip.frames[8], clip.frames[4])


def test_jittered_times_keep_every_frame(tmp_path: Path) -> None:
    times = [0, 41, 79, 121, 160, 198, 242, 280, 320, 360]
    clip = Clip.load(write_movie(tmp_path / "jitter.mkv", smooth_frames(10), milliseconds=times))
    assert len(clip) == 10
    assert float(clip.fps) == pytest.approx(25, rel=0.02)


def test_a_gif_that_holds_its_last_frame_keeps_its_speed(tmp_path: Path) -> None:
    first, *others = map(Image.fromarray, smooth_frames(4))
    first.save(tmp_path / "hold.gif", save_all=True, append_images=others, duration=[100, 100, 100, 1000])
    clip = Clip.load(tmp_path / "hold.gif")
    assert (clip.fps, len(clip), clip.metadata) == (10, 13, {})


@pytest.mark.parametrize("name", ["alpha.webm", "alpha.gif", "alpha.png", "alpha.webp"])
def test_alpha_lies_on_white(tmp_path: Path, name: str) -> None:
    frames = np.zeros((3, 32, 32, 4), np.uint8)
    frames[:, 8:24, 8:24] = (255, 0, 0, 255)
    frames[1, 12:14, 12:14] = (0, 0, 255, 255)
    frames[:, 0, 0] = (0, 0, 0, 128)
    path = tmp_path / name
    if path.suffix == ".webm":
        write_movie(path, frames, "libvpx-vp9", "yuva420p")
    else:
        first, *others = (Image.fromarray(frame) for frame in frames)
        first.save(path, save_all=True, append_images=others, duration=40)
    clip = Clip.load(path)
    assert (len(clip), clip.fps) == (3, 25)
    assert np.abs(clip.frames[0, 2, 2].astype(int) - (255, 255, 255)).max() <= 3
    assert np.abs(clip.frames[0, 18, 18].astype(int) - (255, 0, 0)).max() <= 6


@pytest.mark.parametrize("ending", [".avi", ".mov", ".mkv", ".ts"])
def test_other_containers_are_read(tmp_path: Path, ending: str) -> None:
    path = write_movie(tmp_path / f"other{ending}", smooth_frames(10))
    clip = Clip.load(path)
    assert (len(clip), clip.fps, clip.metadata) == (10, 25, {})
    assert psnr(clip.frames, smooth_frames(10)) > 25


@pytest.mark.parametrize(
    "comment", ["a holiday", '{"software": "other"}', '{"software": "lumiere"}', "[1]", "{"]
)
def test_a_foreign_comment_is_no_settings(tmp_path: Path, comment: str) -> None:
    path = Clip(smooth_frames(2), 16, SETTINGS).save(tmp_path / "clip.gif")
    start, frames = path.read_bytes().split(b"\x21\xfe", 1)
    text = comment.encode()
    path.write_bytes(
        start + b"\x21\xfe" + bytes([len(text)]) + text + b"\x00" + frames[_comment_size(frames) :]
    )
    clip = Clip.load(path)
    assert (len(clip), clip.metadata) == (2, {})


def _comment_size(blocks: bytes) -> int:
    end = 0
    while blocks[end]:
        end += 1 + blocks[end]
    return end + 1


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9])
@pytest.mark.parametrize("ending", [".mp4", ".webm", ".gif", ".webp"])
def test_a_truncated_file_is_refused(tmp_path: Path, ending: str, share: float) -> None:
    data = Clip(smooth_frames(40), 16).save(tmp_path / f"whole{ending}").read_bytes()
    path = tmp_path / f"cut{ending}"
    path.write_bytes(data[: int(len(data) * share)])
    for reader in (Clip.load, probe):
        with pytest.raises(InputError, match=r"cut short|no video stream"):
            reader(path)


def test_files_that_hold_no_video_are_refused(tmp_path: Path) -> None:
    text, sound, folder = tmp_path / "text.mp4", tmp_path / "sound.mp4", tmp_path / "folder"
    text.write_text("not a video")
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    folder.mkdir()
    for path, complaint in (
        (tmp_path / "missing.mp4", "does not exist"),
        (text, "is no video"),
        (sound, "has no video stream"),
        (folder, r"without the clip\.json"),
    ):
        for reader in (Clip.load, probe):
            with pytest.raises(InputError, match=complaint):
                reader(path)


def test_a_folder_with_a_frame_missing_is_refused(tmp_path: Path) -> None:
    folder = Clip(smooth_frames(3), 16).save(tmp_path / "clip")
    (folder / "frame-00001.png").unlink()
    with pytest.raises(InputError, match=r"frame-00001\.png is missing"):
        Clip.load(folder)
    (folder / "clip.json").write_text(json.dumps({"frames": 3}))
    with pytest.raises(InputError, match=r"clip\.json is damaged"):
        Clip.load(folder)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 4), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
    ],
    ids=["float", "one picture", "alpha", "none"],
)
def test_frames_of_another_kind_are_refused(frames: np.ndarray) -> None:
    with pytest.raises(InputError, match="uint8, T x H x W x 3"):
        Clip(frames, 16)


@pytest.mark.parametrize("fps", [0, -1, 1e-9, 1e9, float("nan"), float("inf")])
def test_rates_that_cannot_be_are_refused(fps: float) -> None:
    with pytest.raises(InputError, match="frames per second cannot be"):
        Clip(smooth_frames(1), fps)


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="50 a second"):
        Clip(smooth_frames(2), 60).save(tmp_path / "fast.gif")
    with pytest.raises(InputError, match="16383"):
        Clip(np.zeros((1, 1, 16384, 3), np.uint8), 16).save(tmp_path / "wide.webp")
    with pytest.raises(InputError, match="libx264 refuses"):
        Clip(np.zeros((1, 2, 40000, 3), np.uint8), 16).save(tmp_path / "wide.mp4")
    with pytest.raises(InputError, match="metadata cannot be stored as JSON"):
        Clip(smooth_frames(1), 16, {"path": tmp_path}).save(tmp_path / "path.mp4")
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- frame by frame, with sound


@every_ending
def test_a_stream_is_the_clip_frame_by_frame(tmp_path: Path, ending: str) -> None:
    path = Clip(smooth_frames(7, 33, 47), 16, {"prompt": "waves"}).save(tmp_path / f"clip{ending}")
    info, frames = stream(path)
    assert info == probe(path)
    assert np.array_equal(np.stack(list(frames)), Clip.load(path).frames)


def test_a_stream_repeats_and_turns_frames_as_loading_does(tmp_path: Path) -> None:
    times = [0, 40, 80, 120, 160, 320, 360, 400, 440]
    variable = write_movie(tmp_path / "variable.mkv", smooth_frames(9), milliseconds=times)
    turned = write_movie(tmp_path / "turned.mp4", smooth_frames(4), rotation=90)
    for path in (variable, turned):
        info, frames = stream(path)
        pictures = list(frames)
        assert len(pictures) == info.frames
        assert np.array_equal(np.stack(pictures), Clip.load(path).frames)


@every_ending
def test_frames_that_come_one_by_one_are_written_alike(tmp_path: Path, ending: str) -> None:
    clip = Clip(smooth_frames(6, 33, 47), 16, {"seed": 1})
    whole = clip.save(tmp_path / f"whole{ending}")
    single = write_frames(
        tmp_path / f"single{ending}", iter(clip.frames), 6, (33, 47), Fraction(16), clip.metadata
    )
    assert np.array_equal(Clip.load(single).frames, Clip.load(whole).frames)
    assert (probe(single).fps, read_metadata(single)) == (16, {"seed": 1})


@every_ending
@pytest.mark.parametrize("size", [(33, 47), (90, 160)])
def test_the_same_frames_make_the_same_file(tmp_path: Path, ending: str, size: tuple[int, int]) -> None:
    clip = Clip(smooth_frames(6, *size), 16, {"seed": 1})
    files = []
    for attempt in range(8):
        _other_memory = [np.full(40_000 + 997 * attempt, attempt, np.uint8) for _ in range(20)]
        path = clip.save(tmp_path / f"{attempt}{ending}")
        files.append([part.read_bytes() for part in [path, *sorted(path.glob("*"))] if part.is_file()])
    assert all(contents == files[0] for contents in files)


def write_with_sound(source: Path, target: Path) -> Path:
    info, frames = stream(source)
    return write_frames(
        target, frames, info.frames, (info.height, info.width), info.fps, info.metadata, sound=source
    )


def test_sound_is_copied_where_the_format_holds_it(tmp_path: Path) -> None:
    source = add_sound(write_movie(tmp_path / "silent.mp4", smooth_frames(50)), "aac", 2.0)
    codec, samples = heard(write_with_sound(source, tmp_path / "new.mp4"))
    assert codec == "aac"
    assert np.array_equal(samples, heard(source)[1])


def test_sound_is_reencoded_where_the_format_does_not_hold_it(tmp_path: Path) -> None:
    source = add_sound(write_movie(tmp_path / "silent.mp4", smooth_frames(50)), "aac", 2.0)
    codec, samples = heard(write_with_sound(source, tmp_path / "new.webm"))
    spectrum = np.abs(np.fft.rfft(samples[24_000:72_000]))
    assert codec in ("opus", "libopus")
    assert len(samples) / 48_000 == pytest.approx(2.0, abs=0.05)
    assert spectrum.argmax() == 440


def test_sound_stays_with_the_pictures_when_these_begin_late(tmp_path: Path) -> None:
    silent = write_movie(tmp_path / "silent.mp4", smooth_frames(25))
    source = add_sound(silent, "aac", 1.5, begins=0.5)
    _, samples = heard(write_with_sound(source, tmp_path / "new.mp4"))
    assert len(samples) / 48_000 == pytest.approx(1.0, abs=0.05)


def test_no_sound_is_no_trouble(tmp_path: Path) -> None:
    source = write_movie(tmp_path / "silent.mp4", smooth_frames(5))
    for ending in ENDINGS:
        made = write_with_sound(source, tmp_path / f"new{ending}")
        assert probe(made).frames == 5


def test_a_video_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    source = add_sound(write_movie(tmp_path / "silent.mp4", smooth_frames(50)), "aac", 2.0)
    info, frames = stream(source)

    def failing():
        yield next(frames)
        raise KeyboardInterrupt

    size = (info.height, info.width)
    for ending in ENDINGS:
        with pytest.raises(KeyboardInterrupt):
            write_frames(tmp_path / f"new{ending}", failing(), 50, size, info.fps, {}, sound=source)
    assert {path.name for path in tmp_path.iterdir()} == {"silent.mp4", source.name}


# ---------------------------------------------------------------- whole or not at all


@every_ending
def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Clip(smooth_frames(2), 16, {"prompt": "old"}).save(tmp_path / f"clip{ending}")

    def write_and_fail(target: Path, footage: writing.VideoInput) -> None:
        whole(target, footage)
        raise KeyboardInterrupt

    whole = writing.WRITERS[ending]
    monkeypatch.setitem(writing.WRITERS, ending, write_and_fail)
    with pytest.raises(KeyboardInterrupt):
        Clip(smooth_frames(2), 16).save(path, overwrite=True)
    with pytest.raises(KeyboardInterrupt):
        Clip(smooth_frames(2), 16).save(tmp_path / f"new{ending}")
    assert list(tmp_path.iterdir()) == [path]
    assert read_metadata(path) == {"prompt": "old"}


@every_ending
def test_an_existing_clip_is_replaced_only_on_demand(tmp_path: Path, ending: str) -> None:
    path = Clip(smooth_frames(3), 16, {"prompt": "old"}).save(tmp_path / "deep" / f"clip{ending}")
    new = Clip(smooth_frames(2), 16, {"prompt": "new"})
    with pytest.raises(InputError, match="exists"):
        new.save(path)
    assert read_metadata(path) == {"prompt": "old"}
    new.save(path, overwrite=True)
    assert (len(Clip.load(path)), read_metadata(path)) == (2, {"prompt": "new"})
    assert list(path.parent.iterdir()) == [path]


def test_pictures_are_written(tmp_path: Path) -> None:
    pixels = smooth_frames(1)[0]
    with Image.open(save_picture(pixels, tmp_path / "picture.png")) as image:
        assert np.array_equal(np.asarray(image), pixels)
    with pytest.raises(InputError, match="exists"):
        save_picture(pixels, tmp_path / "picture.png")
    with pytest.raises(InputError, match=r"'\.bmp' is not known"):
        save_picture(pixels, tmp_path / "picture.bmp")


def test_a_clip_is_a_sequence_of_images_that_diffusers_exports(tmp_path):
    from diffusers.utils import export_to_gif
    from PIL import Image

    frames = np.random.default_rng(0).integers(0, 256, (5, 16, 24, 3), np.uint8)
    clip = Clip(frames, 16, {"seed": 1})
    assert isinstance(clip[1], Image.Image) and (np.asarray(clip[-1]) == frames[-1]).all()
    part = clip[1:3]
    assert isinstance(part, Clip) and (part.frames == frames[1:3]).all() and part.metadata == clip.metadata
    assert [np.asarray(each).tolist() for each in clip] == frames.tolist()
    with Image.open(export_to_gif(clip, str(tmp_path / "clip.gif"))) as image:
        assert image.n_frames == 5
    assert clip._repr_html_().startswith('<video width="24" height="16" src="data:video/mp4;base64,')


@pytest.mark.parametrize("kind", ["movie", "folder"])
def test_alpha_is_read_at_the_times_of_the_pictures_it_is_of(tmp_path, kind):
    colours = smooth_frames(4, 16, 24)
    alpha = np.linspace(0, 255, 24).astype(np.uint8) * np.ones_like(colours[..., :1])[..., 0]
    rgba = np.concatenate([colours, alpha[..., None]], -1)
    if kind == "movie":
        times = [0, 40, 120, 160]
        path = write_movie(tmp_path / "a.mov", rgba, codec="png", pix_fmt="rgba", milliseconds=times)
        rgba = rgba[[0, 1, 1, 2, 3]]
    else:
        path = Clip(colours, 10).save(tmp_path / "a")
        for index, frame in enumerate(rgba):
            Image.fromarray(frame).save(path / f"frame-{index:05d}.png")
    assert np.array_equal(read_alpha(path)[: len(rgba)], rgba)
    shown = Clip.load(path)
    assert len(shown) == len(read_alpha(path)) and (shown.frames[:, :, 0] == 255).all()
