"""Files of other programs, and broken ones: read as a player shows them, or refused in one line."""

from __future__ import annotations

import io
import json
import logging
import os
import struct
import tarfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from lumiere.conditions import inpaint, outpaint, read_mask
from lumiere.errors import InputError
from lumiere.io import text
from lumiere.io.limits import FRAMES, PIXELS, SECONDS
from lumiere.io.pictures import read_picture
from lumiere.io.source import Kind, Packed, kind_of
from lumiere.io.video import Clip, probe, stream, usable_sound
from lumiere.io.video.reading import read
from movies import smooth_frames, write_movie

CASES = Path(__file__).parents[1] / "cases"


def readers(source: Path):
    """Every way to the frames of a file."""
    return {
        "load": lambda: Clip.load(source).frames,
        "stream": lambda: np.stack(list(stream(source)[1])),
        "bytes": lambda: Clip.load(Packed(source.name, source.read_bytes())).frames,
    }


# ---------------------------------------------------------------- geometry and transfer


@pytest.mark.parametrize("way", ["load", "stream", "bytes"])
def test_pixels_become_square(way: str) -> None:
    path = CASES / "anamorphic-64x45.mp4"
    assert readers(path)[way]().shape == (8, 64, 102, 3)
    assert (probe(path).width, probe(path).height) == (102, 64)


def test_a_ratio_below_one_enlarges_the_height(tmp_path: Path) -> None:
    path = tmp_path / "tall.mp4"
    with av.open(str(path), "w") as container:
        movie = container.add_stream("libx264", rate=10)
        movie.height, movie.width, movie.pix_fmt = 32, 64, "yuv420p"
        movie.codec_context.sample_aspect_ratio = Fraction(1, 2)
        container.mux(movie.encode(av.VideoFrame.from_ndarray(smooth_frames(1, 32, 64)[0])))
        container.mux(movie.encode())
    assert Clip.load(path).frames.shape == (1, 64, 64, 3)


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_display_matrix_is_followed(tmp_path: Path, turn: int, mirrored: bool) -> None:
    """Against the frames turned by Pillow as the matrix says, for all eight orientations."""
    frames = np.zeros((1, 32, 64, 3), np.uint8)
    frames[:, :16, :16], frames[:, 16:, 48:] = 255, 128
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as container:
        movie = container.add_stream("libx264", rate=10)
        movie.height, movie.width, movie.pix_fmt = 32, 64, "yuv420p"
        movie.set_display_rotation(90 * turn)
        container.mux(movie.encode(av.VideoFrame.from_ndarray(frames[0])))
        container.mux(movie.encode())
    if mirrored:
        data = path.read_bytes()
        begin = data.index(b"tkhd") + 44
        matrix = struct.unpack(">9i", data[begin : begin + 36])
        flipped = [-matrix[0], matrix[1], matrix[2], -matrix[3], *matrix[4:]]
        path.write_bytes(data[:begin] + struct.pack(">9i", *flipped) + data[begin + 36 :])
    expected = np.rot90(frames[0], turn)
    expected = expected[:, ::-1] if mirrored else expected
    found = Clip.load(path).frames[0]
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 4


def test_a_mirrored_phone_video_is_shown_as_a_player_shows_it() -> None:
    frame = Clip.load(CASES / "mirrored-horizontally.mp4").frames[0]
    corners = frame[[2, 2, -3, -3], [2, -3, 2, -3]].mean(-1)
    assert corners[1] > 240 and corners[[0, 2, 3]].max() < 15


def test_hdr_is_tone_mapped(tmp_path: Path) -> None:
    """The ramp's last column is SDR white, 203 cd/m2."""
    ramp = Clip.load(CASES / "hdr10-pq-ramp.mp4").frames[0, 32].mean(-1)
    assert 235 <= ramp[-1] <= 255 and ramp[0] < 5
    assert (np.diff(ramp[::16]) > 8).all()


# ---------------------------------------------------------------- time


def test_a_webp_frame_of_no_duration_stays_a_tenth_of_a_second() -> None:
    path = CASES / "frame-without-duration.webp"
    for clip in (Clip.load(path), probe(path)):
        assert (clip.fps, clip.duration) == (10, 0.6)


def test_two_pictures_at_the_same_time_leave_the_other_times(tmp_path: Path) -> None:
    """A pause of 0.4 s stays, though two pictures begin at once."""
    times = [0, 40, 80, 80, 120, 160, 560, 600, 640]
    path = write_movie(tmp_path / "pair.mkv", smooth_frames(9), milliseconds=times)
    clip = Clip.load(path)
    assert (clip.fps, len(clip), probe(path).frames) == (25, 17, 17)


