"""``lumiere ablate multidiffusion`` on clips that a random model enlarges."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumiere.cli import main
from lumiere.data import h264
from lumiere.emoji.data.shards import tar
from lumiere.io.video import Clip
from lumiere.research.ablations.multidiffusion import smaller, ways

WAYS = ["truth", "bicubic", "Lanczos", "overlap 0", "overlap 2", "overlap 3", "one window"]


def textured(seed: int, frames: int = 14) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    return np.stack([np.roll(blocks, frame, 1) for frame in range(frames)])


@pytest.fixture
def clips(tmp_path: Path) -> list[str]:
    Clip(textured(0), 16).save(tmp_path / "clip.mp4")
    samples = [{"mp4": h264.encode(textured(seed), 16, 18), "json": b"{}"} for seed in (1, 2)]
    (tmp_path / "shard.tar").write_bytes(tar(0, samples))
    return [str(tmp_path / "clip.mp4"), str(tmp_path / "shard.tar")]


def ablate(model: Path, out: Path, *arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["ablate", "multidiffusion", "--model", str(model), "--out", str(out), *arguments])
    return int(caught.value.code or 0)


@pytest.mark.slow
def test_every_way_is_measured_on_every_clip(
    tiny_upscaler: Path, clips: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert ablate(tiny_upscaler, out, *clips, "--source", "16", "--frames", "14") == 0
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [line["way"] for line in lines] == 3 * WAYS
    assert len({line["clip"] for line in lines}) == 3 and {len(line["changes"]) for line in lines} == {13}
    for line in lines:
        if line["way"] == "truth":
            assert line["ssim"] == 1 and not any(line["changes"])
        else:
            assert line["psnr"] < 60 and line["ssim"] < 1 and any(line["changes"])

    rows = {row["way"]: row for row in json.loads((out / "figures.json").read_text())["figures"]}
    assert list(rows) == WAYS and all(row["clips"] == 3 for row in rows.values())
    assert rows["one window"]["frames_denoised"] == 14 and rows["overlap 3"]["frames_denoised"] == 24
    assert rows["overlap 2"]["memory"] < rows["one window"]["memory"]
    changes = {way: np.array([x["changes"] for x in lines if x["way"] == way]) for way in WAYS}
    crossed = np.isin(np.arange(13), [5, 7])  # windows of 6 at 0, 6 and 8
    crossed[11] = True
    by_hand = changes["overlap 0"][:, crossed].mean() / changes["overlap 0"][:, ~crossed].mean()
    assert rows["overlap 0"]["seam"] == pytest.approx(by_hand)
    assert rows["one window"]["seam"] is None

    with Image.open(out / "slices.png") as picture:
        assert picture.width >= 7 * 32
    said = capsys.readouterr().out
    assert all(way in said for way in WAYS) and "seam: " in said


def test_the_first_clips_alone(tiny_upscaler: Path, clips: list[str], tmp_path: Path) -> None:
    options = ["--source", "16", "--frames", "8", "--count", "1", "--window", "4", "--steps", "1"]
    assert ablate(tiny_upscaler, tmp_path / "out", *clips, *options) == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert {line["clip"] for line in lines} == {"clip.mp4"} and len(lines) == 6


def test_bad_input_is_one_line(
    tiny_upscaler: Path, clips: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.tar").write_bytes(b"no tar")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    cases = [
        ([clips[0], "--source", "32", "--frames", "8"], "--source is 32; give less than the clip's 32x32"),
        ([clips[0]], "clip.mp4 has 14 frames; --frames asks for 80"),
        ([str(tmp_path / "bad.tar")], "bad.tar cannot be read"),
        ([str(tmp_path / "none.mp4")], "none.mp4"),
    ]
    for arguments, message in cases:
        assert ablate(tiny_upscaler, tmp_path / "out", *arguments) == 2
        said = capsys.readouterr().err.strip()
        assert message in said and "\n" not in said.split("error: ")[-1]
        assert not (tmp_path / "out").exists()
    assert ablate(tiny_upscaler, tmp_path / "full", clips[0]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_an_area_is_averaged() -> None:
    truth = np.zeros((1, 4, 6, 3), np.uint8)
    truth[:, :2, :2] = [[[[0], [100]], [[200], [100]]]]
    reduced = smaller(truth, 3)
    assert reduced.shape == (1, 2, 3, 3) and reduced[0, 0, 0].tolist() == [100] * 3


def test_windows_of_two_frames_have_no_overlap_of_two() -> None:
    assert ways(8, 2) == {"overlap 0": (2, 0), "overlap 1": (2, 1), "one window": (8, 0)}
