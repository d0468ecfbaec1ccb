"""``lumiere batch`` in one process: what is made, what is kept, what is refused."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from batch_program import clips, manifest, start_batch, wait_until
from lumiere.batch.plan import digest_of
from lumiere.cli import main
from lumiere.io.video import Clip, read_metadata
from lumiere.pipelines.text_to_video import LumierePipeline
from movies import smooth_frames

FEW = ["--frames", 2, "--steps", 1]


@pytest.fixture
def run(capfd, tmp_path, monkeypatch, tiny_bundle):
    """Run a verb in this process; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments, verb="batch"):
        with pytest.raises(SystemExit) as caught:
            main([verb, *map(str, arguments), "--model", str(tiny_bundle)])
        captured = capfd.readouterr()
        return caught.value.code, captured.out, captured.err

    return call


def write_lines(name, *lines):
    Path(name).write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def test_prompts_become_clips_as_generate_makes_them(run, monkeypatch):
    Path("p.txt").write_text("A red cat!\n\na dog\n", "utf-8")
    loads = []
    load = LumierePipeline.from_pretrained.__func__
    monkeypatch.setattr(
        LumierePipeline, "from_pretrained", classmethod(lambda *a, **k: loads.append(a) or load(*a, **k))
    )
    code, out, err = run("p.txt", "--out", "out", "--seed", 4, *FEW)
    assert (code, out.split()) == (0, ["out/00001-a-red-cat.mp4", "out/00003-a-dog.mp4"]), err
    assert "2 clips: 2 made, 0 kept, 0 failed; see out/manifest.jsonl" in err and len(loads) == 1
    assert clips() == ["00001-a-red-cat.mp4", "00003-a-dog.mp4"]
    first, second = manifest()
    assert first["sha256"] == digest_of(Path("out/00001-a-red-cat.mp4"))
    assert (second["line"], second["file"], second["status"]) == (3, "00003-a-dog.mp4", "made")
    assert second["seed"] == read_metadata("out/00003-a-dog.mp4")["seed"] == 7
    assert run("a dog", "--seed", 7, "--out", "alone.mp4", *FEW, verb="generate")[0] == 0
    assert (Clip.load("out/00003-a-dog.mp4").frames == Clip.load("alone.mp4").frames).all()


def test_what_is_there_is_kept_and_what_is_missing_is_made(run):
    Path("p.txt").write_text("a\nb\nc\n")
    assert run("p.txt", "--out", "out", *FEW)[0] == 0
    before = {name: (Path("out") / name).stat().st_mtime_ns for name in clips()}
    (Path("out") / "00002-b.mp4").unlink()
    (Path("out") / ".0123456789ab.part.mp4").write_bytes(b"of a killed run")
    code, out, err = run("p.txt", "--out", "out", *FEW)
    assert (code, out) == (0, "out/00002-b.mp4\n") and "1 made, 2 kept, 0 failed" in err
    assert [entry["status"] for entry in manifest()] == ["kept", "made", "kept"]
    after = {name: (Path("out") / name).stat().st_mtime_ns for name in clips()}
    assert list(before) == list(after) and before["00001-a.mp4"] == after["00001-a.mp4"]
    assert {path.name for path in Path("out").iterdir()} <= {*clips(), "manifest.jsonl", ".batch.lock"}


def test_other_settings_are_refused_by_name(run):
    write_lines("p.jsonl", {"prompt": "a cat", "id": "cat"}, {"prompt": "a dog", "id": "dog"})
    assert run("p.jsonl", "--out", "out", *FEW)[0] == 0
    was = digest_of(Path("out/cat.mp4"))
    code, out, err = run("p.jsonl", "--out", "out", *FEW, "--guidance", 3)
    assert (code, out) == (2, "") and "cat.mp4 was made with guidance the default, not 3.0" in err
    assert digest_of(Path("out/cat.mp4")) == was
    code, out, err = run("p.jsonl", "--out", "out", *FEW, "--guidance", 3, "--overwrite")
    assert (code, out.split()) == (0, ["out/cat.mp4", "out/dog.mp4"]), err
    assert digest_of(Path("out/cat.mp4")) != was
    assert run("p.jsonl", "--out", "out", *FEW, "--guidance", 3, "--overwrite")[1] == ""
    Path("out/dog.mp4").write_bytes(b"mine")
    code, _, err = run("p.jsonl", "--out", "out", *FEW, "--guidance", 3)
    assert code == 2 and "dog.mp4 was not made by a batch" in err


