"""A tiny model of adopted temporal layers, from the command line, with no option beyond its inputs."""

from __future__ import annotations

import json

import click
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from families import save_family
from lumiere import LumierePipeline, conditions
from lumiere.cli import main
from lumiere.diffusion.conditioning import encode_condition
from lumiere.io.video import Clip
from motion_weights import save_original
from movies import smooth_frames


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adopted")
    image = save_family("sd1", folder / "sd1")
    motion = save_original("v3", folder / "animatediff_lightning_2step.safetensors")
    with pytest.raises(SystemExit) as caught:
        main(["inflate", str(image), "--motion", str(motion), "--out", str(folder / "model")])
    assert not caught.value.code
    return folder / "model"


@pytest.fixture(scope="module")
def session():
    """A context in which verbs share what they load."""
    return click.Context(click.Command("session"))


@pytest.fixture
def run(capfd, tmp_path, monkeypatch, model, session):
    monkeypatch.chdir(tmp_path)
    for name, frame in zip(("first", "last"), smooth_frames(2, 32, 48), strict=True):
        Image.fromarray(frame).save(f"{name}.png")
    Clip(smooth_frames(16, 32, 32), 8).save("clip")

    def call(*arguments):
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([*map(str, arguments), "--model", str(model)], parent=session)
        captured = capfd.readouterr()
        assert caught.value.code == 0, captured.err
        return Clip.load(captured.out.strip()), captured.err

    return call


def test_text_to_video_and_loops_have_the_models_length(run):
    clip, err = run("generate", "a red cat")
    assert clip.frames.shape == (16, 32, 32, 3) and clip.fps == 8 and "note" not in err
    assert (clip.metadata["steps"], clip.metadata["guidance"]) == (2, 1)
    assert run("loop", "a red cat")[0].frames.shape == (16, 32, 32, 3)
    clip, _ = run("generate", "a red cat", "--frames", 80, "--seed", 1, "--out", "long.mp4")
    assert clip.frames.shape == (80, 32, 32, 3)


def test_conditions_are_clamped_and_composited(run):
    first, last = (conditions.read_picture(f"{name}.png") for name in ("first", "last"))
    clip, err = run("animate", "first.png", "--out", "animated")
    assert len(clip) == 16 and "known latents are clamped" in err
    assert np.abs(clip.frames[0].astype(int) - np.asarray(Image.fromarray(first).resize((32, 24)))).max() < 40
    clip, _ = run("transition", "first.png", "last.png", "--size", "source", "--out", "between")
    assert (clip.frames[0] == first).all() and (clip.frames[-1] == last).all() and len(clip) == 16
    clip, _ = run("cinemagraph", "first.png", "--box", "8,8,24,24", "--size", "source", "--out", "moving")
    assert (clip.frames[:, :8] == first[:8]).all() and len(clip) == 16
    source = Clip.load("clip").frames
    clip, _ = run("inpaint", "clip", "--box", "8,8,24,24", "--out", "filled")
    assert (clip.frames[:, :8] == source[:, :8]).all() and (clip.frames[:, 8:24, 8:24] != 0).any()
    clip, _ = run("outpaint", "clip", "--canvas", "64x32", "--out", "wide")
    assert clip.frames.shape == (16, 16, 32, 3)


def test_videos_are_extended_and_edited(run):
    source = Clip.load("clip").frames
    clip, err = run("extend", "clip", "--out", "longer")
    assert clip.frames.shape == (32, 32, 32, 3) and (clip.frames[:16] == source).all()
    assert "known latents are clamped" in err
    clip, _ = run("edit", "clip", "a dog", "--out", "edited")
    assert clip.frames.shape == source.shape and clip.fps == 8


def test_a_lora_a_batch_and_super_resolution(run, session, model, tmp_path, tiny_upscaler, capfd):
    net = LumierePipeline.from_pretrained(model).unet.spatial
    name = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    width = net.get_submodule(name).weight.shape
    save_file(
        {
            f"unet.{name}.lora_A.weight": torch.ones(2, width[1]),
            f"unet.{name}.lora_B.weight": torch.ones(width[0], 2),
        },
        tmp_path / "lora.safetensors",
    )
    plain, _ = run("generate", "a cat", "--seed", 1)
    styled, _ = run("generate", "a cat", "--seed", 1, "--lora", "lora.safetensors", "--out", "styled.mp4")
    assert styled.metadata["style"] == "lora" and (styled.frames != plain.frames).any()
    fitted, _ = run("stylize", "a cat", "--reference", "first.png", "--fit-steps", 1, "--out", "fitted.mp4")
    assert fitted.metadata["style"] == "first" and len(fitted) == 16
    (tmp_path / "prompts.jsonl").write_text(
        json.dumps({"prompt": "a cat", "id": "cat"})
        + "\n"
        + json.dumps({"verb": "animate", "image": "first.png", "id": "moving"})
    )
    for arguments in (
        ["batch", "prompts.jsonl", "--out", "clips", "--model", model],
        ["upscale", "a-cat-1.mp4", "--model", tiny_upscaler, "--size", 64],
    ):
        with pytest.raises(SystemExit) as caught:
            main([*map(str, arguments)], parent=session)
        assert caught.value.code == 0, capfd.readouterr().err
    assert {len(Clip.load(path)) for path in tmp_path.glob("clips/*.mp4")} == {16}
    assert Clip.load("a-cat-1-64.mp4").frames.shape == (16, 64, 64, 3)


def test_rival_points_to_batch_for_a_model_of_this_package(model, tmp_path, capfd):
    (tmp_path / "p.txt").write_text("a red cat")
    with pytest.raises(SystemExit) as caught:
        main(["rival", str(model), str(tmp_path / "p.txt"), "--out", str(tmp_path / "rival")])
    assert caught.value.code == 2 and "lumiere batch" in capfd.readouterr().err
    assert not (tmp_path / "rival").exists()


@torch.no_grad()
def test_known_latents_are_clamped_with_and_without_resampling(model):
    pipe = LumierePipeline.from_pretrained(model)
    pipe.set_progress_bar_config(disable=True)
    picture = smooth_frames(1, 32, 32)[0]
    condition = conditions.from_image(picture, 16)
    wanted = pipe.encode_video(picture[None])[0, :, 0]
    calls, denoise = [], pipe._denoise
    pipe._probe()
    pipe._denoise = lambda *args, **more: calls.append(1) or denoise(*args, **more)
    made = {}
    for resample in (1, 3):
        calls.clear()
        options = {"condition": condition, "seed": 2, "output_type": "latent", "resample": resample}
        made[resample] = pipe("a cat", **options).frames[0]
        assert len(calls) == 2 * resample
        torch.testing.assert_close(made[resample][:, 0], wanted, atol=1e-4, rtol=0)
        assert torch.equal(made[resample], pipe("a cat", **options).frames[0])
    assert (made[1] - made[3])[:, 1:].abs().max() > 0.1
    hole = conditions.inpaint(smooth_frames(40, 32, 32), conditions.rectangle(32, 32, (8, 8, 24, 24)))
    latents = pipe("a cat", condition=hole, seed=2, output_type="latent").frames
    assert latents.shape == (1, 4, 40, 4, 4)
    given = torch.from_numpy(hole.known == 1).float()[None, None]
    encoded = encode_condition(
        pipe.codec, torch.from_numpy(hole.video).permute(3, 0, 1, 2)[None] / 127.5 - 1, given
    )
    torch.testing.assert_close(latents * encoded.whole, encoded.sample * encoded.whole, atol=1e-3, rtol=0)
    assert 0 < encoded.whole.float().mean() < 1
