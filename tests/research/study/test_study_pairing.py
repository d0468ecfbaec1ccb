"""Clips belong together by prompt, wherever it stands; what lacks a partner is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from raters import make_clips

from lumiere import InputError
from lumiere.io.video import Clip
from lumiere.research.study.pairing import pair_up
from movies import smooth_frames, write_movie


def bare(path: Path) -> Path:
    """A video of another program: it carries no prompt."""
    path.parent.mkdir(exist_ok=True)
    return write_movie(path, smooth_frames(4, 32, 32))


def paired(folders: dict[str, Path], common: bool = False) -> list[tuple[str, dict[str, str]]]:
    return [
        (next(iter(clips.values())).prompt, {method: clip.path.name for method, clip in clips.items()})
        for clips in pair_up(folders, common)
    ]


def test_the_prompt_is_read_from_the_clip_from_what_lies_beside_it_or_from_the_name(tmp_path: Path) -> None:
    prompts = ("a red fox", "a blue owl", "a green crab", "one more")
    make_clips(tmp_path / "ours", 200, prompts)
    theirs = tmp_path / "theirs"
    bare(theirs / "1.mp4").with_suffix(".txt").write_text("A blue  owl.\n")
    bare(theirs / "2.mp4").with_suffix(".json").write_text(json.dumps({"caption": "a green crab"}))
    bare(theirs / "17-A_red-fox.mp4")
    bare(theirs / "003-one-more.mp4")
    assert paired({"ours": tmp_path / "ours", "theirs": theirs}) == [
        ("a red fox", {"ours": "000-a-red-fox.mp4", "theirs": "17-A_red-fox.mp4"}),
        ("a blue owl", {"ours": "001-a-blue-owl.mp4", "theirs": "1.mp4"}),
        ("a green crab", {"ours": "002-a-green-crab.mp4", "theirs": "2.mp4"}),
        ("one more", {"ours": "003-one-more.mp4", "theirs": "003-one-more.mp4"}),
    ]


def test_a_clip_without_a_prompt_belongs_to_the_one_of_its_name(tmp_path: Path) -> None:
    frames = np.zeros((2, 32, 32, 3), np.uint8)
    for name, prompt in (("000", "a cat"), ("001", "a dog")):
        Clip(frames, 8, {"prompt": prompt}).save(tmp_path / "ours" / f"{name}.mp4")
        bare(tmp_path / "theirs" / f"{name}.mp4")
    assert paired({"theirs": tmp_path / "theirs", "ours": tmp_path / "ours"}) == [
        ("a cat", {"theirs": "000.mp4", "ours": "000.mp4"}),
        ("a dog", {"theirs": "001.mp4", "ours": "001.mp4"}),
    ]


def test_several_clips_of_a_prompt_pair_up_in_order(tmp_path: Path) -> None:
    for method in ("ours", "theirs"):
        make_clips(tmp_path / method, 200, ("a cat", "a cat"))
    names = [clips for _, clips in paired({m: tmp_path / m for m in ("ours", "theirs")})]
    assert names == [{"ours": name, "theirs": name} for name in ("000-a-cat.mp4", "001-a-cat.mp4")]


def test_folders_of_frames_are_clips_and_other_files_are_none(tmp_path: Path) -> None:
    for method in ("ours", "theirs"):
        frames = np.zeros((2, 32, 32, 3), np.uint8)
        Clip(frames, 8, {"prompt": "a cat"}).save(tmp_path / method / "cat")
        (tmp_path / method / "notes").mkdir()
        (tmp_path / method / "results.json").write_text("[]")
        (tmp_path / method / ".hidden.mp4").write_text("nothing")
    assert paired({m: tmp_path / m for m in ("ours", "theirs")}) == [
        ("a cat", {"ours": "cat", "theirs": "cat"})
    ]


def test_what_is_missing_is_listed_or_left_out(tmp_path: Path) -> None:
    folders = {
        "ours": make_clips(tmp_path / "ours", 200, ("a cat", "a dog", *(f"frog {n}" for n in range(7)))),
        "theirs": make_clips(tmp_path / "theirs", 60, ("a dog", "an owl")),
    }
    with pytest.raises(InputError) as refused:
        pair_up(folders)
    assert "ours lacks 'an owl'; theirs lacks 'a cat', 'frog 0'" in str(refused.value)
    assert "and 3 more" in str(refused.value) and "--common" in str(refused.value)
    assert [prompt for prompt, _ in paired(folders, common=True)] == ["a dog"]


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    folders = {m: make_clips(tmp_path / m, 200, (f"a {m}",)) for m in ("cat", "dog")}
    with pytest.raises(InputError, match="no prompt in common; the first clips are cat of 'a cat', dog of"):
        pair_up(folders, common=True)