def test_what_decodes_of_a_trimmed_or_fragmented_file_is_used() -> None:
    for name, count in (("trimmed.mp4", 22), ("fragmented.mp4", 40)):
        frames = {way: read() for way, read in readers(CASES / name).items()}
        assert {len(each) for each in frames.values()} == {count, probe(CASES / name).frames}
        assert not np.array_equal(frames["load"][0], frames["load"][-1])


# ---------------------------------------------------------------- masks and levels


def test_a_mask_is_read_by_its_content(tmp_path: Path) -> None:
    """Whatever the file's name ends in, and without one."""
    expected = read_mask(CASES / "mask.m4v")
    assert expected.shape == (12, 64, 64) and set(np.unique(expected)) == {0, 1}
    for name in ("mask.ts", "mask.MP4", "mask.png", "mask"):
        path = CASES / name
        if not path.exists():
            path = tmp_path / name
            path.write_bytes((CASES / "mask.m4v").read_bytes())
        assert np.array_equal(read_mask(path), expected)
        assert inpaint(CASES / "masked-clip.mp4", path).num_frames == 12
    still = tmp_path / "still.mp4"
    Image.fromarray((expected[0] * 255).astype(np.uint8)).save(still, "PNG")
    assert np.array_equal(read_mask(still), expected[0])


def test_an_alpha_mask_is_turned_like_any_picture() -> None:
    mask = read_mask(CASES / "mask-alpha-exif-turned.png")
    with Image.open(CASES / "mask-alpha-exif-turned.png") as picture:
        stored = np.asarray(picture.getchannel("A")) / 255
    assert np.array_equal(mask, np.rot90(stored, -1))


def test_a_mask_that_never_reaches_white_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"levels up to 38 of 255, and none is white"):
        read_mask(CASES / "mask-coloured-label.png")
    with pytest.raises(InputError, match="none is white"):
        read_mask(np.full((4, 4), 3, np.uint8) * 30)
    assert not read_mask(np.zeros((4, 4), np.uint8)).any()
    assert read_mask(np.full((4, 4), 0.5, np.float32)).max() == 0.5


def float_picture(path: Path, levels: list[float]) -> Path:
    Image.fromarray(np.array([levels], np.float32)).save(path)
    return path


def test_float_pictures_keep_their_levels(tmp_path: Path) -> None:
    assert read_picture(CASES / "float-to-1.01.tif")[0, :, 0].tolist() == [0, 128, 255]
    a_little_over = read_picture(float_picture(tmp_path / "over.tif", [0, 0.5, 1, 1.01]))
    assert a_little_over[0, :, 0].tolist() == [0, 126, 252, 255]
    assert read_picture(float_picture(tmp_path / "bytes.tif", [0, 7, 255]))[0, :, 0].tolist() == [0, 7, 255]
    for levels in ([0, float("nan")], [0, float("inf")], [-7, 1], [0, 0.3, 5.5]):
        with pytest.raises(InputError, match=r"levels"):
            read_picture(float_picture(tmp_path / "odd.tif", levels))


def test_a_picture_from_an_archive_is_read_as_from_a_file(tmp_path: Path) -> None:
    with tarfile.open(CASES / "stills-alpha-16bit-turned.tar") as shard:
        packed = Packed("turned.jpg", shard.extractfile("turned.jpg").read())
    (tmp_path / "turned").write_bytes(packed.data)
    with Image.open(io.BytesIO(packed.data)) as stored:
        size = stored.size
    assert read_picture(packed).shape[:2] == size
    assert np.array_equal(read_picture(packed), read_picture(tmp_path / "turned"))
    assert np.array_equal(Clip.load(packed).frames[0], read_picture(packed))
    deep = io.BytesIO()
    Image.fromarray(np.full((4, 4), 117 * 257, np.uint16)).save(deep, "PNG")
    assert set(read_picture(Packed("deep.png", deep.getvalue())).flat) == {117}


# ---------------------------------------------------------------- what is claimed