def test_a_bad_line_does_not_stop_the_others(run):
    write_lines(
        "p.jsonl",
        {"verb": "extend", "video": "nowhere.mp4"},
        {"prompt": "   "},
        {"prompt": "a cat", "size": 30},
        {"prompt": "a cat", "alpha": 0.5},
        {"prompt": "a dog"},
    )
    code, out, err = run("p.jsonl", "--out", "out", *FEW)
    assert (code, out) == (1, "out/00005-a-dog.mp4\n")
    said = ["there is no nowhere.mp4", "the prompt is empty", "multiples of 4", "--alpha 0.5 needs a --style"]
    errors = [line for line in err.splitlines() if line.startswith("error: p.jsonl:")]
    assert all(each in error for each, error in zip(said, errors, strict=True)), err
    assert [entry["status"] for entry in manifest()] == ["failed"] * 4 + ["made"]
    assert "multiples of 4" in manifest()[2]["error"]


def test_a_default_may_be_nothing(run):
    Path("p.txt").write_text("a\n")
    code, _, err = run("p.txt", "--out", "out", "--alpha", 0)
    assert code == 1 and "--alpha 0 needs a --style" in err


def test_lines_may_call_any_verb(run, tmp_path, make_pipe, tiny_upscaler):
    make_pipe(conditioned=True).save_pretrained(tmp_path / "conditioned")
    Image.fromarray(smooth_frames(1, 32, 32)[0]).save("frog.png")
    Clip(smooth_frames(4, 32, 32), 12).save("pond.mp4")
    Path("p.csv").write_text(
        "verb,id,prompt,image,video,file,box,frames,size,model,upscaler,no-composite\n"
        "animate,frog,a frog,frog.png,,,,3,,conditioned,,\n"
        "loop,,a cat,,,,,4,,,,\n"
        'edit,,a dog,,pond.mp4,,"8,8,24,24",,,conditioned,,\n'
        'inpaint,,a dog,,pond.mp4,,"8,8,24,24",,,conditioned,,true\n'
        f"upscale,large,,,,pond.mp4,,,64,{tiny_upscaler},,\n"
        f"generate,both,a cat,,,,,2,48,,{tiny_upscaler},\n"
    )
    arguments = ["p.csv", "--out", "out", "--format", "png", "--steps", 1, "--scheduler", "euler"]
    code, _, err = run(*arguments)
    assert code == 0, err
    assert clips() == ["00003-a-cat", "00004-a-dog", "00005-a-dog", "both", "frog", "large"]
    assert len(Clip.load("out/frog")) == 3 and Clip.load("out/large").frames.shape == (4, 64, 64, 3)
    assert np.abs(Clip.load("out/frog").frames[0].astype(int) - smooth_frames(1, 32, 32)[0]).max() <= 1
    assert read_metadata("out/00003-a-cat")["scheduler"] == "euler"
    assert read_metadata("out/frog")["scheduler"] != "euler", "animate has no such option"
    both = Clip.load("out/both")
    assert both.frames.shape == (2, 48, 48, 3) and both.metadata["upscaled"]["model"] == "tiny-upscaler"
    assert "0 made, 6 kept" in run(*arguments)[2]
    Clip(smooth_frames(5, 32, 32), 12).save("pond.mp4", overwrite=True)
    code, _, err = run(*arguments)
    assert code == 2 and "00004-a-dog was made with video" in err, "another video by the same name"


