from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from tiny_shards import FRAMES, SIDE

from lumiere.cli.train import command
from lumiere.conditions import from_image
from lumiere.errors import InputError
from lumiere.io.video import Clip
from lumiere.models.codec import PatchAutoencoder
from lumiere.pipelines.superres import UpscalePipeline
from lumiere.pipelines.text_to_video import LumierePipeline
from lumiere.train import usage
from lumiere.train.config import Optim, load
from lumiere.train.draw import draws
from lumiere.train.loop import Trainer, learning_rate


def trainer(config: Path, *overrides: str, resume: bool = False, restart: bool = False) -> Trainer:
    return Trainer(load(config, overrides), resume=resume, restart=restart)


def loss_of(run: Trainer) -> float:
    """Of the first step's samples, as the net is now."""
    samples = range(run.samples_per_step)
    batch = run.stage.prepare(run.stage.load(0, samples))
    return run.stage(*batch, draws(run.accelerator.device, 0, samples, len(samples))).item()


def last_checkpoint(out: Path) -> dict[str, dict[str, torch.Tensor]]:
    folder = max((out / "checkpoints").iterdir())
    return {path.stem: load_file(path) for path in folder.glob("*.safetensors")}


def assert_equal(a: dict[str, dict[str, torch.Tensor]], b: dict[str, dict[str, torch.Tensor]]) -> None:
    assert a.keys() == b.keys() == {"weights", "ema", "optimizer"}
    for kind in a:
        assert a[kind].keys() == b[kind].keys()
        for name in a[kind]:
            assert torch.equal(a[kind][name], b[kind][name]), f"{kind} {name}"


