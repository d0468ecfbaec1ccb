"""``lumiere inflate`` with temporal weights that were trained elsewhere."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from families import save_family
from lumiere import LumierePipeline
from lumiere.cli import main
from lumiere.cli.inflate import MOTION_KINDS
from lumiere.io.checkpoints.motion import KINDS, read_motion
from motion_weights import make_adapter, make_modelscope, original_names, save_hotshot, save_original

LINEAR = {"beta_schedule": "linear", "beta_start": 0.00085, "beta_end": 0.012}
#: by file name: the modules, settings, scheduler, and what it is configured with
MODULES = {
    "mm_sd_v15.safetensors": ("v1", (16, 8, 25, 7.5), "DPMSolverMultistepScheduler", LINEAR),
    "mm_sd_v15_v2.safetensors": ("v2", (16, 8, 25, 7.5), "DPMSolverMultistepScheduler", LINEAR),
    "mm_sdxl_v10_beta.safetensors": (
        "sdxl",
        (16, 8, 25, 7.5),
        "DPMSolverMultistepScheduler",
        LINEAR | {"beta_end": 0.020},
    ),
    "sd15_t2v_beta.safetensors": ("lcm", (16, 8, 6, 1.5), "LCMScheduler", LINEAR),
    "animatediff_lightning_8step_comfyui.safetensors": (
        "v2",
        (16, 8, 8, 1.0),
        "EulerDiscreteScheduler",
        LINEAR | {"timestep_spacing": "trailing"},
    ),
    "hsxl_temporal_layers.safetensors": (
        "hotshot",
        (8, 8, 25, 7.5),
        "DPMSolverMultistepScheduler",
        {"beta_schedule": "scaled_linear"},
    ),
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    return {family: save_family(family, folder / family) for family in ("sd1", "sdxl")}


@pytest.fixture
def run(capfd):
    """Run ``lumiere`` in this process; returns exit code, output and errors."""

    def call(*arguments):
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([*map(str, arguments)])
        captured = capfd.readouterr()
        return caught.value.code, captured.out, captured.err

    return call


@pytest.mark.parametrize("file", MODULES)
def test_motion_modules_as_people_hold_them(run, images, tmp_path, file):
    name, settings, scheduler, schedule = MODULES[file]
    if name == "hotshot":
        motion = save_hotshot(tmp_path / file)
    else:
        motion = save_original(name, tmp_path / file, prefix="module.", dtype=torch.float16)
    image = images["sdxl" if name in ("sdxl", "hotshot") else "sd1"]
    code, out, err = run("inflate", image, "--motion", motion, "--out", tmp_path / "model")
    assert (code, out) == (0, f"{tmp_path / 'model'}\n"), err
    pipe = LumierePipeline.from_pretrained(tmp_path / "model")
    assert tuple(pipe.config[key] for key in ("frames", "fps", "steps", "guidance")) == settings
    assert type(pipe.scheduler).__name__ == scheduler
    assert schedule.items() <= dict(pipe.scheduler.config).items()
    read = read_motion(motion).weights
    saved = pipe.unet.temporal_state_dict()
    assert read.keys() <= saved.keys()
    assert all(torch.equal(saved[key], weight.to(saved[key])) for key, weight in read.items())
    assert not any(pipe.unet.temporal_resample)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_layout_gives_the_same_net(tmp_path, prefix):
    make_adapter("v2").save_pretrained(tmp_path / "folder")
    theirs = read_motion(tmp_path / "folder")
    ours = read_motion(save_original("v2", tmp_path / "file.safetensors", prefix))
    assert theirs.config == ours.config and theirs.settings == ours.settings
    assert theirs.weights.keys() == ours.weights.keys()
    assert all(torch.equal(theirs.weights[key], ours.weights[key]) for key in ours.weights)


def test_modelscope_needs_no_image_model(run, tmp_path):
    make_modelscope().save_pretrained(tmp_path / "modelscope")
    code, _, err = run("inflate", tmp_path / "modelscope", "--out", tmp_path / "model", "--dtype", "float16")
    assert code == 0, err
    pipe = LumierePipeline.from_pretrained(tmp_path / "model", torch.float16)
    assert [pipe.config[key] for key in ("frames", "fps", "guidance")] == [16, 8, 9.0]
    assert pipe.scheduler.config.beta_schedule == "scaled_linear"
    motion = save_original("v1", tmp_path / "v1.safetensors")
    code, _, err = run("inflate", tmp_path / "modelscope", "--motion", motion, "--out", tmp_path / "another")
    assert code == 2 and "modelscope has temporal layers of its own" in err and err.count("\n") == 1


def test_temporal_resampling_for_training_stretches_positions(run, images, tmp_path):
    motion = save_original("v1", tmp_path / "v1.safetensors")
    arguments = ["inflate", images["sd1"], "--motion", motion, "--frames", 77, "--out", tmp_path / "model"]
    code, _, err = run(*arguments)
    assert code == 2 and "frames is 77; " in err and "has 24 positions" in err
    code, _, err = run(*arguments, "--temporal-resample")
    assert code == 0, err
    pipe = LumierePipeline.from_pretrained(tmp_path / "model")
    assert pipe.config["frames"] == 77 and pipe.unet.max_frames == 80
    assert pipe.unet.temporal_resample == [True] * 3


def half(path):
    path.write_bytes(path.read_bytes()[:5000])


def as_lora(path):
    state = {f"down_blocks.0.attn.to_q.lora_{side}.weight": torch.zeros(2, 2) for side in ("up", "down")}
    save_file(state, path)


def without_some(path):
    state = load_file(path)
    del state[min(name for name in state if "proj_out" in name)]
    save_file(state, path)


def as_image_model(path):
    save_file({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(2)}, path)


@pytest.mark.parametrize(
    ("name", "family", "spoil", "match"),
    [
        ("v1", "sdxl", None, "does not fit this image model: up."),
        ("sdxl", "sd1", None, "does not fit this image model: up."),
        ("v1", "sd1", half, "is not a whole safetensors file"),
        ("v1", "sd1", as_lora, "is a LoRA, with weights such as"),
        ("v1", "sd1", without_some, "lacks 1 temporal weights, such as down.0.blocks.0.proj_out.bias"),
        ("v1", "sd1", as_image_model, "has no motion modules; its weights have names such as"),
        ("v1", "sd1", lambda path: path.unlink(), "no motion modules at"),
    ],
)
def test_weights_that_do_not_fit_are_refused_in_one_line(run, images, tmp_path, name, family, spoil, match):
    motion = save_original(name, tmp_path / "motion.safetensors")
    if spoil is not None:
        spoil(motion)
    code, _, err = run("inflate", images[family], "--motion", motion, "--out", tmp_path / "model")
    assert code == 2 and match in err and err.count("\n") == 1, err
    assert not (tmp_path / "model").exists()


def test_a_module_for_the_middle_needs_a_transformer_there(run, tmp_path):
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel

    from families import latent_pipeline, random_model, tiny_configuration

    parts = latent_pipeline("sd1").components
    parts["unet"] = random_model(
        UNet2DConditionModel, **tiny_configuration("sd1")["unet"] | {"mid_block_type": "UNetMidBlock2D"}
    )
    StableDiffusionPipeline(**parts, requires_safety_checker=False).save_pretrained(tmp_path / "image")
    motion = save_original("v2", tmp_path / "motion.safetensors")
    code, _, err = run("inflate", tmp_path / "image", "--motion", motion, "--out", tmp_path / "model")
    assert code == 2 and "has no transformer there" in err and err.count("\n") == 1, err
    assert not (tmp_path / "model").exists()


def test_a_pickle_is_refused(run, images, tmp_path):
    pickle = tmp_path / "mm_sd_v15_v2.ckpt"
    torch.save(original_names(make_adapter("v2")), pickle)
    code, _, err = run("inflate", images["sd1"], "--motion", pickle, "--out", tmp_path / "model")
    assert code == 2 and "is a pickle, which is never loaded" in err and err.count("\n") == 1
    assert not (tmp_path / "model").exists()


def test_options_that_need_temporal_weights(run, images, tmp_path):
    for option in (["--motion-kind", "lcm"], ["--temporal-resample"]):
        code, _, err = run("inflate", images["sd1"], *option, "--out", tmp_path / "model")
        assert code == 2 and err.count("\n") == 1, err
    assert tuple(KINDS) == MOTION_KINDS
