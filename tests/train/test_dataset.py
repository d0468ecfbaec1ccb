from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_shards import FRAMES, SIDE, about, mp4, picture, webp, write_shard

from lumiere.errors import InputError
from lumiere.io.video import Clip
from lumiere.train.dataset import CLIPS, STILLS, Pictures
from lumiere.train.draw import ahead, key, numbers

SIZE = (SIDE, SIDE)
CASES = Path(__file__).parents[1] / "cases"
RED = (220, 30, 30)


def test_stills_are_read_as_they_were_written(shards):
    stills = Pictures([f"{shards}/train-stills-*.tar"], STILLS, SIZE)
    assert len(stills) == 6
    assert stills.caption(0) == "a red block on a white background"
    assert np.array_equal(stills.read(0)[0], picture(RED, 4))
    assert np.array_equal(stills.read(3)[0], picture(RED, 12))


def test_clips_are_read_whole_or_one_frame_of_them(shards):
    clips = Pictures([f"{shards}/train-clips-*.tar"], CLIPS, SIZE)
    whole = clips.read(1)
    assert whole.shape == (FRAMES, SIDE, SIDE, 3) and whole.dtype == np.uint8
    for n in (0, 5, FRAMES - 1):
        assert np.array_equal(clips.read(1, (n + 0.5) / FRAMES), whole[n : n + 1])
    mean_x = [np.argwhere(frame[..., 0] < 120)[:, 1].mean() for frame in whole]
    assert np.all(np.diff(mean_x) > 0)  # the block moves right


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ({"a.webp": webp(picture(RED, 0))}, "has no a.json"),
        ({"a.webp": webp(picture(RED, 0)), "a.json": b"{}"}, "a.json of .* has no caption"),
        ({"a.webp": webp(picture(RED, 0)), "a.json": b'{"caption": ""}'}, "has no caption"),
        ({"a.webp": webp(picture(RED, 0)), "a.json": b"not json"}, "has no caption"),
        ({"a.mp4": mp4([picture(RED, 0)]), "a.json": about("a")}, "hold no pictures"),
    ],
)
def test_shards_that_cannot_be_used_are_refused(tmp_path, samples, message):
    write_shard(tmp_path / "a.tar", samples)
    with pytest.raises(InputError, match=message):
        Pictures([f"{tmp_path}/*.tar"], STILLS, SIZE)


def test_no_shards_and_no_tar_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no shards match .*nothing-\*\.tar"):
        Pictures([f"{tmp_path}/nothing-*.tar"], STILLS, SIZE)
    (tmp_path / "b.tar").write_bytes(b"this is no tar" * 100)
    with pytest.raises(InputError, match=r"b\.tar cannot be read"):
        Pictures([f"{tmp_path}/b.tar"], STILLS, SIZE)


