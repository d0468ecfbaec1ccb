from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from broken_videos import broken
from lumiere.cli import main
from lumiere.data import parallel

TINY = ["--bucket", "48x32", "--multiple-of", "8", "--min-frames", "8", "--max-frames", "16"]


def _run(folder: Path, out: Path, *options: str) -> int:
    with pytest.raises(SystemExit) as exit:
        main(["data", "videos", str(folder), "--out", str(out), *TINY, "--jobs", "2", *options])
    return exit.value.code if isinstance(exit.value.code, int) else 1


@pytest.fixture
def alone(monkeypatch):
    """Work in this process: starting others takes seconds."""

    def in_order(function, jobs, workers, crashed):
        yield from ((job, function(job)) for job in jobs)

    monkeypatch.setattr(parallel, "in_order", in_order)


@pytest.fixture
def folder(tmp_path, movie) -> tuple[Path, dict[str, str]]:
    """Forty videos, of which sixteen are broken; the reasons of these."""
    path, reasons = tmp_path / "in", {}
    path.mkdir()
    ways = [*broken(movie, tmp_path), ("no caption", "no caption", lambda file: file.write_bytes(movie))]
    for n in range(40):
        file = path / f"{n:02d}.mp4"
        if n % 5 in (1, 3):
            _, reasons[file.name], spoil = ways[len(reasons)]
            spoil(file)
        else:
            file.write_bytes(movie)
        if reasons.get(file.name) != "no caption":
            file.with_suffix(".txt").write_text(f"waves, number {n}")
    return path, reasons


def _skipped(out: Path) -> dict[str, str]:
    with (out / "skipped.csv").open(encoding="utf-8", newline="") as file:
        return {row["file"]: row["reason"] for row in csv.DictReader(file)}


def _contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_all_that_can_be_used_is_and_the_rest_is_listed(folder, tmp_path, alone, capsys):
    path, reasons = folder
    out = tmp_path / "out"
    assert len(reasons) == 16 and _run(path, out) == 0
    said = capsys.readouterr().out
    assert "24 clips of 24 videos: 24 of 48x32 pixels" in said
    assert f"skipped: 16 of 40 videos, listed in {out}/skipped.csv" in said
    assert "       2  damaged" in said and "       1  no caption" in said
    assert _skipped(out) == reasons
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["complete"] and manifest["clips"] == {"48x32": 24} and manifest["videos"] == 40

    before = _contents(out)
    assert _run(path, out) == 0
    assert "is already complete; nothing to do" in capsys.readouterr().out
    assert _contents(out) == before


def test_what_is_new_is_added_and_what_was_mended_is_taken(folder, tmp_path, alone, capsys, movie):
    path, reasons = folder
    out = tmp_path / "out"
    _run(path, out)
    uncaptioned = next(name for name, reason in reasons.items() if reason == "no caption")
    (path / uncaptioned).with_suffix(".txt").write_text("waves after all")
    (path / "99.mp4").write_bytes(movie)
    (path / "99.txt").write_text("waves, too")
    assert _run(path, out) == 0
    assert "26 clips of 26 videos" in capsys.readouterr().out
    assert uncaptioned not in _skipped(out) and len(_skipped(out)) == 15
    assert len(list(out.glob("clips-*.tar"))) == 2


