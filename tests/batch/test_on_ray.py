"""A Ray cluster of this machine's own, with a worker that is killed in the middle."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch

from batch_program import clips, manifest, start_batch, wait_until
from lumiere.batch.plan import digest_of
from lumiere.cli import main
from lumiere.models.text import MiniLMTextEncoder


@pytest.fixture
def model(make_pipe, tmp_path):
    """A tiny model whose every part a worker knows."""
    make_pipe(text_encoder=MiniLMTextEncoder()).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def workers(process):
    """Processes of the cluster that make clips."""
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if child.cmdline()[:1] == ["ray::Worker.make"]:
                yield child
        except psutil.Error:  # it is gone already
            pass


@pytest.mark.slow
def test_a_worker_is_killed_and_nothing_is_lost(model, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Path("p.txt").write_text("".join(f"clip {number}\n" for number in range(8)))
    options = ["--model", str(model), "--frames", "40", "--steps", "4"]
    with start_batch("p.txt", "--out", "out", *options, "--ray", "local", "--workers", 2) as process:
        wait_until(lambda: Path("out").exists() and clips(), process)
        killed = next(workers(process))
        killed.kill()
        out, err = process.communicate()
        assert process.returncode == 0, err
    assert "8 clips: 8 made, 0 kept, 0 failed" in err
    assert [entry["line"] for entry in manifest()] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert len(clips()) == len(out.split()) == 8
    assert not list(Path("out").glob(".*.part*"))

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the workers have; another number rounds otherwise
    try:
        with pytest.raises(SystemExit):
            main(["batch", "p.txt", "--out", "alone", *options])
    finally:
        torch.set_num_threads(threads)
    capfd.readouterr()
    assert clips("alone") == clips()
    for entry in manifest("alone"):
        assert entry["sha256"] == digest_of(Path("out") / entry["file"])