def test_bad_media_is_named(tmp_path, shards):
    good = webp(picture(RED, 0))
    write_shard(tmp_path / "a.tar", {"x.webp": good[: len(good) // 2], "x.json": about("a")})
    with pytest.raises(InputError, match=r"sample 'x' of .*a\.tar cannot be decoded"):
        Pictures([f"{tmp_path}/a.tar"], STILLS, SIZE).read(0)
    write_shard(tmp_path / "c.tar", {"x.mp4": b"0" * 500, "x.json": about("a")})
    with pytest.raises(InputError, match="hold no videos"):
        Pictures([f"{tmp_path}/c.tar"], CLIPS, SIZE)
    broken = mp4([picture(RED, 0)])[:300]
    write_shard(tmp_path / "d.tar", {"x.mp4": broken, "x.json": about("a")})
    with pytest.raises(InputError, match="cut short"):
        Pictures([f"{tmp_path}/d.tar"], CLIPS, SIZE).read(0)
    with pytest.raises(InputError, match=r"is 32 x 32 pixels; data.size is 64 x 32"):
        Pictures([f"{shards}/train-stills-*.tar"], STILLS, (64, 32)).read(0)


def test_stills_are_read_as_any_picture(tmp_path):
    """White under transparency, 16 bits reduced to 8, EXIF orientation applied; whatever the name ends in."""
    clear, deep = io.BytesIO(), io.BytesIO()
    Image.new("RGBA", (SIDE, SIDE), (9, 9, 9, 0)).save(clear, "PNG")
    Image.fromarray(np.full((SIDE, SIDE), 117 * 257, np.uint16)).save(deep, "PNG")
    samples = {"clear.png": clear.getvalue(), "deep.PIC": deep.getvalue()}
    shard = write_shard(
        tmp_path / "a.tar", {**samples, **{f"{name[:-4]}.json": about("a") for name in samples}}
    )
    stills = Pictures([str(shard)], STILLS, SIZE)
    assert [set(stills.read(i).flat) for i in range(2)] == [{255}, {117}]
    turned = Pictures([str(CASES / "stills-alpha-16bit-turned.tar")], STILLS, SIZE)
    with tarfile.open(CASES / "stills-alpha-16bit-turned.tar") as tar:
        stored = np.asarray(Image.open(tar.extractfile("turned.jpg")).convert("RGB"))
    assert np.array_equal(turned.read(0)[0], np.rot90(stored, -1))


def test_clips_are_read_as_any_video(tmp_path):
    """Turned as the file says; as many frames as decode, whatever the header counts."""
    names = ("turned", "fragmented", "trimmed")
    samples = {f"{name}.mp4": (CASES / f"{name}.mp4").read_bytes() for name in names}
    shard = write_shard(tmp_path / "a.tar", {**samples, **{f"{name}.json": about("a") for name in names}})
    clips = Pictures([str(shard)], CLIPS, SIZE)
    for i, name in enumerate(names):
        whole = Clip.load(CASES / f"{name}.mp4").frames
        assert np.array_equal(clips.read(i), whole)
        for n in (0, 5, len(whole) - 1):
            assert np.array_equal(clips.read(i, (n + 0.5) / len(whole))[0], whole[n])


def test_a_clip_shorter_than_its_shard_states_stops_no_run(tmp_path, caplog):
    data = (CASES / "trimmed.mp4").read_bytes()
    stated = {"caption": "a", "frames": 34, "width": SIDE, "height": SIDE}
    shard = write_shard(tmp_path / "a.tar", {"x.mp4": data, "x.json": json.dumps(stated).encode()})
    frames = Pictures([str(shard)], CLIPS, SIZE, 30).read(0)
    assert len(frames) == 34 and (frames[22:] == frames[21]).all()
    assert "has 22 frames, of 34 that its shard states" in caplog.text


def test_webdataset_reads_the_same_samples(shards):
    import webdataset

    stream = webdataset.WebDataset(str(shards / "train-stills-00000.tar"), shardshuffle=False).decode("rgb8")
    stills = Pictures([f"{shards}/train-stills-00000.tar"], STILLS, SIZE)
    for i, sample in enumerate(stream):
        assert sample["json"]["caption"] == stills.caption(i)
        assert np.array_equal(sample["webp"], stills.read(i)[0])


def test_loading_ahead_keeps_the_order_and_passes_errors_on():
    def load(n: int) -> int:
        if n == 7:
            raise InputError("seven")
        return n * n

    batches = ahead(load, 3, workers=3)
    assert [next(batches) for _ in range(4)] == [9, 16, 25, 36]
    with pytest.raises(InputError, match="seven"):
        next(batches)


def test_draws_depend_on_every_part_of_their_name():
    keys = {key("batch", 0, 1, 2), key("batch", 0, 12), key("batch", 0, 2, 1), key("noise", 0, 1, 2)}
    assert len(keys) == 4 and all(0 <= k < 2**63 for k in keys)
    assert numbers("a", 1).random() == numbers("a", 1).random()
