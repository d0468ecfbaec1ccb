from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest

from lumiere import Clip, LumierePipeline, STUNet, read_metadata
from lumiere.cli import generate, main
from lumiere.diffusion.sampling import SCHEDULERS
from lumiere.pipelines.superres import UpscalePipeline


@pytest.fixture
def run(capfd):
    """Run ``lumiere generate`` in this process; returns exit code, output and errors."""

    def call(*arguments):
        with pytest.raises(SystemExit) as caught:
            main(["generate", *map(str, arguments)])
        captured = capfd.readouterr()
        return caught.value.code, captured.out, captured.err

    return call


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_writes_what_python_makes(run, tiny_bundle, pipe, elsewhere):
    code, out, err = run(
        "a red cat", "--model", tiny_bundle, "--out", "cats/cat.mp4", "--seed", 7, "--frames", 5, "--fps", 8,
        "--steps", 2, "--guidance", 3, "--negative", "a dog", "--scheduler", "euler", "--size", "32x24",
        "--guidance-interval", "0.4,0.8", "--device", "cpu",
    )  # fmt: skip
    assert (code, out) == (0, "cats/cat.mp4\n"), err
    assert "sampling" in err and "2/2" in err
    clip = Clip.load("cats/cat.mp4")
    assert clip.frames.shape == (5, 24, 32, 3) and clip.fps == 8
    assert clip.metadata.items() >= {
        "prompt": "a red cat", "negative_prompt": "a dog", "seed": 7, "steps": 2, "guidance": 3.0,
        "guidance_interval": [0.4, 0.8], "scheduler": "euler", "model": "tiny",
    }.items()  # fmt: skip
    assert [path.name for path in (elsewhere / "cats").iterdir()] == ["cat.mp4"]


#: as the pipeline computes without a dtype; the command line chooses one by the processor
EXACT = ("--dtype", "float32")


def test_lossless_folder_holds_exactly_pythons_frames(run, tiny_bundle, pipe):
    run("a red cat", "--model", tiny_bundle, "--out", "cat", "--seed", 7, "--frames", 4, *EXACT)
    loaded = LumierePipeline.from_pretrained(tiny_bundle)
    assert (Clip.load("cat").frames == loaded("a red cat", num_frames=4, seed=7).frames).all()


def test_regions_have_their_own_prompts(run, tiny_bundle, elsewhere):
    seeded = ("--model", tiny_bundle, "--seed", 7, "--frames", 4, *EXACT)
    run("two friends", *seeded, "--out", "friends", "--regions", "a cat | a dog / a fish | a bird")
    clip = LumierePipeline.from_pretrained(tiny_bundle)(
        "two friends", num_frames=4, seed=7, regions="a cat | a dog / a fish | a bird"
    )
    assert (Clip.load("friends").frames == clip.frames).all()
    assert clip.metadata["regions"] == "a cat | a dog / a fish | a bird"


def test_half_precision_makes_the_same_clip(run, tiny_bundle, tiny_upscaler, elsewhere):
    made = {}
    for dtype in ("float32", "bfloat16"):
        code, _, err = run(
            "a red cat", "--model", tiny_bundle, "--upscaler", tiny_upscaler, "--size", 64, "--frames", 5,
            "--seed", 7, "--dtype", dtype, "--out", dtype,
        )  # fmt: skip
        assert code == 0, err
        made[dtype] = Clip.load(dtype)
        assert made[dtype].metadata["dtype"] == dtype
    difference = made["float32"].frames.astype(float) - made["bfloat16"].frames
    assert 0 < np.abs(difference).mean() < 3


def test_a_loop_is_made_of_the_same_options(capfd, tiny_bundle):
    with pytest.raises(SystemExit) as caught:
        seeded = ["--seed", "7", "--frames", "6", *EXACT]
        main(["loop", "a cat", "--model", str(tiny_bundle), *seeded, "--out", "cat"])
    assert caught.value.code == 0, capfd.readouterr().err
    looped = LumierePipeline.from_pretrained(tiny_bundle)("a cat", num_frames=6, seed=7, loop=True)
    assert (Clip.load("cat").frames == looped.frames).all()


def test_both_stages(run, tiny_bundle, tiny_upscaler, elsewhere):
    arguments = ["a cat", "--model", tiny_bundle, "--seed", 7, "--frames", 4, "--upscaler", tiny_upscaler]
    code, out, err = run(*arguments, *EXACT, "--size", "100x66", "--out", "cat")
    assert (code, out) == (0, "cat\n"), err
    assert "sampling" in err and "upscaling" in err
    made = Clip.load("cat")
    small = LumierePipeline.from_pretrained(tiny_bundle)("a cat", num_frames=4, seed=7, height=20, width=32)
    larger = UpscalePipeline.from_pretrained(tiny_upscaler)(small, (66, 100), seed=7)
    assert (made.frames == larger.frames).all() and made.fps == small.fps
    assert made.metadata == larger.metadata
    assert made.metadata.items() >= small.metadata.items()


