"""``lumiere rival``: diffusers' video pipelines on a file of prompts, end to end, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import video_pipelines
from families import latent_pipeline
from lumiere.cli import main
from lumiere.data.videos.buckets import Size, fill
from lumiere.io.video import Clip
from lumiere.research.rivals.cases import Case, find_pictures, first_frame
from lumiere.research.rivals.pipelines import Rival, find_rival
from movies import smooth_frames

NAMES = ["00001-a-red-cat.mp4", "00003-a-dog.mp4"]
FEW = ["--num-frames", 4, "--num-inference-steps", 2]
SMALL = ["--height", 32, "--width", 48]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """Folders of tiny models: tests must not change them."""
    folder = tmp_path_factory.mktemp("models")
    video_pipelines.animatediff().save_pretrained(folder / "animatediff")
    video_pipelines.model_scope().save_pretrained(folder / "model-scope")
    video_pipelines.stable_video_diffusion().save_pretrained(folder / "svd")
    video_pipelines.motion_adapter().save_pretrained(folder / "adapter")
    latent_pipeline("sd1").save_pretrained(folder / "sd1")
    return folder


@pytest.fixture
def run(capfd, tmp_path, monkeypatch):
    """Run ``lumiere`` where prompts and pictures for them are; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    Path("p.txt").write_text("A red cat!\n\na dog\n", "utf-8")
    Path("images").mkdir()
    Image.fromarray(smooth_frames(1, 40, 40)[0]).save("images/00001-a-red-cat.png")
    Clip(smooth_frames(3, 40, 40), 8).save("images/00003-a-dog.mp4")

    def call(*arguments):
        with pytest.raises(SystemExit) as caught:
            main(list(map(str, arguments)))
        captured = capfd.readouterr()
        return caught.value.code, captured.out, captured.err

    return call


def clips(folder="out"):
    return sorted(path.name for path in Path(folder).iterdir() if path.name[0] != ".")


@pytest.mark.parametrize(
    ("model", "options", "pipeline", "fps"),
    [
        ("animatediff", [], "AnimateDiffPipeline", 8),
        ("sd1", ["--motion-adapter", "adapter"], "AnimateDiffPipeline", 8),
        ("model-scope", ["--negative-prompt", "a dog", "--fps", 12.5], "TextToVideoSDPipeline", 12.5),
        ("svd", ["--images", "images", "--set", "motion_bucket_id=40"], "StableVideoDiffusionPipeline", 7),
    ],
    ids=["animatediff", "motion adapter", "model-scope", "svd"],
)
def test_prompts_become_clips(run, models, monkeypatch, model, options, pipeline, fps):
    options = [models / "adapter" if each == "adapter" else each for each in options]
    arguments = ["rival", models / model, "p.txt", "--out", "out", "--seed", 4, *FEW, *SMALL, *options]
    code, out, err = run(*arguments)
    assert (code, out.split()) == (0, [f"out/{name}" for name in NAMES]), err
    assert err == "2 clips: 2 made, 0 kept\n" and clips() == NAMES
    first, second = (Clip.load(Path("out") / name) for name in NAMES)
    assert first.frames.shape == second.frames.shape == (4, 32, 48, 3) and first.fps == fps
    assert (first.frames != second.frames).any()
    wanted = {"prompt": "a dog", "seed": 7, "model": model, "pipeline": pipeline, "num_inference_steps": 2}
    assert second.metadata.items() >= wanted.items()

    made = Path("out", NAMES[0])
    before, time = made.read_bytes(), made.stat().st_mtime_ns
    made.unlink()
    other = Path("out", NAMES[1]).stat().st_mtime_ns
    code, out, err = run(*arguments)
    assert (code, out) == (0, f"out/{NAMES[0]}\n") and "1 made, 1 kept" in err
    assert made.read_bytes() == before, "the same seed gives the same clip"
    assert Path("out", NAMES[1]).stat().st_mtime_ns == other and made.stat().st_mtime_ns != time

    monkeypatch.setattr(Rival, "load", None)
    assert run(*arguments) == (0, "", "2 clips: 0 made, 2 kept\n")
    code, _, err = run(*arguments, "--num-inference-steps", 3)
    assert code == 2 and f"{NAMES[0]} was made with num_inference_steps 2, not 3; give another --out" in err


