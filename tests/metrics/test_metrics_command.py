"""lumiere metrics on real files: what it says, what it refuses, and that it goes on where it was."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from lumiere.cli import main
from lumiere.emoji.evaluation.recogniser import Recogniser
from lumiere.errors import InputError
from lumiere.io.video import Clip
from lumiere.metrics import report
from lumiere.metrics.clips import find, pair, prompts_of
from lumiere.metrics.ucf101 import HEIGHT, WIDTH, as_real, prompt_lines, shares
from movies import smooth_frames


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def save(path: Path, seed: int, count: int = 17, fps: int = 16, **metadata: object) -> None:
    """A clip that no other seed has."""
    frames = np.roll(smooth_frames(count), 7 * seed, axis=2) // (1 + seed % 3)
    Clip(frames, fps, dict(metadata)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three clips with prompts, one of them in a sub-folder."""
    for seed, name in enumerate(["a.mp4", "b.mp4", "more/c.mp4"]):
        save(tmp_path / "clips" / name, seed, prompt="a crab")
    return tmp_path / "clips"


@pytest.fixture(scope="module")
def i3d(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random net in I3D's place: colours on a grid, seen by a random layer."""

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(48, 6)

        def forward(
            self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool
        ) -> torch.Tensor:
            seen = self.layer(torch.nn.functional.adaptive_avg_pool3d(x / 127.5 - 1, [4, 2, 2]).flatten(1))
            return seen if return_features else seen.softmax(1)

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("nets") / "i3d.pt"
    torch.jit.script(Net()).save(path)
    return path


def test_clips_are_measured_and_the_distance_from_themselves_is_0(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "metrics.json"
    given = ["--recogniser", "emoji", "--real", folder, "--paired", folder, "--json", out]
    assert run("metrics", "clips", folder, *given) == 0
    said = capsys.readouterr().out
    assert "not FVD" in said and "not IS" in said
    assert "! 3 clips for 352 features" in said and "! 3 clips for 734 classes" in said
    result = json.loads(out.read_text())
    values = {value["about"]["metric"]: value for value in result["values"]}
    assert values["frechet_distance"]["value"] == pytest.approx(0, abs=1e-6)
    assert values["frechet_distance"]["about"]["features"]["sha256"]
    assert values["true_warping_error"]["value"] == values["warping_error"]["value"]
    ratio = values["warping_ratio"]
    assert ratio["low"] == pytest.approx(1) == ratio["value"] == ratio["high"]
    assert values["psnr"]["value"] > 90 and values["ssim"]["value"] == pytest.approx(1)
    assert [clip["clip"] for clip in result["clips"]] == ["a.mp4", "b.mp4", "more/c.mp4"]
    assert 0 <= result["clips"][0]["object_probability"] <= 1
    smooth = [clip["motion_smoothness"] for clip in result["clips"]]
    assert values["motion_smoothness"]["value"] == pytest.approx(np.mean(smooth))
    assert values["motion_smoothness"]["low"] <= np.mean(smooth) <= values["motion_smoothness"]["high"]
    assert run("metrics", "clips", folder, "--json", out) == 2, "an existing file is kept"


def test_any_clips_are_measured_without_a_recogniser(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recogniser, "load", lambda path=None: pytest.fail("a recogniser was loaded"))
    out = tmp_path / "metrics.json"
    assert run("metrics", "clips", folder, "--paired", folder, "--json", out) == 0
    assert "recogniser" not in capsys.readouterr().out
    result = json.loads(out.read_text())
    measured = {value["about"]["metric"] for value in result["values"]}
    assert {"motion_smoothness", "warping_error", "warping_ratio", "psnr"} <= measured
    assert not {"subject_consistency", "object_probability", "frechet_ratio", "inception_score"} & measured


def test_what_is_measured_is_kept(
    folder: Path, tmp_path: Path, i3d: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["metrics", "clips", folder, "--features", i3d, "--cache", tmp_path / "cache"]
    assert run(*arguments, "--json", tmp_path / "one.json") == 0
    with monkeypatch.context() as patch:
        patch.setattr(report, "warping_error", lambda frames: pytest.fail("measured twice"))
        assert run(*arguments, "--json", tmp_path / "two.json") == 0
        assert (tmp_path / "one.json").read_text() == (tmp_path / "two.json").read_text()
    save(folder / "a.mp4.new.mp4", 9)
    (folder / "a.mp4.new.mp4").replace(folder / "a.mp4")
    assert run(*arguments, "--json", tmp_path / "three.json") == 0, (
        "another clip of the same name is measured"
    )
    assert (tmp_path / "one.json").read_text() != (tmp_path / "three.json").read_text()


def test_clips_of_shards_and_folders_of_frames_are_found(folder: Path, tmp_path: Path) -> None:
    Clip.load(folder / "a.mp4").save(folder / "frames")
    with tarfile.open(folder / "shard.tar", "w") as shard:
        shard.add(folder / "b.mp4", "000.mp4")
    sources = find([folder])
    assert [source.name for source in sources] == [
        "a.mp4",
        "b.mp4",
        "frames",
        "more/c.mp4",
        "shard.tar:000.mp4",
    ]
    assert np.array_equal(sources[-1].load().frames, sources[1].load().frames)
    assert sources[-1].sha256() == sources[1].sha256()
    assert np.array_equal(sources[2].load().frames, sources[0].load().frames)


def test_prompts_come_from_the_file_by_name(folder: Path, tmp_path: Path) -> None:
    sources = find([folder])
    lines = [
        {"clip": "a.mp4", "prompt": "x"},
        {"clip": "b.mp4", "prompt": "y"},
        {"clip": "c.mp4", "prompt": "z"},
    ]
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    assert prompts_of(sources, file) == ["x", "y", "z"]
    assert prompts_of(sources, None) == ["a crab"] * 3
    file.write_text(json.dumps(lines[0]))
    with pytest.raises(InputError, match=r"2 of 3 clips have no prompt in .*: b.mp4, more/c.mp4"):
        prompts_of(sources, file)


def test_what_has_no_partner_is_listed(folder: Path, tmp_path: Path) -> None:
    for name in ("a.webm", "d.mp4"):
        save(tmp_path / "true" / name, 0)
    with pytest.raises(InputError) as error:
        pair(find([folder]), find([tmp_path / "true"]))
    assert "2 of the clips without a partner (b, more/c)" in str(error.value)
    assert "1 of the true clips without a partner (d)" in str(error.value)
    save(folder / "a.webm", 0)
    with pytest.raises(InputError, match="the same name"):
        pair(find([folder]), find([tmp_path / "true"]))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["clips", "{tmp}/missing"], "does not exist"),
        (["clips", "{tmp}/empty"], "no clips in"),
        (["clips", "{tmp}/broken"], "broken.mp4 is no video"),
        (["clips", "{tmp}/short"], "s.mp4 has 2 frames; metrics need 3"),
        (
            ["clips", "{tmp}/clips", "--recogniser", "emoji", "--stride", "2"],
            "a.mp4 has 17 frames; 31 are needed",
        ),
        (["clips", "{tmp}/clips", "--paired", "{tmp}/other"], "give clips of one size and length"),
        (
            ["clips", "{tmp}/clips", "--recogniser", "emoji", "--prompts", "{tmp}/broken/broken.mp4"],
            "holds no prompts",
        ),
        (["clips", "{tmp}/clips", "--prompts", "{tmp}/p.jsonl"], "of no use without --text-model or"),
        (["clips", "{tmp}/clips", "--real", "{tmp}/clips"], "--real needs a net to look through; give --fe"),
        (["clips", "{tmp}/clips", "--stride", "2"], "--stride needs a net to look through; give --fe"),
        (["clips", "{tmp}/clips", "--recogniser", "dogs"], "dogs is not a recogniser"),
        (["nearest", "{tmp}/clips", "--among", "{tmp}/clips"], "nearest needs a net to look through"),
        (["clips", "{tmp}/clips", "--json", "{tmp}/x.txt"], "'.txt' is not known"),
        (["clips", "{tmp}/no.tar"], "give an uncompressed tar"),
        (
            ["nearest", "{tmp}/clips", "--among", "{tmp}/short", "--recogniser", "emoji"],
            "has 2 frames; 16 are needed",
        ),
        (["ucf101", "{tmp}/clips", "--real", "{tmp}/short", "--features", "{tmp}/x.pt"], "no sub-folders"),
        (
            ["ucf101", *["{tmp}/clips"] * 4, "--real", "{tmp}/clips", "--features", "{tmp}/x.pt"],
            "no I3D at",
        ),
        (["ucf101", "{tmp}/clips", "--real", "{tmp}/clips", "--features", "{tmp}/x.pt"], "10 or more"),
        (
            ["clips", "{tmp}/clips/a.mp4", "--recogniser", "emoji", "--real", "{tmp}/clips"],
            "1 clips and 3 real clips",
        ),
        (
            ["ucf101-prompts", "{tmp}/clips", "--out", "{tmp}/p.jsonl", "--list", "{tmp}/list"],
            "1 of 1 clips in",
        ),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    folder: Path, tmp_path: Path, arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("empty", "broken"):
        (tmp_path / name).mkdir()
    (tmp_path / "broken" / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "no.tar").write_bytes(b"no tar")
    (tmp_path / "list").write_text("YoYo/v_YoYo_g01_c01.avi 1\n")
    save(tmp_path / "short" / "s.mp4", 0, count=2)
    for seed, name in enumerate(["a.mp4", "b.mp4", "more/c.mp4"]):
        save(tmp_path / "other" / name, seed, count=16)
    before = sorted(tmp_path.rglob("*"))
    assert run("metrics", *(argument.format(tmp=tmp_path) for argument in arguments)) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith("error: ") and complaint in err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_copy_is_found_and_pictured(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(4):
        save(tmp_path / "training" / f"{seed}.mp4", seed + 20)
    (tmp_path / "training" / "copy.mp4").write_bytes((folder / "b.mp4").read_bytes())
    sheet, out = tmp_path / "sheet.png", tmp_path / "pairs.json"
    arguments = [
        "--recogniser",
        "emoji",
        "--among",
        tmp_path / "training",
        "--sheet",
        sheet,
        "--json",
        out,
        "--pairs",
        "2",
    ]
    assert run("metrics", "nearest", folder, *arguments) == 0
    first = capsys.readouterr().out.splitlines()[1].split()
    assert first == ["0.000", "100", "%", "b.mp4", "copy.mp4"]
    assert sheet.stat().st_size > 0
    assert len(json.loads(out.read_text())["pairs"]) == 3


def test_ucf101_on_a_stand_in(
    folder: Path, tmp_path: Path, i3d: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(12):
        name = ("ApplyEyeMakeup", "YoYo", "YoYo")[seed % 3]
        save(tmp_path / "UCF-101" / name / f"v_{name}_{seed}.mp4", seed, fps=25)
        save(tmp_path / "made" / name / f"{seed}.mp4", seed + 1)
    real = tmp_path / "UCF-101"
    prompts = tmp_path / "prompts.jsonl"
    assert run("metrics", "ucf101-prompts", real, "--out", prompts, "--count", "6") == 0
    lines = [json.loads(line) for line in prompts.read_text().splitlines()]
    assert [line["clip"] for line in lines[:3]] == [
        "ApplyEyeMakeup/0000.mp4",
        "ApplyEyeMakeup/0001.mp4",
        "YoYo/0000.mp4",
    ]
    assert lines[0]["prompt"] == "ApplyEyeMakeup" and len(lines) == 6

    capsys.readouterr()
    assert (
        run("metrics", "ucf101", real, "--real", real, "--features", i3d, "--json", tmp_path / "same.json")
        == 0
    )
    same = json.loads((tmp_path / "same.json").read_text())["values"]
    assert same[0]["value"] == pytest.approx(0, abs=1e-9)
    capsys.readouterr()
    arguments = ["--real", real, "--features", i3d, "--json", tmp_path / "made.json", "--classifier", i3d]
    assert run("metrics", "ucf101", tmp_path / "made", *arguments) == 0
    said = capsys.readouterr().out
    made = json.loads((tmp_path / "made.json").read_text())["values"]
    assert made[0]["value"] > 1e-4
    assert made[1]["about"]["splits"] == 10
    assert "320x240" in made[0]["about"]["features"]["preprocessing"]
    assert "frame rates differ: 16 and 25" in said
    assert "! 12 generated clips; published figures are of 10000 or more" in said
    assert "! 2 classes; UCF-101 has 101" in said


def test_a_split_s_list_takes_its_clips_alone(tmp_path: Path) -> None:
    from lumiere.metrics.ucf101 import real_clips

    for name in ("YoYo/a.avi", "YoYo/b.avi", "Archery/c.avi"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    listed = tmp_path / "trainlist01.txt"
    listed.write_text("YoYo/b.avi 101\n")
    assert [source.name for source in real_clips(tmp_path, listed)["YoYo"]] == ["YoYo/b.avi"]
    assert {name: len(clips) for name, clips in real_clips(tmp_path).items()} == {"YoYo": 2, "Archery": 1}


def test_classes_have_the_share_of_their_real_clips(tmp_path: Path) -> None:
    assert shares({"a": 100, "b": 300}, 400) == {"a": 100, "b": 300}
    assert shares({"a": 1, "b": 1, "c": 1}, 10) == {"a": 4, "b": 3, "c": 3}
    with pytest.raises(InputError, match="leave 1 of 2 classes"):
        shares({"a": 1, "b": 100}, 10)
    sentences = tmp_path / "sentences.json"
    sentences.write_text('{"a": "someone yawns"}')
    assert json.loads(prompt_lines({"a": 1}, 1, sentences)[0])["prompt"] == "someone yawns"
    with pytest.raises(InputError, match="1 of 2 classes: b"):
        prompt_lines({"a": 1, "b": 1}, 2, sentences)


@pytest.mark.parametrize("size", [(240, 320), (128, 128), (480, 360), (64, 300)])
def test_clips_get_the_shape_of_ucf101_s(size: tuple[int, int]) -> None:
    frames = np.full((2, *size, 3), 77, np.uint8)
    frames[:, :, size[1] // 2 :] = 200
    made = as_real(frames)
    assert made.shape == (2, HEIGHT, WIDTH, 3)
    assert (made[:, :, 5] == 77).all() and (made[:, :, -5] == 200).all()
    assert (
        np.abs(made[0, 0].astype(int) - np.where(np.arange(WIDTH) < WIDTH // 2, 77, 200)[:, None]).mean() < 2
    )