def test_a_size_within_the_models_is_made_by_it_alone(run, tiny_bundle, tiny_upscaler, elsewhere):
    arguments = ["a cat", "--model", tiny_bundle, "--frames", 2, "--upscaler", tiny_upscaler]
    code, _, err = run(*arguments, "--size", 32, "--out", "cat.gif")
    assert code == 0, err
    assert "upscaled" not in read_metadata("cat.gif")


def test_name_and_seed_by_default(run, tiny_bundle, elsewhere):
    code, out, _ = run("A red cat, on green!", "--model", tiny_bundle, "--frames", 2, "--steps", 1)
    name = out.strip()
    assert code == 0
    seed = read_metadata(name)["seed"]
    assert name == f"a-red-cat-on-green-{seed}.mp4"


def test_count_numbers_clips_by_their_seeds(run, tiny_bundle, elsewhere):
    arguments = ["a cat", "--model", tiny_bundle, "--seed", 3, "--frames", 2, "--steps", 1]
    code, out, err = run(*arguments, "--count", 3, "--out", "cat.gif")
    assert (code, out.split()) == (0, ["cat-3.gif", "cat-4.gif", "cat-5.gif"])
    assert "sampling 3 of 3" in err
    assert [read_metadata(name)["seed"] for name in out.split()] == [3, 4, 5]


BAD = [
    (["  "], "the prompt is empty"),
    (["a cat", "--frames", "0"], "'--frames': 0 is not in the range"),
    (["a cat", "--frames", "9" * 30], "is not in the range 1<=x<=1000000"),
    (["a cat", "--frames", "many"], "'--frames': 'many' is not a valid integer"),
    (["a cat", "--fps", "0"], "'--fps': 0.0 is not in the range"),
    (["a cat", "--fps", "nan"], "'--fps': 'nan' is not a finite number"),
    (["a cat", "--fps", "0.0001"], "0.0001 frames per second cannot be"),
    (["a cat", "--fps", "60", "--out", "cat.gif"], "cannot write cat.gif at 60 fps: players show"),
    (["a cat", "--steps", "0"], "'--steps': 0 is not in the range"),
    (["a cat", "--steps", "1001"], "'--steps': 1001 is not in the range"),
    (["a cat", "--guidance", "0.5"], "'--guidance': 0.5 is not in the range"),
    (["a cat", "--guidance", "nan"], "'--guidance': 'nan' is not a finite number"),
    (["a cat", "--guidance-interval", "0.8,0.4"], "'--guidance-interval': '0.8,0.4' is not two numbers"),
    (["a cat", "--guidance-interval", "0.4"], "'--guidance-interval': '0.4' is not two numbers"),
    (["a cat", "--guidance-interval", "nan,1"], "'--guidance-interval': 'nan,1' is not two numbers"),
    (["a cat", "--alpha", "inf"], "'--alpha': 'inf' is not a finite number"),
    (["a cat", "--regions", "a cat |"], "the regions 'a cat |' have an empty prompt; give each region one"),
    (["a cat", "--regions", "a | b / c"], "the rows of regions have 2, 1 prompts; give each as many, from 1"),
    (["a", "red", "cat"], 'quote a prompt of several words, such as "a red frog"'),
    (["a cat", "--count", "1000000000000"], "is not in the range 1<=x<=100000"),
    (["a cat", "--count", "0"], "'--count': 0 is not in the range"),
    (["a cat", "--seed", "-1"], "'--seed': -1 is not in the range"),
    (["a cat", "--size", "big"], "size is 'big'; give pixels"),
    (["a cat", "--size", "30"], "multiples of 4, such as 32"),
    (["a cat", "--size", "0"], "size is '0'; give pixels, such as 128"),
    (["a cat", "--size", ""], "size is ''; give pixels"),
    (["a cat", "--upscaler", "x"], "--upscaler x needs a --size"),
    (["a cat", "--upscaler", "x", "--size", "64"], "no model at"),
    (["a cat", "--out", "cat.avi"], "the ending '.avi' is not known"),
    (["a cat", "--out", "there.mp4"], "there.mp4 exists"),
    (["a cat", "--out", "there.mp4/cat.mp4"], "cannot write there.mp4/cat.mp4"),
    (["a cat", "--out", "c" * 300 + ".mp4"], "File name too long"),
    (
        ["a cat", "--out", "there", "--overwrite"],
        "there is a file; add an ending such as .mp4",
    ),
    (["a cat", "--device", "meta"], "device 'meta' cannot be used"),
    (
        ["a cat", "--model", "emoji-upscaler", "--size", "64"],
        "is a UpscalePipeline's; give a bundle of",
    ),
    (["a cat", "--scheduler", "heun"], "'heun' is not one of 'ddim', 'dpm++', 'euler'"),
    (["a cat", "--device", "abacus"], "device 'abacus' cannot be used"),
    (["a cat", "--model", "nowhere"], "no model at nowhere"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(bad[0]) for bad in BAD])