@pytest.mark.parametrize(
    ("lines", "arguments", "said"),
    [
        (['{"prompt": "a"', "{}"], [], "p.jsonl:1: not JSON"),
        (['{"promt": "a"}', '{"prompt": "b", "frame": 2}'], [], "no option 'promt'; there are prompt"),
        (['{"promt": "a"}', '{"prompt": "b", "frame": 2}'], [], "(bad lines: 2)"),
        (
            ['{"prompt": "a", "id": "x"}', '{"prompt": "b", "id": "X"}'],
            [],
            "p.jsonl:2: X.mp4 is line 1's clip",
        ),
        (['{"prompt": "a", "id": "../x"}'], [], "id is '../x'"),
        (['{"prompt": "a", "id": "x.y"}'], [], "id is 'x.y'"),
        (
            ['{"verb": "show", "prompt": "a"}'],
            [],
            "p.jsonl:1: no verb 'show' makes clips; there are generate",
        ),
        (['{"prompt": "a"}'], ["--style", "nowhere"], "p.jsonl:1: there is no nowhere"),
        (['{"verb": "stylize", "prompt": "a"}'], ["--reference", "x.png"], "p.jsonl:1: there is no x.png"),
        (
            ['{"prompt": "a"}'],
            ["--strength", 0.5],
            "--strength is no option of generate, which p.jsonl calls",
        ),
        (['{"prompt": "a"}'], ["--workers", 2], "--workers 2 needs --ray"),
        (['{"prompt": "a"}'], ["--device", "abacus"], "device 'abacus' cannot be used"),
        (['{"prompt": "a"}'], ["--out", "there.mp4/x"], "cannot write"),
        (['{"prompt": "a", "model": "nowhere"}'], [], "p.jsonl:1: no model at nowhere"),
        (['{"prompt": "a"}'], ["--ray", "typo"], "--ray is 'typo'; give local, auto, HOST:PORT"),
        (['{"prompt": "a"}'], ["--ray", "127.0.0.1:1"], "no Ray cluster at 127.0.0.1:1: Connection refused"),
        (['{"prompt": "a"}'], ["--ray", "local", "--device", "cuda:1"], "with --ray, give cpu or cuda"),
    ],
)
def test_bad_input_is_reported_before_any_work(run, lines, arguments, said):
    Path("p.jsonl").write_text("\n".join(lines))
    Path("there.mp4").write_bytes(b"mine")
    code, out, err = run("p.jsonl", "--out", "out", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1) and said in err, err
    assert sorted(path.name for path in Path().iterdir()) == ["p.jsonl", "there.mp4"]


def test_two_batches_do_not_share_a_folder(run):
    from filelock import FileLock

    Path("p.txt").write_text("a\n")
    Path("out").mkdir()
    with FileLock("out/.batch.lock"):
        code, _, err = run("p.txt", "--out", "out", *FEW)
    assert code == 2 and "another batch works in out" in err


def test_a_full_disk_ends_the_batch(run, monkeypatch):
    Path("p.txt").write_text("a\nb\nc\n")
    save, saved = Clip.save, []

    def full(self, path, **options):
        saved.append(path)
        if len(saved) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return save(self, path, **options)

    monkeypatch.setattr(Clip, "save", full)
    code, out, err = run("p.txt", "--out", "out", *FEW)
    assert (code, out) == (1, "out/00001-a.mp4\n") and "p.txt:2: No space left on device" in err
    assert "other lines would fail too" in err and len(saved) == 2
    assert [entry["status"] for entry in manifest()] == ["made", "failed"]
    code, out, err = run("p.txt", "--out", "out", *FEW)
    assert (code, len(out.split())) == (0, 2) and "2 made, 1 kept" in err


def test_our_own_mistakes_cost_one_clip(run, monkeypatch):
    Path("p.txt").write_text("a\nb\n")
    monkeypatch.setattr("lumiere.pipelines.outputs.to_uint8", lambda video: 1 / 0)
    code, _, err = run("p.txt", "--out", "out", *FEW)
    assert code == 1 and err.count("ZeroDivisionError: division by zero") == 2
    assert clips() == []


def test_a_killed_run_goes_on(run, tiny_bundle):
    Path("p.txt").write_text("".join(f"clip {number}\n" for number in range(6)))
    options = ["p.txt", "--out", "out", "--frames", 40, "--steps", 6]
    with start_batch(*options, "--model", tiny_bundle) as process:
        wait_until(lambda: Path("out").exists() and clips(), process)
        process.kill()
    made = clips()
    assert 0 < len(made) < 6 and len(manifest()) <= len(made)
    code, _, err = run(*options)
    assert code == 0 and f"{6 - len(made)} made, {len(made)} kept" in err, err
    assert len(clips()) == 6 and [entry["line"] for entry in manifest()] == [1, 2, 3, 4, 5, 6]