def test_clips_are_those_that_diffusers_makes(models):
    picture = smooth_frames(1, 40, 40)[0]
    sampling = {"num_frames": 4, "num_inference_steps": 2, "height": 32, "width": 48}
    for model in ("model-scope", "svd"):
        rival = find_rival(models / model, sampling)
        taken = picture if rival.takes_picture else None
        clip = rival.make(rival.load(torch.float32, "cpu"), Case("0", "a red cat", 7), taken)
        own = diffusers.DiffusionPipeline.from_pretrained(models / model)
        given = {"image": Image.fromarray(fill(picture, Size(48, 32)))} if rival.takes_picture else {}
        given = given or {"prompt": "a red cat"}
        frames = own(**given, **sampling, generator=torch.manual_seed(7), output_type="pil").frames[0]
        assert np.abs(clip.frames.astype(int) - np.stack(frames).astype(int)).max() == 0


class Toy(diffusers.DiffusionPipeline):
    """A video pipeline without weights, whose call has names of its own."""

    stops_at = None
    gives = "frames"

    def __init__(self, scheduler):
        super().__init__()
        self.register_modules(scheduler=scheduler)

    def __call__(
        self, prompt, speed=1, image=None, frames=3, frame_rate=24, generator=None, output_type="pil"
    ):
        if prompt == self.stops_at:
            raise KeyboardInterrupt
        if speed > 9:
            raise ValueError(f"`speed` is {speed},\nbut has to be below 10")
        made = torch.rand(1, frames, 16, 16, 3, generator=generator).numpy()
        return SimpleNamespace(**{self.gives: made})


@pytest.fixture
def toy(run, monkeypatch):
    """Makes clips with the toy; the options are the verb's."""
    monkeypatch.setattr(diffusers, "Toy", Toy, raising=False)
    Toy(diffusers.DDIMScheduler()).save_pretrained("toy")
    return lambda *options: run("rival", "toy", "p.txt", "--out", "out", *options)


def test_an_interruption_leaves_what_was_made(toy, monkeypatch):
    monkeypatch.setattr(Toy, "stops_at", "a dog")
    code, out, err = toy()
    assert (code, out, clips()) == (130, f"out/{NAMES[0]}\n", NAMES[:1]) and err.endswith("interrupted\n")
    assert {path.name for path in Path("out").iterdir()} <= {NAMES[0], ".batch.lock"}
    Path("out/.0123456789ab.part.mp4").write_bytes(b"of a killed run")
    monkeypatch.setattr(Toy, "stops_at", None)
    code, out, err = toy()
    assert (code, out) == (0, f"out/{NAMES[1]}\n") and "1 made, 1 kept" in err
    assert {path.name for path in Path("out").iterdir()} <= {*NAMES, ".batch.lock"}


