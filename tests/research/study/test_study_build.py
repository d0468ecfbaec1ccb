"""A study's folder: anonymous clips of one kind, checks that are plainly broken, nothing half-made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from raters import PROMPTS, make_clips

from lumiere import InputError
from lumiere.io.video import Clip, probe, read_metadata
from lumiere.research.study.build import QUESTIONS, build
from lumiere.research.study.plan import CLIPS, load


def test_every_pair_shows_the_clips_of_its_prompt(folders: dict[str, Path], built: Path) -> None:
    study = load(built)
    assert (study.method, study.rivals, study.questions) == ("ours", ("pika", "zeroscope"), QUESTIONS)
    assert [(pair.rival, pair.prompt) for pair in study.pairs] == [
        (rival, prompt) for rival in ("pika", "zeroscope") for prompt in PROMPTS
    ]
    for pair in study.pairs:
        for clip, source in zip((pair.clip, pair.rival_clip), pair.sources, strict=True):
            shown, made = Clip.load(built / CLIPS / clip), Clip.load(source)
            assert shown.fps == made.fps and shown.frames.shape == made.frames.shape
            assert np.abs(shown.frames.astype(int) - made.frames).mean() < 3
        assert Path(pair.sources[0]).parent == folders["ours"]
        assert Path(pair.sources[1]).parent == folders[str(pair.rival)]


def test_no_clip_tells_its_method(built: Path) -> None:
    study = load(built)
    files = sorted((built / CLIPS).iterdir())
    assert sorted(study.clips) == [file.name for file in files]
    assert len(set(study.clips)) == len(study.clips) == 2 * (6 + 1)
    for file in files:
        assert read_metadata(file) == {}
        content = file.read_bytes()
        assert not any(word in content for word in (b"secret", b"ours", b"pika", b"zeroscope", b"fox"))
    assert len({file.stat().st_mtime for file in files}) == 1


def test_a_check_is_a_clip_and_its_ruin(built: Path) -> None:
    (check,) = load(built).checks
    intact, broken = (Clip.load(built / CLIPS / clip) for clip in (check.clip, check.rival_clip))
    assert check.rival is None
    assert np.abs(intact.frames.astype(int) - Clip.load(check.sources[0]).frames).mean() < 3
    assert broken.frames.shape == intact.frames.shape
    assert np.abs(intact.frames.astype(int) - broken.frames).mean() > 30


def test_other_questions_and_no_checks(folders: dict[str, Path], tmp_path: Path) -> None:
    build(folders, tmp_path / "study", questions=["Which moves more?"], checks=0)
    study = load(tmp_path / "study")
    assert study.questions == ("Which moves more?",) and study.checks == ()
    assert len(study.trials(1)) == 6


def test_the_same_seed_is_the_same_study_for_a_rater(
    folders: dict[str, Path], built: Path, tmp_path: Path
) -> None:
    def seen(folder: Path) -> list[tuple[str, str | None, bool]]:
        trials = load(folder).trials(3)
        return [(t.pair.prompt, t.pair.rival, t.clips[0] == t.pair.clip) for t in trials]

    for name, seed in (("same", 0), ("other", 1)):
        build(folders, tmp_path / name, checks=1, pairs_per_rater=3, seed=seed)
    assert seen(tmp_path / "same") == seen(built) != seen(tmp_path / "other")
    assert not set(load(tmp_path / "same").clips) & set(load(built).clips)


def test_clips_that_differ_are_refused_or_cut_to_one_size_and_length(tmp_path: Path) -> None:
    ours = make_clips(tmp_path / "ours", 200, frames=12, fps=12)
    theirs = make_clips(tmp_path / "theirs", 60, frames=6, size=(48, 96), fps=8)
    folders = {"ours": ours, "theirs": theirs}
    with pytest.raises(InputError, match=r"3 pairs differ .*32x32, 1.00 s.* and .*96x48, 0.75 s.*--fit"):
        build(folders, tmp_path / "study")
    assert not (tmp_path / "study").exists()
    build(folders, tmp_path / "study", checks=0, fit=True)
    for pair in load(tmp_path / "study").pairs:
        infos = [probe(tmp_path / "study" / CLIPS / clip) for clip in (pair.clip, pair.rival_clip)]
        assert [(i.width, i.height, i.frames, i.fps) for i in infos] == [(48, 48, 9, 12), (48, 48, 6, 8)]
        assert (pair.width, pair.height) == (48, 48)
        middle = Clip.load(tmp_path / "study" / CLIPS / pair.rival_clip).frames
        source = Clip.load(pair.sources[1]).frames[:, :, 24:72]
        assert np.abs(middle.astype(int) - source).mean() < 3


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("ours=ours",), "compares 2 methods or more, not 1"),
        (("ours=ours", "ours=pika"), "two methods are named ours"),
        (("ours", "pika=pika"), "'ours' is not METHOD=FOLDER"),
        (("ours=ours", "=pika"), "'=pika' is not METHOD=FOLDER"),
        (("ours=ours", "pika=none"), "none is no folder"),
        (("ours=ours", "pika=empty"), "empty holds no clips"),
        (("ours=ours", "pika=broken"), "broken/cat.mp4"),
        (("ours=ours", "pika=cut"), "cut/000-a-red-fox.mp4 is damaged or cut short"),
        (("ours=ours", "pika=odd"), "no prompt can be read from what lies beside odd/cat.mp4"),
        (("ours=ours", "pika=fewer"), "pika lacks 'a blue owl', 'a green crab'"),
        (("ours=ours", "pika=pika", "--question", " "), "asks 1 question or more"),
        (("ours=ours", "pika=pika", "--out", "ours"), "ours exists, and a study is never overwritten"),
        (("ours=ours", "pika=pika", "--out", "notes.txt/study"), "cannot write notes.txt/study"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    run, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for method in ("ours", "pika"):
        (tmp_path / method).symlink_to(folders[method])
    for folder in ("empty", "broken", "cut", "odd"):
        (tmp_path / folder).mkdir()
    (tmp_path / "broken" / "cat.mp4").write_bytes(b"no video")
    whole = (folders["pika"] / "000-a-red-fox.mp4").read_bytes()
    (tmp_path / "cut" / "000-a-red-fox.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    shutil.copy(folders["pika"] / "000-a-red-fox.mp4", tmp_path / "odd" / "cat.mp4")
    Clip(np.zeros((2, 32, 32, 3), np.uint8), 8).save(tmp_path / "odd" / "cat.mp4", overwrite=True)
    (tmp_path / "odd" / "cat.json").write_text(json.dumps(["a cat"]))
    make_clips(tmp_path / "fewer", 10, PROMPTS[:1])
    (tmp_path / "notes.txt").write_text("Dear")
    before = sorted(tmp_path.iterdir())
    named = arguments if "--out" in arguments else (*arguments, "--out", "study")
    code, out, err = run("study", "build", *named)
    assert code == 2 and out == "" and what in err
    assert len(err.strip().splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_the_command_makes_a_study(run, folders: dict[str, Path], tmp_path: Path) -> None:
    methods = [f"{method}={folder}" for method, folder in folders.items()]
    code, out, err = run("study", "build", *methods, "--out", tmp_path / "study", "--checks", 1)
    assert (code, out) == (0, f"{tmp_path / 'study'}\n")
    assert "pairs: 6, checks: 1; a rater sees 7 and answers 14 questions" in err


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda study: (study / "study.json").unlink(), "is no study"),
        (lambda study: (study / "study.json").write_text("{"), "is damaged"),
        (lambda study: (study / "study.json").write_text("[1]"), "is damaged"),
        (lambda study: (study / "study.json").write_text('{"format": "x/2"}'), "its format is x/2"),
        (lambda study: next((study / CLIPS).iterdir()).unlink(), "lacks 1 of its clips"),
        (
            lambda study: (study / "study.json").write_text(
                (study / "study.json").read_text().replace(load(study).pairs[0].clip, "../study.json")
            ),
            "../study.json is no clip's name",
        ),
    ],
)
@pytest.mark.parametrize("verb", ["serve", "report"])
def test_what_is_no_study_is_refused(run, study: Path, damage, what: str, verb: str) -> None:
    damage(study)
    code, out, err = run("study", verb, study)
    assert code == 2 and out == "" and what in err and len(err.strip().splitlines()) == 1
    assert not (study / "answers.sqlite").exists()