def test_bad_input_is_reported_before_any_net_is_loaded(
    run, tiny_bundle, elsewhere, monkeypatch, arguments, message
):
    def load(*_):
        raise AssertionError("a net was loaded")

    monkeypatch.setattr("lumiere.models.stunet.STUNet.from_config", load)
    for name in ("there", "there.mp4"):
        (elsewhere / name).write_bytes(b"mine")
    code, out, err = run("--model", tiny_bundle, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and message in err
    assert sorted(path.name for path in elsewhere.iterdir()) == ["there", "there.mp4"]
    assert (elsewhere / "there.mp4").read_bytes() == (elsewhere / "there").read_bytes() == b"mine"


def test_a_prompt_of_broken_bytes(run, tiny_bundle, elsewhere):
    code, out, err = run("a \udcff cat", "--model", tiny_bundle)
    assert (code, out) == (2, "") and r"the prompt 'a \udcff cat' is not UTF-8 text" in err
    assert list(elsewhere.iterdir()) == []


def test_a_size_that_no_memory_holds_is_refused_before_sampling(
    run, tiny_bundle, tiny_upscaler, elsewhere, monkeypatch
):
    monkeypatch.setenv("LUMIERE_MAX_PIXELS", str(10**12))
    size = ["--upscaler", tiny_upscaler, "--size", 1_000_000]
    code, out, err = run("a cat", "--model", tiny_bundle, "--frames", 4, *size)
    assert (code, out) == (2, "") and "4 frames of 1000000x1000000 at a time need over" in err
    assert "sampling" not in err and list(elsewhere.iterdir()) == []


def test_all_names_of_a_count_are_checked_first(run, tiny_bundle, elsewhere):
    (elsewhere / "cat-2.mp4").write_bytes(b"mine")
    code, out, err = run("a cat", "--model", tiny_bundle, "--seed", 1, "--count", 2, "--out", "cat.mp4")
    assert (code, out) == (2, "") and "cat-2.mp4 exists" in err
    assert [path.name for path in elsewhere.iterdir()] == ["cat-2.mp4"]


def test_overwrite(run, tiny_bundle, elsewhere):
    (elsewhere / "cat.mp4").write_bytes(b"old")
    arguments = ["a cat", "--model", tiny_bundle, "--frames", 2, "--steps", 1, "--out", "cat.mp4"]
    assert run(*arguments, "--overwrite")[0] == 0
    assert len(Clip.load("cat.mp4")) == 2


def test_a_spoilt_bundle(run, tiny_bundle, elsewhere, tmp_path_factory):
    copy = shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("spoilt") / "tiny")
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    code, _, err = run("a cat", "--model", copy)
    assert code == 2 and "truncated or altered" in err and err.count("\n") == 1
    assert list(elsewhere.iterdir()) == []


def test_too_little_memory(run, tiny_bundle, elsewhere, monkeypatch):
    monkeypatch.setattr("lumiere.pipelines.memory.available_bytes", lambda device: 100_000)
    code, _, err = run("a cat", "--model", tiny_bundle, "--frames", 400)
    assert code == 2 and "GB are free" in err and "would fit" in err
    assert list(elsewhere.iterdir()) == []


def test_ctrl_c_keeps_what_is_finished(run, tiny_bundle, elsewhere, monkeypatch):
    forward, calls = STUNet.forward, []

    def interrupted(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 5:  # one call estimates memory, two make the first clip
            raise KeyboardInterrupt
        return forward(*arguments, **options)

    monkeypatch.setattr(STUNet, "forward", interrupted)
    options = ["--count", 3, "--seed", 1, "--frames", 2, "--steps", 2, "--out", "cat.webp"]
    code, out, err = run("a cat", "--model", tiny_bundle, *options)
    assert (code, out) == (130, "cat-1.webp\n")
    assert err.splitlines()[-1] == "interrupted" and "Traceback" not in err
    assert [path.name for path in elsewhere.iterdir()] == ["cat-1.webp"]
    assert len(Clip.load("cat-1.webp")) == 2


def test_schedulers_are_those_that_there_are():
    assert list(SCHEDULERS) == generate.SCHEDULERS


def test_help_has_an_example_and_imports_nothing_heavy():
    code = "import sys, lumiere.cli as c\ntry: c.main()\nfinally: print({'torch', 'av'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code, "generate", "--help"], capture_output=True, text=True, check=True
    )
    assert 'lumiere generate "a frog growing on a purple background"' in done.stdout
    assert done.stdout.endswith("set()\n")


def test_a_precision_has_a_short_name(run, tiny_bundle):
    arguments = ("a red cat", "--model", tiny_bundle, "--seed", 7, "--frames", 2, "--steps", 1)
    assert run(*arguments, "--dtype", "bf16", "--out", "short")[0] == 0
    assert Clip.load("short").metadata["dtype"] == "bfloat16"
    code, _, err = run(*arguments, "--dtype", "bf8")
    assert code == 2 and "'bf8' is not one of 'float32', 'float16', 'bfloat16'" in err


def test_offloading_needs_a_gpu(run, elsewhere):
    code, out, err = run("a red cat", "--model", "none", "--device", "cpu", "--offload", "model")
    assert (code, out) == (2, "") and not list(elsewhere.iterdir())
    assert err == "error: --offload model needs a GPU, and the device is cpu; leave it out\n"