@pytest.mark.parametrize("name", ["metadata-infinite.mp4", "metadata-huge-fps.mp4", "metadata-nested.mp4"])
def test_metadata_that_cannot_be_is_ignored_with_a_line(name: str, caplog) -> None:
    text.warn_once.cache_clear()
    clip = Clip.load(CASES / name)
    assert (len(clip), clip.fps, clip.metadata) == (16, 16, {})
    assert probe(CASES / name).frames == 16
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "ignored" in caplog.text and name in caplog.text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fps", "0"),
        ("fps", "1/0"),
        ("fps", 16),
        ("fps", "-3"),
        ("fps", "1e999999999"),
        ("size", [0, 2]),
        ("size", [2]),
        ("size", [1e400, 2]),
        ("size", "ab"),
        ("frames", -1),
        ("frames", True),
        ("frames", 10**30),
        ("settings", []),
        ("settings", {"prompt": "\ud800"}),
        ("settings", {"alpha": float("nan")}),
    ],
)
def test_a_note_that_is_not_as_it_is_written_is_ignored(tmp_path: Path, field: str, value: object) -> None:
    note = {"software": "lumiere", "fps": "16", "size": [48, 32], "frames": 2, "settings": {}} | {
        field: value
    }
    folder = Clip(smooth_frames(2), 16).save(tmp_path / "clip")
    (folder / "clip.json").write_text(json.dumps(note))
    with pytest.raises(InputError, match=r"clip\.json is damaged"):
        Clip.load(folder)


def claiming_png(width: int, height: int) -> bytes:
    """A PNG whose header claims a size, and that holds no pixels."""
    made = io.BytesIO()
    Image.new("L", (1, 1)).save(made, "PNG")
    data = bytearray(made.getvalue())
    import zlib

    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


def claiming_webp(width: int, height: int) -> bytes:
    made = io.BytesIO()
    first = Image.new("RGB", (8, 8))
    first.save(made, "WEBP", save_all=True, append_images=[Image.new("RGB", (8, 8), "red")])
    data = bytearray(made.getvalue())
    data[24:27], data[27:30] = (width - 1).to_bytes(3, "little"), (height - 1).to_bytes(3, "little")
    return bytes(data)


def test_a_size_is_checked_before_anything_is_decoded(tmp_path: Path, monkeypatch) -> None:
    files = {
        "claims.gif": (CASES / "claims-16000x16000.gif").read_bytes(),
        "claims.png": claiming_png(12000, 12000),
        "claims.webp": claiming_webp(16000, 16000),
    }
    for name, data in files.items():
        path = tmp_path / name
        path.write_bytes(data)
        for reader in (Clip.load, probe, read_picture, read_mask):
            with pytest.raises(InputError, match=PIXELS):
                reader(path)
    movie = write_movie(tmp_path / "movie.mp4", smooth_frames(3))
    Clip(smooth_frames(3), 16).save(tmp_path / "folder")
    monkeypatch.setenv(PIXELS, "1000")
    for path in (movie, tmp_path / "folder"):
        for reader in (Clip.load, probe):
            with pytest.raises(InputError, match=PIXELS):
                reader(path)
    with pytest.raises(InputError, match=PIXELS):
        outpaint(smooth_frames(2), (40, 60), (0, 0))
    monkeypatch.setenv(PIXELS, "200000000")
    with pytest.raises(InputError, match=r"no picture that can be read"):
        read_picture(tmp_path / "claims.png")
    monkeypatch.setenv(PIXELS, "many")
    with pytest.raises(InputError, match="give a whole number"):
        probe(movie)


def test_a_length_is_checked_too(tmp_path: Path, monkeypatch) -> None:
    movie = write_movie(tmp_path / "movie.mkv", smooth_frames(3), milliseconds=[0, 40, 90_000_000])
    for reader in (Clip.load, probe):
        with pytest.raises(InputError, match=SECONDS):
            reader(movie)
    monkeypatch.setenv(SECONDS, "90001")
    with pytest.raises(InputError, match=FRAMES):
        probe(movie)
    monkeypatch.setenv(FRAMES, "9000000")
    monkeypatch.setenv(SECONDS, "9000000")
    folder = Clip(smooth_frames(2), 16).save(tmp_path / "clip")
    note = json.loads((folder / "clip.json").read_text())
    (folder / "clip.json").write_text(json.dumps(note | {"frames": 10**9}))
    for reader in (Clip.load, probe, lambda path: read(path, lambda picture: picture[:1])):
        with pytest.raises(InputError, match=FRAMES):
            reader(folder)
    (folder / "clip.json").write_text(json.dumps(note | {"frames": 5_000_000}))
    with pytest.raises(InputError, match="too long for the free memory"):
        Clip.load(folder)


# ---------------------------------------------------------------- what a path is


def special_paths(folder: Path) -> dict[str, Path]:
    os.mkfifo(folder / "pipe.mp4")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    return {
        "a named pipe": folder / "pipe.mp4",
        "symbolic links|ymlink": folder / "loop.mp4",
        "a device": Path("/dev/null"),
        "too long": folder / ("x" * 300),
        "cannot be used": folder / "nul\0.mp4",
    }


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    for said, path in special_paths(tmp_path).items():
        for reader in (Clip.load, probe, read_picture, read_mask):
            with pytest.raises(InputError, match=said):
                reader(path)


