"""A rival's clips are called as those that they are to stand beside."""

from __future__ import annotations

import json
from pathlib import Path

from lumiere.batch.lines import read_lines
from lumiere.batch.plan import read_jobs
from lumiere.cli.batch import PROGRAM
from lumiere.emoji.data.heldout import held_out_prompts
from lumiere.emoji.evaluation.prompts import clip_paths
from lumiere.io.video import Clip
from lumiere.metrics.clips import find, pair, prompts_of
from lumiere.research.rivals.cases import Case, read_cases
from lumiere.research.study.pairing import pair_up
from movies import smooth_frames

FRAMES = smooth_frames(2, 16, 16)


def make_all(cases: list[Case], folder: Path) -> Path:
    for case in cases:
        Clip(FRAMES, 8, {"prompt": case.prompt}).save(folder / f"{case.name}.mp4")
    return folder


def test_lines_have_the_names_and_seeds_of_a_batch(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    lines = [{"prompt": "A red cat!"}, {"prompt": "a dog", "id": "dog"}, {"prompt": "an owl", "seed": 9}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    jobs = read_jobs(PROGRAM, file, read_lines(file), tmp_path, ".mp4", "generate", 4, {})
    cases = read_cases(file, 4)
    assert (
        [case.name for case in cases]
        == [job.path.stem for job in jobs]
        == ["00001-a-red-cat", "dog", "00003-an-owl"]
    )
    assert [case.seed for case in cases] == [job.about["seed"] for job in jobs] == [5, 6, 9]


def test_another_methods_folder_gives_prompts_and_names(tmp_path: Path) -> None:
    prompts = held_out_prompts({"1f980": "crab", "1f989": "owl"})[:3]
    for path, prompt in zip(clip_paths(tmp_path / "ours", prompts), prompts, strict=True):
        Clip(FRAMES, 8, {"prompt": prompt.prompt}).save(path)
    cases = read_cases(tmp_path / "ours", 0)
    assert [case.prompt for case in cases] == [prompt.prompt for prompt in prompts]
    theirs = make_all(cases, tmp_path / "theirs")
    assert len(pair(find([theirs]), find([tmp_path / "ours"]))) == 3
    paired = pair_up({"ours": tmp_path / "ours", "theirs": theirs})
    assert all(clips["ours"].path.name == clips["theirs"].path.name for clips in paired)


def test_lines_of_clips_are_those_that_metrics_reads(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text('{"clip": "YoYo/0000.mp4", "prompt": "YoYo"}\n{"clip": "v1.5", "prompt": "b"}\n')
    assert [case.name for case in read_cases(file, 0)] == ["YoYo/0000", "v1.5"]
    made = find([make_all(read_cases(file, 0), tmp_path / "out")])
    assert prompts_of(made[:1], file) == ["YoYo"]


def test_clips_of_a_service_have_the_prompts_of_their_namesakes(tmp_path: Path) -> None:
    make_all([Case("a", "a cat", 0), Case("b", "a dog", 0)], tmp_path / "ours")
    for name in ("a", "b"):
        Clip(FRAMES, 8).save(tmp_path / "service" / f"{name}.webm")
    clips = find([tmp_path / "service"])
    assert prompts_of(clips, tmp_path / "ours", needed=True) == ["a cat", "a dog"]
    assert [ours.name for _, ours in pair(clips, find([tmp_path / "ours"]))] == ["a.mp4", "b.mp4"]
    paired = pair_up({"service": tmp_path / "service", "ours": tmp_path / "ours"})
    assert [clips["service"].prompt for clips in paired] == ["a cat", "a dog"]
