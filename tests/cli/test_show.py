"""lumiere show and lumiere xt-slice, on real files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumiere.cli import main
from lumiere.io.sheet import LABEL_HEIGHT, contact_sheet
from lumiere.io.video import Clip
from lumiere.metrics.slice_motion import slice_figures
from lumiere.metrics.xt_slice import xt_slice


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as exit:
        main(list(map(str, arguments)))
    assert isinstance(exit.value.code, int)
    return exit.value.code


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    frames = np.random.default_rng(0).integers(0, 256, (8, 32, 48, 3), dtype=np.uint8)
    return Clip(frames, 16, {"prompt": "a cat", "seed": 7, "note": "two\nlines"}).save(tmp_path / "cat.mp4")


def test_show_says_what_the_file_is(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", video) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == str(video)
    assert [line.split(maxsplit=1) for line in lines] == [
        ["size", "48x32"],
        ["frames", "8"],
        ["fps", "16"],
        ["duration", "0.5 s"],
        ["prompt", "a cat"],
        ["seed", "7"],
        ["note", '"two\\nlines"'],
    ]


def test_show_speaks_json(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", video, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "file": str(video),
        "width": 48,
        "height": 32,
        "frames": 8,
        "fps": 16.0,
        "duration": 0.5,
        "settings": {"prompt": "a cat", "seed": 7, "note": "two\nlines"},
    }


def test_show_writes_a_sheet_and_a_slice(video: Path, tmp_path: Path) -> None:
    sheet, slice_ = tmp_path / "new" / "sheet.png", tmp_path / "slice.png"
    assert run("show", video, "--sheet", sheet, "--xt-slice", slice_) == 0
    assert np.array_equal(pixels(sheet), contact_sheet([Clip.load(video)]))
    assert np.array_equal(pixels(slice_), xt_slice(video))
    assert run("show", video, "--sheet", sheet) == 2
    assert run("show", video, "--sheet", sheet, "--overwrite") == 0


def test_show_says_when_there_are_no_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Clip(np.zeros((2, 8, 8, 3), np.uint8), 30000 / 1001).save(tmp_path / "bare.mp4")
    assert run("show", path) == 0
    out = capsys.readouterr().out
    assert "29.97 (30000/1001)" in out
    assert "no settings" in out


@pytest.mark.parametrize("place", [[], ["--row", "3"], ["--column", "40"]])
def test_xt_slice_writes_the_slice(video: Path, tmp_path: Path, place: list[str]) -> None:
    out = tmp_path / "slice.png"
    assert run("xt-slice", video, *place, "--out", out) == 0
    wanted = {
        name.removeprefix("--"): int(value) for name, value in zip(place[::2], place[1::2], strict=True)
    }
    assert np.array_equal(pixels(out), xt_slice(video, **wanted))


def test_xt_slice_stacks_several(video: Path, tmp_path: Path) -> None:
    other = Clip.load(video).save(tmp_path / "other")
    out = tmp_path / "both.png"
    assert run("xt-slice", video, other, "--out", out) == 0
    picture, slice_ = pixels(out), xt_slice(video)
    assert np.array_equal(picture[LABEL_HEIGHT:][: len(slice_)], slice_)
    assert np.array_equal(picture[-len(slice_) :], slice_)


def test_xt_slice_marks_a_drawn_line(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "marked.png"
    assert run("xt-slice", video, "--line", "0,0,47,31", "--mark", "--out", out) == 0
    picture, slice_ = pixels(out), xt_slice(video, line=(0, 0, 47, 31))
    assert np.array_equal(picture[: len(slice_), -slice_.shape[1] :], slice_)
    assert (picture[[0, 31], [0, 47]] == (255, 0, 0)).all()


def test_xt_slice_prints_numbers(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("xt-slice", video, video, "--json") == 0
    about = json.loads(capsys.readouterr().out)
    assert [each["video"] for each in about] == [str(video)] * 2
    assert about[0]["change"] == slice_figures(xt_slice(video)).change
    assert run("xt-slice", video) == 0
    assert video.name in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["show", "missing.mp4"], "does not exist"),
        (["show", "{video}", "--sheet", "{tmp}/sheet.txt"], "'.txt' is not known"),
        (["show", "{video}", "--xt-slice", "/proc/none/slice.png"], "choose another folder"),
        (["xt-slice", "{video}", "--out", "{tmp}/slice.png", "--row", "32"], "rows are 0 to 31"),
        (["xt-slice", "{video}", "--out", "{tmp}/slice.png", "--row", "3", "--column", "3"], "give one"),
        (["xt-slice", "{video}", "--line", "0,0,9"], "give two points"),
        (["xt-slice", "{video}", "--line", "0,0,48,31"], "x goes from 0 to 47"),
        (["xt-slice", "{video}", "--line", "5,5,5,5"], "is a point"),
        (["xt-slice", "{video}", "--line", "nan,0,5,5"], "leaves the frame"),
        (["xt-slice", "{video}", "--mark"], "needs an image to write"),
        (["xt-slice", "{video}", "--out", "{video}"], "'.mp4' is not known"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    video: Path, tmp_path: Path, arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*(argument.format(video=video, tmp=tmp_path) for argument in arguments)) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("error: ") and complaint in err
    assert list(tmp_path.iterdir()) == [video]


def test_metadata_neither_replaces_what_is_measured_nor_reaches_the_terminal(tmp_path, capsys):
    from lumiere.cli import main
    from lumiere.io.video import Clip

    settings = {"size": "9x9", "frames": 7, "duration": "1 h", "\x1b[2Jkey": "\x1b]0;title\x07"}
    path = Clip(np.zeros((3, 8, 8, 3), np.uint8), 16, settings).save(tmp_path / "a\x1b[31m.mp4")
    for arguments in (["show", str(path)], ["show", str(tmp_path / "\x1b[31m.mp4")]):
        with pytest.raises(SystemExit):
            main(arguments)
        printed = "".join(capsys.readouterr())
        assert "\x1b" not in printed and "\x07" not in printed
        if "size" in printed:
            assert "8x8" in printed and "setting size" in printed and "setting frames" in printed