def test_content_says_what_a_file_is(tmp_path: Path) -> None:
    frames = smooth_frames(3)
    first, *others = map(Image.fromarray, frames)
    kinds = {}
    for ending in (".mp4", ".webm", ".gif", ".webp"):
        kinds[Clip(frames, 16).save(tmp_path / f"clip{ending}")] = Kind.VIDEO
    for ending in (".avi", ".mkv", ".mov", ".ts"):
        kinds[write_movie(tmp_path / f"other{ending}", frames)] = Kind.VIDEO
    for ending in ("png", "jpg", "webp", "tiff", "bmp"):
        first.save(tmp_path / f"still.{ending}")
        kinds[tmp_path / f"still.{ending}"] = Kind.PICTURE
    first.save(tmp_path / "moving.png", save_all=True, append_images=others)
    (tmp_path / "text.mp4").write_text("<html>" * 100)
    kinds |= {tmp_path / "moving.png": Kind.VIDEO, tmp_path / "text.mp4": Kind.OTHER}
    assert {path.name: kind_of(path) for path in kinds} == {path.name: kind for path, kind in kinds.items()}


def test_playlists_and_scripts_are_no_videos(tmp_path: Path) -> None:
    """They would open other files, or the network."""
    write_movie(tmp_path / "neighbour.mp4", smooth_frames(2))
    for content in ("ffconcat version 1.0\nfile neighbour.mp4\n", "#EXTM3U\n#EXTINF:1,\nneighbour.mp4\n"):
        path = tmp_path / "list.mp4"
        path.write_text(content)
        with pytest.raises(InputError, match="is no video"):
            Clip.load(path)


def test_paths_that_look_like_addresses_are_files(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    clip = Clip(smooth_frames(2), 16)
    for name in ("take:2.mp4", "run:7/clip.webm", "file:x.gif", "http:/host/x.mp4", "pipe:1.webp"):
        clip.save(name)
        assert len(Clip.load(name)) == probe(name).frames == 2
    with pytest.raises(InputError, match="does not exist"):
        Clip.load("http:/nowhere/x.mp4")


# ---------------------------------------------------------------- sound


def with_sound(source: Path, target: Path) -> Path:
    clip = Clip.load(source)
    return clip.save(target, sound=source)


def layout(path: Path) -> str | None:
    with av.open(str(path)) as container:
        return next((track.codec_context.layout.name for track in container.streams.audio), None)


def test_sound_gets_a_layout_that_the_encoder_has(tmp_path: Path) -> None:
    source = CASES / "sound-5.1-side.mp4"
    assert usable_sound(source, tmp_path / "new.webm") == source
    assert layout(with_sound(source, tmp_path / "new.webm")) == "5.1"
    assert layout(with_sound(source, tmp_path / "new.mp4")).startswith("5.1")
    assert usable_sound(source, tmp_path / "new.gif") is None


@pytest.mark.parametrize("channels", ["2.1", "quad(side)", "5.0(side)", "7.1", "7.1(wide)", "octagonal"])
@pytest.mark.parametrize("ending", ["webm", "mp4"])
def test_sound_of_any_layout_is_kept(tmp_path: Path, channels: str, ending: str) -> None:
    silent = write_movie(tmp_path / "silent.mkv", smooth_frames(4))
    source = tmp_path / "source.mkv"
    with av.open(str(silent)) as old, av.open(str(source), "w") as container:
        pictures = container.add_stream_from_template(old.streams.video[0])
        tone = container.add_stream("pcm_s16le", rate=48_000, layout=channels)
        count = tone.codec_context.layout.nb_channels
        frame = av.AudioFrame.from_ndarray(np.ones((1, 4800 * count), np.int16), "s16", channels)
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        container.mux(tone.encode(frame))
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = pictures
                container.mux(packet)
    new = with_sound(source, tmp_path / f"new.{ending}")
    assert layout(new) and len(Clip.load(new)) == 4


def test_sound_that_nothing_decodes_is_left_out_with_a_line(tmp_path: Path, caplog) -> None:
    text.warn_once.cache_clear()
    source = CASES / "sound-no-decoder.mp4"
    assert usable_sound(source, tmp_path / "new.mp4") is None
    for ending in ("mp4", "webm"):
        new = with_sound(source, tmp_path / f"new.{ending}")
        assert (len(Clip.load(new)), layout(new)) == (8, None)
    assert len(caplog.records) == 1 and "its sound is left out" in caplog.text
