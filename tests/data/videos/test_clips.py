from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from broken_videos import broken
from lumiere.data import h264
from lumiere.data.videos.clips import Video, crashed, prepare
from movies import smooth_frames, write_movie


def test_a_video_becomes_clips_at_the_rate_and_the_size(tmp_path, outcome):
    frames = smooth_frames(30, 64, 96)  # 1.2 s, twice the bucket
    result = outcome(write_movie(tmp_path / "a.mp4", frames))
    assert [str(clip.size) for clip in result.clips] == ["48x32"] and result.short == 1
    (clip,) = result.clips
    assert clip.about == {
        "caption": "waves",
        "file": "a.mp4",
        "start": 0.0,
        "fps": 16.0,
        "frames": 16,
        "width": 48,
        "height": 32,
    }
    shown = frames[[int((n + 0.5) * 25 / 16) for n in range(16)]]
    small = shown.reshape(16, 32, 2, 48, 2, 3).mean((2, 4))
    assert np.abs(h264.decode(clip.mp4) - small).mean() < 4


def test_shots_are_clips_of_their_own(tmp_path, outcome, settings):
    frames = smooth_frames(50)
    frames[28:] = np.roll(255 - frames[28:], 1, -1)
    path = write_movie(tmp_path / "a.mp4", frames)
    shots = outcome(path).clips
    assert [clip.about["start"] for clip in shots] == [0.0, pytest.approx(28 / 25, abs=1 / 16)]
    whole = outcome(path, settings=replace(settings, scenes=False, max_frames=99)).clips
    assert [clip.about["frames"] for clip in whole] == [32]


@pytest.mark.parametrize(
    ("ending", "codec", "pixels"),
    [(".mov", "libx264", "yuv420p"), (".webm", "libvpx-vp9", "yuv420p"), (".gif", "gif", "rgb8")],
)
def test_whatever_ffmpeg_reads(tmp_path, outcome, ending, codec, pixels):
    path = write_movie(tmp_path / f"a{ending}", smooth_frames(25, 48, 32), codec, pixels)
    assert [str(clip.size) for clip in outcome(path).clips] == ["32x48"]


def test_every_way_to_be_broken_has_its_reason(tmp_path, outcome, movie):
    for number, (what, reason, spoil) in enumerate(broken(movie, tmp_path)):
        path = tmp_path / f"{number}.mp4"
        spoil(path)
        result = outcome(path)
        assert (result.reason, result.clips) == (reason, []), what
        assert result.detail, what


def test_captions_are_needed_or_given(tmp_path, outcome, movie, settings):
    path = tmp_path / "a.mp4"
    path.write_bytes(movie)
    assert outcome(path, None).reason == "no caption"
    (clip,) = outcome(path, None, replace(settings, caption="a video")).clips
    assert clip.about["caption"] == "a video"
    (clip,) = outcome(path, "waves", replace(settings, caption="a video")).clips
    assert clip.about["caption"] == "waves"


def test_a_video_in_a_tar_is_read_there(tmp_path, movie, settings):
    path = tmp_path / "a.tar"
    path.write_bytes(b"x" * 512 + movie + b"x" * 512)
    video = Video("a.tar/key.mp4", path, "waves", "1", 512, len(movie))
    assert len(prepare(video, settings).clips) == 1


def test_what_nobody_thought_of_is_a_reason_too(tmp_path, outcome, movie, monkeypatch):
    path = tmp_path / "a.mp4"
    path.write_bytes(movie)
    monkeypatch.setattr("lumiere.data.videos.clips.stream", lambda _: 1 / 0)
    result = outcome(path)
    assert result.reason == "failed" and result.detail.startswith("ZeroDivisionError")
    assert crashed(Video("a", Path("a"), None, "1")).reason == "decoder crashed"