def test_any_pipeline_gets_the_arguments_that_its_call_takes(toy, monkeypatch):
    assert toy("--num-frames", 5, "--fps", 12, "--set", "speed=2")[0] == 0
    clip = Clip.load(Path("out") / NAMES[0])
    assert len(clip) == 5 and clip.fps == 12 and clip.metadata["speed"] == 2
    assert toy("--overwrite", "--frames", 2)[0] == 0
    assert len(clip := Clip.load(Path("out") / NAMES[0])) == 2 and clip.fps == 24
    code, _, err = toy("--overwrite", "--set", "speed=10")
    assert code == 2 and "Toy cannot make 00001-a-red-cat: ValueError: `speed` is 10, but has to" in err
    assert clips() == NAMES and len(Clip.load(Path("out") / NAMES[0])) == 2
    monkeypatch.setattr(Toy, "gives", "images")
    code, _, err = toy("--overwrite", "--set", "speed=3")
    assert code == 2 and "Toy gives no frames, but a SimpleNamespace" in err


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("adapter", [], "adapter has no model_index.json; give the folder of a whole pipeline"),
        ("unknown", [], "is a NoSuchPipeline, which diffusers"),
        ("own", [], "own is a model of this package; make its clips with lumiere batch PROMPTS --model"),
        ("foreign", [], "names a os.system, which is not known"),
        ("svd", [], "StableVideoDiffusionPipeline needs images; give their folder with --images"),
        ("svd", ["--images", "none"], "none is no folder; give pictures"),
        ("svd", ["--images", "."], "has no picture or clip called 00001-a-red-cat, 00003-a-dog"),
        (
            "svd",
            ["--images", "images", "--guidance-scale", 2],
            "no argument guidance_scale; choose from",
        ),
        ("model-scope", ["--images", "images"], "takes no image; leave out --images images"),
        ("model-scope", ["--set", "prompt=x"], "TextToVideoSDPipeline has no argument prompt; choose from"),
        ("model-scope", ["--set", "x"], "--set is 'x'; give NAME=VALUE"),
        ("model-scope", ["--height", 30, *FEW], "divisible by 8 but are 30"),
        ("model-scope", ["--motion-adapter", "images"], "images is no motion adapter"),
        (
            "model-scope",
            ["--motion-adapter", "adapter"],
            "TextToVideoSDPipeline; a --motion-adapter goes with",
        ),
        (
            "sd1",
            [],
            "StableDiffusionPipeline, which makes no clips of a prompt or a picture; give it a --motion-",
        ),
        ("pickled", [], "diffusion_pytorch_model.bin is a pickle, which is never loaded"),
        ("cut", [], "it lacks 1 weights, such as conv_in.bias"),
        ("model-scope", ["--out", "p.txt/x"], "cannot write"),
    ],
)
def test_bad_input_is_one_line(run, models, model, options, said):
    folder = models / model
    if not folder.exists():
        folder = Path(model)
        shutil.copytree(models / "model-scope", folder)
        index, weights = folder / "model_index.json", folder / "unet" / "diffusion_pytorch_model.safetensors"
        about = json.loads(index.read_text())
        change = {
            "own": {"_class_name": "LumierePipeline"},
            "unknown": {"_class_name": "NoSuchPipeline"},
            "foreign": {"unet": ["os", "system"]},
        }
        index.write_text(json.dumps(about | change.get(model, {})))
        if model == "pickled":
            weights.rename(weights.with_suffix(".bin"))
        if model == "cut":
            state = load_file(weights)
            del state["conv_in.bias"]
            save_file(state, weights, {"format": "pt"})
    options = [models / "adapter" if each == "adapter" else each for each in options]
    code, out, err = run("rival", folder, "p.txt", "--out", "out", *options)
    assert (code, out) == (2, "") and said in err and err.startswith("error: ") and err.count("\n") == 1, err
    assert not Path("out").exists() or clips() == []


@pytest.mark.parametrize(
    ("name", "lines", "said"),
    [
        ("p.txt", "\n", "p.txt holds no clip to make"),
        ("p.jsonl", '{"prompt": " "}', "p.jsonl:1: the prompt is empty"),
        ("p.jsonl", '{"prompt": "a", "frames": 2}', "p.jsonl:1: 'frames' is not used by a rival"),
        ("p.jsonl", '{"prompt": "a", "seed": -1}', "p.jsonl:1: seed is -1; give a number from 0"),
        ("p.jsonl", '{"prompt": "a", "clip": "../a.mp4"}', "p.jsonl:1: clip is '../a.mp4'"),
        ("p.jsonl", '{"prompt": "a", "id": "x"}\n{"prompt": "b", "id": "X"}', "two clips of the name X"),
        ("empty", None, "no clips in empty"),
    ],
)
def test_bad_prompts_are_one_line(run, models, name, lines, said):
    if lines is None:
        Path(name).mkdir()
    else:
        Path(name).write_text(lines)
    code, out, err = run("rival", models / "model-scope", name, "--out", "out")
    assert (code, out) == (2, "") and said in err and err.count("\n") == 1, err
    assert not Path("out").exists()


def test_a_picture_or_the_first_frame_of_a_clip_is_found_by_its_name(tmp_path, run):
    frames = smooth_frames(3, 32, 32)
    Clip(frames, 8).save(tmp_path / "images" / "more" / "c")
    found = find_pictures(Path("images"), [Case("00001-a-red-cat", "", 0), Case("more/c", "", 0)])
    assert (first_frame(found["00001-a-red-cat"]) == smooth_frames(1, 40, 40)[0]).all()
    assert (first_frame(found["more/c"]) == frames[0]).all()