def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(image_config, tmp_path):
    settings = [
        "run.max_steps=16",
        "run.checkpoint_steps=3",
        f"data.cache={tmp_path}/cache",
        "data.cache_clips=true",
        "optim.schedule=cosine",
        "optim.accumulate=2",
        "optim.ema_every=2",
    ]
    whole = tmp_path / "whole"
    assert trainer(image_config, *settings, f"run.out={whole}").run() == 0

    killed = tmp_path / "killed"
    arguments = [word for setting in [*settings, "run.threads=1"] for word in ("--set", setting)]
    process = subprocess.Popen(
        [sys.executable, "-m", "lumiere", "train", str(image_config), "--out", str(killed), *arguments],
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list(killed.glob("checkpoints/step-*3")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    reached = max((killed / "checkpoints").iterdir()).name
    assert "step-00000003" <= reached < "step-00000016"

    resumed = trainer(image_config, *settings, f"run.out={killed}", resume=True)
    assert f"step-{resumed.step:08d}" == reached
    assert resumed.run() == 0
    assert_equal(last_checkpoint(whole), last_checkpoint(killed))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_saves_and_says_so_in_one_line(codec_config, tmp_path, capsys, number, status):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    trainer(codec_config, f"run.out={whole}").run()
    run = trainer(codec_config, f"run.out={broken}")
    load_batch = run.stage.load

    def interrupting(step: int, samples: range):
        if step == 3:
            os.kill(os.getpid(), number)
        return load_batch(step, samples)

    run.stage.load = interrupting
    capsys.readouterr()
    assert run.run() == status
    said = [line for line in capsys.readouterr().err.splitlines() if "step/s" not in line and line.strip()]
    assert len(said) == 1 and said[0].startswith(f"interrupted at step {run.step}; step {run.step} is saved")
    assert 0 < run.step < 6

    assert trainer(codec_config, f"run.out={broken}", resume=True).run() == 0
    assert_equal(last_checkpoint(whole), last_checkpoint(broken))
    assert f"{usage.cpu_name()}); the model is in" in capsys.readouterr().err
    used = json.loads((broken / "usage.json").read_text())
    assert [(each["first_step"], each["last_step"]) for each in used] == [(0, run.step), (run.step, 6)]
    for each in used:
        assert each["cpu"] == usage.cpu_name() and each["hours"] >= 0 and each["peak_gb"] > 0
        assert 0 <= each["core_hours"] <= each["cores"] * (each["hours"] + 0.001) and each["gpu_hours"] == 0


def test_the_codec_learns_and_is_exported_normalised(codec_config, tmp_path):
    run = trainer(codec_config, "run.max_steps=60", "optim.lr=5e-3", "data.clip_share=0", "run.log_steps=5")
    first = loss_of(run)
    assert run.run() == 0
    codec = PatchAutoencoder.from_pretrained(tmp_path / "run" / "model")
    run.stage.net = codec
    last = loss_of(run)
    assert last < 0.7 * first
    pictures = [run.stage.mixture.stills.read(i)[0] for i in range(6)]
    video = torch.stack([torch.from_numpy(p).permute(2, 0, 1) for p in pictures])[:, :, None] / 127.5 - 1
    latents = codec.encode(video).detach()
    assert abs(latents.mean()) < 0.3 and latents.std() == pytest.approx(1, abs=0.3)
    (shown,) = (tmp_path / "run" / "samples").rglob("psnr-*.png")
    assert float(shown.stem.removeprefix("psnr-")) > 10


def test_a_decoder_is_trained_for_the_samples_that_there_are(codec_config, codec, tmp_path):
    given = shutil.copytree(codec, tmp_path / "given")
    initial = PatchAutoencoder.from_pretrained(given)
    settings = [
        "model.decoder_widths=[16, 24]",
        "model.decoder_blocks=2",
        "run.max_steps=60",
        "optim.lr=5e-3",
    ]
    run = trainer(codec_config, f"encoder={given}", *settings)
    first = loss_of(run)
    assert run.run() == 0
    made = PatchAutoencoder.from_pretrained(tmp_path / "run" / "model")
    video = torch.rand(1, 3, 2, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(made.encode(video), initial.encode(video))
    assert sum(p.numel() for p in made.decoder.parameters()) > sum(
        p.numel() for p in initial.decoder.parameters()
    )
    last = loss_of(run)
    assert last < 0.7 * first
    weights = load_file(given / "diffusion_pytorch_model.safetensors")
    weights["encoder.1.weight"] += 1
    save_file(weights, given / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="the encoder has changed"):
        trainer(codec_config, f"encoder={given}", *settings, resume=True)


def test_the_image_model_learns_and_is_exported_whole(image_config, tmp_path):
    result = CliRunner().invoke(
        command,
        [
            str(image_config),
            "--max-steps",
            "8",
            "--set",
            f"data.cache={tmp_path}/cache",
            "--set",
            "samples.steps=1",
        ],
        standalone_mode=False,
    )
    assert result.exception is None and result.return_value == 0
    out = tmp_path / "run"
    unet = UNet2DConditionModel.from_pretrained(out / "model")
    averaged = last_checkpoint(out)["ema"]
    assert all(torch.equal(value, averaged[name]) for name, value in unet.named_parameters())
    assert load(out / "model" / "training.toml") == load(
        image_config, ["run.max_steps=8", f"data.cache={tmp_path}/cache", "samples.steps=1"]
    )
    assert (out / "samples" / "step-00000008" / "sheet.png").stat().st_size > 500
    assert list((out / "tensorboard").iterdir())
    assert not list(out.rglob("*.part*"))


def test_super_resolution_learns_on_pictures_and_then_on_clips(superres_config, tmp_path):
    run = trainer(superres_config)
    first = loss_of(run)
    assert run.run() == 0
    assert loss_of(run) < 0.9 * first
    (sheet,) = (tmp_path / "run" / "samples" / "step-00000040").iterdir()
    assert re.fullmatch(r"bicubic-\d+\.\d\d-net--?\d+\.\d\d\.png", sheet.name)

    image, out = tmp_path / "run" / "model", tmp_path / "inflated"
    settings = [f"image={image}", f"run.out={out}", "run.max_steps=4", "data.batch_size=1"]
    run = trainer(superres_config, *settings)
    before = {name: value.clone() for name, value in run.stage.net.state_dict().items()}
    assert run.run() == 0
    moved = {name for name, v in run.stage.net.state_dict().items() if not torch.equal(v, before[name])}
    assert moved and all(name.startswith("temporal.") for name in moved)
    pipe = UpscalePipeline.from_pretrained(out / "model")
    assert (pipe.config["steps"], pipe.config["residual_std"]) == (2, 0.15)
    small = Clip(np.full((7, 16, 16, 3), 99, np.uint8), 16)
    assert pipe(small, 32).frames.shape == (7, 32, 32, 3)

    again = trainer(superres_config, *settings[:1], f"init={out}/model/unet", f"run.out={tmp_path}/again")
    averaged = last_checkpoint(out)["ema"]
    assert all(torch.equal(averaged[name], value) for name, value in again.trained.items())
    weights = image / "diffusion_pytorch_model.safetensors"
    save_file({name: value + 1 for name, value in load_file(weights).items()}, weights)
    with pytest.raises(InputError, match="the image has changed since the checkpoint"):
        trainer(superres_config, *settings, resume=True)
    with pytest.raises(InputError, match=r"12 frames; data\.frames asks for 13"):
        trainer(superres_config, *settings, "data.frames=13", restart=True).stage.load(0, range(1))
    with pytest.raises(InputError, match=r"\[model\] does not make a UNet2DConditionModel"):
        trainer(superres_config, "model.block_out_channels=[20]", restart=True)


@pytest.mark.slow
def test_temporal_layers_learn_and_the_image_model_stays_as_it_was(image_config, tmp_path):
    out, cache = tmp_path / "temporal", f"data.cache={tmp_path}/cache"
    assert trainer(image_config, cache, "run.max_steps=1", "samples.steps=1").run() == 0
    image = tmp_path / "run" / "model"
    text = image_config.read_text()
    text = text[: text.index("[model]")] + text[text.index("[optim]") :]
    path = tmp_path / "temporal.toml"
    path.write_text(text.replace('stage = "image"', f'stage = "temporal"\nimage = "{image}"'))
    settings = [cache, "data.stills=[]", "data.frames=9", "data.batch_size=2", "run.max_steps=4"]
    settings += ["objective.shared_noise=0.5"]
    run = trainer(path, *settings, f"run.out={out}")
    before = {name: value.clone() for name, value in run.stage.net.state_dict().items()}
    assert run.run() == 0

    trained = run.stage.net.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, trained[name])}
    assert moved and all(name.startswith("temporal.") for name in moved)
    pipe = LumierePipeline.from_pretrained(out / "model")
    assert pipe.config["shared_noise"] == 0.5
    exported = pipe.unet.state_dict()
    spatial = load_file(image / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(exported[f"spatial.{name}"], value) for name, value in spatial.items())
    averaged = last_checkpoint(out)["ema"]
    assert averaged.keys() == run.stage.net.temporal_state_dict().keys()
    assert all(torch.equal(exported[name], value) for name, value in averaged.items())
    clips = sorted((out / "samples" / "step-00000004").glob("*.mp4"))
    assert [len(Clip.load(path)) for path in clips] == [9, 9]

    second = trainer(path, *settings, f"init={out}/model/unet", f"run.out={tmp_path}/second")
    assert all(torch.equal(averaged[name], value) for name, value in second.trained.items())
    assert pipe.config["size"] == SIDE

    # EncodedCondition a part of the clip, from the layers that were not
    conditioned = tmp_path / "conditioned.toml"
    conditioned.write_text(path.read_text().replace('stage = "temporal"', 'stage = "conditioned"'))
    second = trainer(conditioned, *settings, f"init={out}/model/unet", f"run.out={tmp_path}/conditioned")
    fresh = {name: value.clone() for name, value in second.trained.items()}
    assert all(torch.equal(averaged[name], fresh[name]) for name in averaged)
    assert fresh.keys() - averaged.keys() == {"temporal.condition.weight"}
    assert not fresh["temporal.condition.weight"].any()
    assert second.run() == 0
    assert second.trained["temporal.condition.weight"].any()
    pipe = LumierePipeline.from_pretrained(tmp_path / "conditioned" / "model")
    first = np.zeros((SIDE, SIDE, 3), np.uint8)
    clip = pipe("a red block", condition=from_image(first, 9), num_inference_steps=1, seed=0)
    assert (clip.frames[0] == 0).all() and clip.frames[1:].any()

    # Windows of chosen clips, each with the index of its first frame
    window = trainer(
        path, *settings, "data.frames=4", "data.captions=red", f"run.out={tmp_path}/windows"
    ).stage
    choice = window.source.choice
    captions = {choice.pictures.caption(i) for i in choice.numbers}
    assert captions == {"a red block moving right on a white background"}
    batches = (window.load(draw, range(2 * draw, 2 * draw + 2)) for draw in range(8))
    starts = [first for batch in batches for first in batch.first_frames]
    assert len(set(starts)) > 3 and max(starts) <= FRAMES - 4
    given = []
    window.net.register_forward_pre_hook(lambda _, a, k: given.append(k["first_frame"]), with_kwargs=True)
    samples = range(2)
    window(*window.prepare(window.load(0, samples)), draws(window.device, 0, samples, 2))
    assert given[0].tolist() == starts[:2]


def test_a_run_is_not_overwritten_by_mistake(codec_config, tmp_path):
    trainer(codec_config, "run.max_steps=2").run()
    with pytest.raises(InputError, match="give --resume to continue, or --restart"):
        trainer(codec_config, "run.max_steps=2")
    with pytest.raises(InputError, match=r"optim\.lr = 0\.001, not 0\.002"):
        trainer(codec_config, "optim.lr=2e-3", resume=True)
    assert trainer(codec_config, restart=True).step == 0
    assert not list((tmp_path / "run").glob("checkpoints/*"))


def test_init_starts_from_the_weights_of_another_run(codec_config, tmp_path):
    trainer(codec_config, "run.max_steps=2").run()
    model = tmp_path / "run" / "model"
    second = trainer(codec_config, f"run.out={tmp_path}/second", f"init={model}")
    weights = load_file(model / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(weights[name], value) for name, value in second.trained.items())
    with pytest.raises(InputError, match="no PatchAutoencoder at"):
        trainer(codec_config, f"run.out={tmp_path}/third", f"init={tmp_path}/nowhere")


def test_a_loss_that_is_no_number_ends_the_run(codec_config, tmp_path):
    run = trainer(codec_config, "optim.lr=1000", "optim.warmup_steps=0", "run.log_steps=2")
    with pytest.raises(InputError, match=r"the loss is (nan|inf) at step"):
        run.run()
    assert not list((tmp_path / "run").glob("checkpoints/*"))


def test_a_bad_sample_ends_the_run_and_loses_nothing(codec_config, tmp_path):
    run = trainer(codec_config)
    load_batch = run.stage.load

    def failing(step: int, samples: range):
        if step == 3:
            raise InputError("sample 'x' cannot be decoded")
        return load_batch(step, samples)

    run.stage.load = failing
    with pytest.raises(InputError, match="sample 'x'"):
        run.run()
    assert trainer(codec_config, resume=True).step == 3


def test_what_is_finished_is_passed_over(codec_config, tmp_path, capsys):
    trainer(codec_config, "run.max_steps=2").run()
    model = tmp_path / "run" / "model" / "diffusion_pytorch_model.safetensors"
    written = model.stat().st_mtime_ns
    assert trainer(codec_config, "run.max_steps=2", resume=True).run() == 0
    assert "is finished: 2 steps" in capsys.readouterr().err
    assert model.stat().st_mtime_ns == written
    assert trainer(codec_config, "run.max_steps=3", resume=True).run() == 0
    assert model.stat().st_mtime_ns > written


def test_the_learning_rate_rises_holds_and_falls():
    optim = Optim(lr=1.0, warmup_steps=10, schedule="constant", cooldown=0.5)
    assert learning_rate(optim, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(optim, 9, 0.1) == learning_rate(optim, 50, 0.5) == 1.0
    assert learning_rate(optim, 75, 0.75) == pytest.approx(0.5)
    assert learning_rate(optim, 100, 1.0) == 0.01
    cosine = Optim(lr=1.0, warmup_steps=0, schedule="cosine")
    assert [learning_rate(cosine, 5, p) for p in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.5, 0.01])
