"""``lumiere report``: what it recognises, what it refuses, and what its page says."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from measured import MODEL_SHA256, cascade, evaluation, multidiffusion, write_json

Run = Callable[..., tuple[int, str, str]]


def body(page: Path) -> ElementTree.Element:
    """The page's body, which is well formed."""
    text = page.read_text("utf-8")
    return ElementTree.fromstring("<body>" + text.partition("<body>")[2].partition("</body>")[0] + "</body>")


def words(element: ElementTree.Element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def rows(section: ElementTree.Element) -> list[list[str]]:
    table = section.find(".//table")
    assert table is not None
    return [[words(cell) for cell in row] for row in table.iter("tr")]


def test_every_kind_is_recognised(run: Run, measured: dict[str, Path], tmp_path: Path) -> None:
    page = tmp_path / "out" / "report.html"
    code, out, err = run("report", *measured.values(), "--out", page, "--title", "All & more")
    assert (code, out) == (0, f"{page}\n")
    assert f"size: {page.stat().st_size / 1e6:.2f} MB" in err and page.parent.exists()
    assert [path.name for path in page.parent.iterdir()] == ["report.html"]
    found = {words(section[0]): section for section in body(page).iter("section")}
    assert list(found) == [
        "Text to video on held-out prompts",
        "Task: animate",
        "Ablation: MultiDiffusion, multidiffusion",
        "One pass or a cascade",
        "Metrics of clips",
        "Nearest clips, nearest",
        "User study: ours against pika",
        "X-t slices",
    ]
    contents = body(page).find("nav")
    assert contents is not None and [words(item) for item in contents.iter("li")] == list(found)
    assert rows(found["One pass or a cascade"]) == [
        ["method", "clips", "direction right", "jitter pixels", "not asked"],
        ["one pass", "100", "95.0 % [88, 98]", "1.30 [1.10, 1.50]", "-"],
        ["keyframes & TSR", "100", "90.0 % [88, 98]", "-", "-"],
    ]
    assert "metrics, warping error x 1000: too few clips." in words(found["Metrics of clips"])
    assert rows(found["Nearest clips, nearest"])[1] == ["a.mp4, nearest b.mp4", "0.2500", "98.0 %"]
    assert rows(found["User study: ours against pika"])[1] == ["pika", "2", "100.0 % [34, 100]", "0.500", "-"]
    assert rows(found["X-t slices"])[:2] == [["", "a/frog.mp4", "b/frog.mp4"], ["change of 255", "9", "9"]]
    assert len(found["X-t slices"].findall(".//img")) == 1


def test_models_stand_side_by_side(run: Run, measured: dict[str, Path], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert run("report", measured["evaluation"], measured["other"], "--out", page)[0] == 0
    (section,) = body(page).iter("section")
    table = rows(section)
    assert table[0] == ["", "emoji", "other", "real"]
    shares = ["75.0 % [41, 93] of 8", "50.0 % [22, 78] of 8", "100.0 % [68, 100] of 8"]
    assert table[1] == ["background colour right", *shares]
    shown = [
        [words(clip) for clip in comparison.findall(".//div[@class='clip']")]
        for comparison in section.findall(".//figure[@class='comparison']")
    ]
    assert shown == [["emoji", "other"]] * 6
    assert len(section.findall(".//video")) == 12 and len(section.findall(".//img[@class='slice']")) == 12
    plots = section.findall(".//figure[@class='plot']")
    assert [len(plot.findall(".//circle")) for plot in plots] == [3] * len(plots) and len(plots) == 7
    ends = plots[0].findall(".//line[@class='interval']")
    assert [float(end.attrib["x1"].rstrip("%")) for end in ends] == pytest.approx([40.9, 21.5, 67.6], abs=0.1)


def test_models_of_one_name_are_distinguished_by_folder(run: Run, tmp_path: Path) -> None:
    before, after = (
        evaluation(tmp_path / name, "emoji", wrong) for wrong, name in enumerate(("before", "after"))
    )
    page = tmp_path / "report.html"
    assert run("report", before, after, before, "--out", page, "--clips", "0")[0] == 0
    (section,) = body(page).iter("section")
    assert rows(section)[0] == ["", "emoji (before)", "emoji (after)", "real"]
    assert section.find(".//video") is None


def test_where_the_figures_come_from(run: Run, measured: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(measured["evaluation"], tmp_path / "emoji"))
    os.utime(folder / "figures.json", (1e9, 1e9))
    page = tmp_path / "report.html"
    assert run("report", folder, measured["ablation"], "--out", page)[0] == 0
    for section, expected in zip(
        body(page).iter("section"),
        (
            {"written": "2001-09-09 01:46 UTC", "settings.steps": "6", "settings.model_sha256": MODEL_SHA256},
            {"about.seed": "0", "about.versions.lumiere": "0.1.0", "about.model_sha256": MODEL_SHA256},
        ),
        strict=True,
    ):
        (details,) = section.findall("details")
        assert expected.items() <= {row[0]: row[1] for row in rows(details)}.items()
    assert str(tmp_path) not in page.read_text("utf-8")


def test_a_folder_is_searched_and_a_mean_gets_its_cases_interval(
    run: Run, measured: dict[str, Path], tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    assert run("report", measured["task"].parent, "--out", page)[0] == 0
    (section,) = body(page).iter("section")
    said = dict(zip(*rows(section), strict=True))
    # -10 log10 of the mean of 10^-3, 10^-3.6 and 10^-4; the interval is that of the worst and the best case
    assert said["known region before compositing, PSNR (dB)"] == "33.5 [30.0, 40.0]"
    assert said["moves"] == "66.7 % [21, 94]"
    assert [video.attrib["aria-label"] for video in section.iter("video")] == [
        f"emoji: case {number}" for number in range(3)
    ]


def test_windows_are_compared_clip_by_clip(run: Run, measured: dict[str, Path], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert run("report", measured["multidiffusion"], "--out", page)[0] == 0
    (section,) = body(page).iter("section")
    absolute, less = (
        [[words(cell) for cell in row] for row in table.iter("tr")]
        for table in section.findall("div[@class='table']/table")
    )
    assert {row[0]: row[2] for row in absolute} == {
        "method": "PSNR dB",
        "truth": "-",
        "bicubic": "38.0 [37.0, 39.0]",
        "overlap 0": "41.0 [40.0, 42.0]",
        "overlap 2": "41.2 [40.2, 42.2]",
        "one window": "41.5 [40.5, 42.5]",
    }
    assert less[0] == ["", "bicubic", "overlap 0", "overlap 2"]
    assert less[2] == ["PSNR dB", *(f"-{each} [-{each}, -{each}]" for each in ("3.500", "0.500", "0.300"))]


def test_the_same_input_gives_the_same_bytes(run: Run, measured: dict[str, Path], tmp_path: Path) -> None:
    pages = tmp_path / "one.html", tmp_path / "two.html"
    for page in pages:
        assert run("report", *measured.values(), "--out", page)[0] == 0
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_words_are_no_markup(run: Run, tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>'
    evaluation(tmp_path / "emoji", evil, prompt=evil, count=2)
    content = cascade(tmp_path / "cascade")
    content["title"] = content["tables"][0]["note"] = content["tables"][0]["columns"][2] = evil
    content["about"][evil] = content["clips"][0]["prompt"] = content["pictures"][0]["caption"] = evil
    content["tables"][0]["rows"][0]["method"] = content["clips"][0]["method"] = f'" onload={evil}'
    write_json(tmp_path / "cascade" / "figures.json", content)
    page = tmp_path / "report.html"
    assert run("report", tmp_path / "emoji", tmp_path / "cascade", "--out", page, "--title", evil)[0] == 0
    text = page.read_text("utf-8")
    assert text.count("<script>") == 1 and "alert(&quot;x&quot;)" in text
    assert {element.tag for element in body(page).iter()}.isdisjoint({"script", "link", "iframe"})
    assert not [name for element in body(page).iter() for name in element.attrib if name.startswith("on")]


@pytest.mark.parametrize(
    ("kind", "old", "new", "said"),
    [
        ("evaluation", '"share": 0.75', '"share": "much"', "'much' is no number"),
        ("evaluation", '"of": 8', '"of": 0.5', "0.5 is no count"),
        ("evaluation", '"of"', '"count"', "KeyError('of')"),
        ("ablation", '"unit": "pixels"', '"unit": 1', "1 is no text"),
        ("ablation", '"mean": 0.9,', '"mean": NaN,', "nan is no number"),
        ("ablation", '"low": 0.88', '"low": 0.99', "[0.99, 0.98] is no interval"),
        ("ablation", '{"mean": 1.3', '{"unit": "a"}, {"mean": 1.3', "has 4 cells for 3 columns"),
        ("ablation", '"mean": 0.9, "low": 0.88, "high": 0.98, "unit": "share"', '"mean": 1', "several units"),
        ("ablation", '"clips/', '"/etc/clips/', "is not in its folder"),
        ("ablation", '"slices.png"', '"../slices.png"', "is not in its folder"),
        ("ablation", '"columns"', '"heads"', "KeyError('columns')"),
        ("metrics", '"warnings"', '"doubts"', "KeyError('warnings')"),
        ("slices", '"video"', '"file"', "holds no figures that lumiere writes"),
    ],
)
def test_damaged_figures_are_refused(
    run: Run, changed: Callable[..., Path], tmp_path: Path, kind: str, old: str, new: str, said: str
) -> None:
    path = changed(kind, old, new)
    code, out, err = run("report", path, "--out", tmp_path / "out" / "report.html")
    assert (code, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1
    assert str(path) in err and said in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", "{", "cannot be read as JSON"),
        ("a.json", "{}", "holds no figures that lumiere writes"),
        ("a.json", "[]", "holds no figures that lumiere writes"),
        ("a.json", '"text"', "holds no figures that lumiere writes"),
        (
            "figures.json",
            '{"figures": {}, "settings": {}, "prompts": 1}',
            "holds no figures that lumiere writes",
        ),
        ("a.png", "no picture", "cannot be read as JSON or as a picture"),
        ("study.json", '{"format": "lumiere-study/1"}', "study.json is damaged"),
        ("folder/a.txt", "", "folder holds no figures"),
        (None, "", "does not exist"),
    ],
)
def test_what_is_unknown_is_refused(
    run: Run, measured: dict[str, Path], tmp_path: Path, name: str | None, content: str, said: str
) -> None:
    path = tmp_path / (name or "missing")
    if name:
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    given = path.parent if "/" in (name or "") else path
    code, out, err = run("report", measured["evaluation"], given, "--out", tmp_path / "out" / "report.html")
    assert (code, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1 and said in err
    assert not (tmp_path / "out").exists()


def test_a_broken_clip_leaves_the_page_that_was_there(run: Run, tmp_path: Path) -> None:
    folder, page = tmp_path / "cascade", tmp_path / "report.html"
    write_json(folder / "figures.json", cascade(folder))
    page.write_text("before")
    code, _, err = run("report", folder, "--out", page)
    assert code == 2 and "exists" in err
    (folder / "clips" / "0-1.mp4").write_bytes(b"no video")
    code, _, err = run("report", folder, "--out", page, "--overwrite")
    assert code == 2 and "0-1.mp4" in err and page.read_text() == "before"
    assert run("report", folder, "--out", page, "--overwrite", "--clips", "1")[0] == 2
    assert run("report", folder, "--out", page, "--overwrite", "--clips", "0")[0] == 0
    assert run("report", folder, "--out", tmp_path / "report.pdf")[0] == 2


def test_damaged_results_are_named(run: Run, measured: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(measured["task"], tmp_path / "animate"))
    (folder / "results.jsonl").write_text('{"prompt":')
    code, _, err = run("report", folder, "--out", tmp_path / "report.html")
    assert code == 2 and f"{folder / 'results.jsonl'} is damaged" in err


def test_a_large_picture_is_made_smaller(run: Run, tmp_path: Path) -> None:
    import numpy as np

    from lumiere.io.video import save_picture

    folder, page = multidiffusion(tmp_path / "multidiffusion"), tmp_path / "report.html"
    smooth = np.linspace(0, 255, 600 * 600 * 3).reshape(600, 600, 3)
    noise = np.random.default_rng(0).normal(0, 8, smooth.shape)
    save_picture((smooth + noise).clip(0, 255).astype(np.uint8), folder / "slices.png", overwrite=True)
    assert run("report", folder, "--out", page)[0] == 0
    assert page.stat().st_size < (folder / "slices.png").stat().st_size / 2
    (image,) = body(page).iter("img")
    assert re.match("data:image/webp;base64,", image.attrib["src"])
    assert (image.attrib["width"], image.attrib["height"]) == ("600", "600")