def test_clips_of_other_videos_are_not_kept(folder, tmp_path, alone, capsys):
    path, _ = folder
    out = tmp_path / "out"
    _run(path, out)
    before = _contents(out)
    (path / "00.txt").write_text("something else")
    assert _run(path, out) == 2
    assert "00.mp4 or its caption has changed since" in capsys.readouterr().err
    (path / "00.mp4").unlink()
    assert _run(path, out) == 2
    assert "00.mp4 is gone since" in capsys.readouterr().err
    assert _contents(out) == before
    assert _run(path, out, "--overwrite") == 0
    assert "23 clips of 23 videos" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--fps", "24"], "out was made with fps 16, not 24: ask for the same"),
        (["--no-scenes"], "scenes True, not False"),
        (["--caption", "a video"], "caption None, not a video"),
        (["--bucket", "32x48"], "buckets"),
        (["--max-frames", "32"], "max_frames 16, not 32"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path, movie, alone, capsys, options, complaint):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(movie)
    (tmp_path / "in" / "a.txt").write_text("waves")
    assert _run(tmp_path / "in", tmp_path / "out") == 0
    assert _run(tmp_path / "in", tmp_path / "out", *options) == 2
    assert complaint in capsys.readouterr().err


def test_folders_that_are_not_ours_are_refused(tmp_path, movie, alone, capsys):
    (tmp_path / "in").mkdir()
    assert _run(tmp_path / "in", tmp_path / "out") == 2
    assert "holds no video" in capsys.readouterr().err and not (tmp_path / "out").exists()
    (tmp_path / "in" / "a.mp4").write_bytes(movie)
    assert _run(tmp_path / "in", tmp_path / "out") == 2
    assert "none of the 1 videos" in (said := capsys.readouterr().err) and "1 no caption" in said
    assert _skipped(tmp_path / "out") == {"a.mp4": "no caption"}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    assert _run(tmp_path / "in", tmp_path / "mine", "--overwrite") == 2
    assert "holds something else" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--bucket", "50x32"], "--bucket is 50x32; give sides that are multiples of 8"),
        (["--min-frames", "17"], "--min-frames is 17; give at most --max-frames, 16"),
        (["--caption", " "], "--caption is empty"),
        (["--fps", "0"], "--fps"),
    ],
)
def test_bad_options_are_named(tmp_path, capsys, options, complaint):
    assert _run(tmp_path, tmp_path / "out", *options) == 2
    assert complaint in capsys.readouterr().err


def test_without_the_detector_it_says_what_to_install(tmp_path, movie, alone, capsys, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(movie)
    monkeypatch.setitem(sys.modules, "scenedetect", None)
    assert _run(tmp_path / "in", tmp_path / "out") == 2
    assert "pip install 'lumiere-video[videos]', or add --no-scenes" in capsys.readouterr().err


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(folder, tmp_path, alone):
    path, _ = folder
    out = tmp_path / "out"
    command = [sys.executable, "-m", "lumiere", "data", "videos", str(path), "--out", str(out), *TINY]
    run = subprocess.Popen([*command, "--jobs", "1"], stderr=subprocess.DEVNULL)
    journal = out / "progress.jsonl"
    while run.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") >= 3):
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    done = journal.read_bytes().count(b"\n")
    assert 3 <= done < 40 and not json.loads((out / "manifest.json").read_text())["complete"]
    journal.write_bytes(journal.read_bytes() + b'{"file": "half a li')
    assert _run(path, out) == 0
    assert _run(path, tmp_path / "whole") == 0
    assert _contents(out) == _contents(tmp_path / "whole")


def _die_on_three(job: int) -> str:
    if job == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    return str(job)


def _crashed(job: int) -> str:
    return f"crashed on {job}"


def test_a_process_that_dies_takes_no_other_job_along():
    results = list(parallel.in_order(_die_on_three, range(7), 2, _crashed))
    assert results == [(n, _crashed(n) if n == 3 else str(n)) for n in range(7)]


@pytest.mark.slow
def test_a_cluster_does_the_same(tmp_path, folder, alone, capsys):
    pytest.importorskip("ray")
    path, _ = folder
    assert _run(path, tmp_path / "one") == 0
    status = _run(path, tmp_path / "many", "--ray", "local")
    if status and "no Ray cluster" in (said := capsys.readouterr().err):
        pytest.skip(said)  # its nodes have half a minute to start, which a busy machine may not give them
    assert status == 0
    assert _contents(tmp_path / "one") == _contents(tmp_path / "many")
