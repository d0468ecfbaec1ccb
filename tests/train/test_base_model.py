"""Temporal layers trained beside a whole model: one that was inflated, of each family."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_shards import about, mp4, picture, write_shard

from lumiere.diffusion.objective import training_loss
from lumiere.diffusion.sampling import noise_schedule
from lumiere.errors import InputError
from lumiere.io.checkpoints.motion import read_motion
from lumiere.models.text import MiniLMTextEncoder
from lumiere.pipelines.inflation import inflate, read_image_model
from lumiere.pipelines.text_to_video import LumierePipeline
from lumiere.train.config import load
from lumiere.train.draw import draws
from lumiere.train.encode import fingerprint
from lumiere.train.loop import Trainer
from lumiere.train.stages import build
from motion_weights import save_original

CPU = torch.device("cpu")
PREDICTS = {"sd1": "epsilon", "sd2-v": "v_prediction", "sdxl": "epsilon", "if-1": "epsilon"}


def write_config(folder: Path, shards: Path, bundle: object, stage: str = "temporal", more: str = "") -> Path:
    path = folder / "own.toml"
    path.write_text(f"""
name = "own"
stage = "{stage}"
bundle = "{bundle}"
{more}
[data]
clips = ["{shards}/train-clips-*.tar"]
size = [32, 32]
frames = 5
batch_size = 2
[optim]
warmup_steps = 1
ema_decay = 0.0
[samples]
prompts = ["a red block"]
steps = 1
[run]
out = "{folder}/run"
max_steps = 2
device = "cpu"
""")
    return path


@pytest.mark.parametrize("family", PREDICTS)
def test_the_loss_is_of_what_the_model_predicts_on_its_own_schedule(family, inflated, shards, tmp_path):
    pipe, folder = inflated(family)
    stage = build(load(write_config(tmp_path, shards, folder), ["objective.caption_dropout=0"]), CPU)
    loaded = stage.load(0, range(2))
    batch = stage.prepare(loaded)
    latents, context, first_frames = batch
    assert torch.equal(context, pipe.text_encoder([caption for _, caption in loaded.loaded]))
    with torch.no_grad():
        loss = stage(*batch, draws(CPU, 0, range(2), 2))
        expected = training_loss(
            lambda x, t: pipe.unet(x, t, context, first_frame=first_frames).sample,
            latents,
            pipe.scheduler.alphas_cumprod,
            draws(CPU, 0, range(2), 2).generators,
            prediction_type=PREDICTS[family],
        )
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=0)
    assert {name.split(".")[0] for name in stage.net.state_dict()} == {"spatial", "temporal"}
    assert all(name.startswith("temporal.") for name in stage.trained())


@pytest.mark.parametrize("family", ["sd2-v", "sdxl"])
def test_what_comes_out_is_a_model_of_the_same_kind_that_goes_on(family, inflated, shards, tmp_path):
    pipe, folder = inflated(family)
    config = write_config(tmp_path, shards, folder)
    cached = ["data.cache_clips=true", f"data.cache={tmp_path}/cache", "optim.lr=1e-2"]
    assert Trainer(load(config, cached)).run() == 0

    made = LumierePipeline.from_pretrained(tmp_path / "run" / "model")
    for name in ("codec", "text_encoder"):
        assert fingerprint(getattr(made, name)) == fingerprint(getattr(pipe, name))
    assert fingerprint(made.unet.spatial) == fingerprint(pipe.unet.spatial)
    assert fingerprint(made.unet.temporal) != fingerprint(pipe.unet.temporal)
    assert made.scheduler.config == LumierePipeline.from_pretrained(folder).scheduler.config
    assert (made.config["size"], made.config["frames"]) == (32, 5)
    assert made.config["guidance"] == pipe.config["guidance"]

    again = build(load(config, [f"bundle={tmp_path}/run/model"]), CPU)
    state = again.net.temporal_state_dict()
    assert all(torch.equal(value, state[name]) for name, value in made.unet.temporal_state_dict().items())


def test_caches_hold_what_the_models_own_encoders_make(inflated, shards, tmp_path):
    folder = inflated("sdxl")[1]
    config = write_config(tmp_path, shards, folder)
    fresh = build(load(config), CPU)
    cached = build(load(config, ["data.cache_clips=true", f"data.cache={tmp_path}/cache"]), CPU)
    for a, b in zip(*(each.prepare(each.load(3, range(6, 8))) for each in (fresh, cached)), strict=True):
        assert a.shape == b.shape
        torch.testing.assert_close(a.float(), b.float(), atol=5e-3, rtol=2e-3)


def test_the_schedule_of_parts_ends_in_pure_noise(temporal_config):
    stage = build(load(temporal_config), CPU)
    assert torch.equal(stage.alphas_cumprod, noise_schedule().alphas_cumprod)


def test_other_tokenizers_are_another_encoder(inflated):
    encoder = LumierePipeline.from_pretrained(inflated("sd1")[1]).text_encoder
    before = fingerprint(encoder)
    encoder.tokenizers["tokenizer.json"].add_tokens(["a red cat"])
    assert fingerprint(encoder) != before


def test_a_conditioned_model_begins_as_the_model_it_is_made_of(inflated, shards, tmp_path):
    pipe, folder = inflated("sd1")
    stage = build(load(write_config(tmp_path, shards, folder, stage="conditioned")), CPU)
    channels = stage.net.config.condition_channels
    assert channels > 0
    sample, context = torch.randn(1, 4, 5, 4, 4), pipe.text_encoder(["a"])
    with torch.no_grad():
        given = stage.net(sample, 10, context, condition=torch.ones(1, channels, 5, 4, 4)).sample
        torch.testing.assert_close(given, pipe.unet(sample, 10, context).sample)


def test_a_motion_can_be_learnt_beside_it(inflated, shards, tmp_path):
    config = write_config(tmp_path, shards, inflated("sd1")[1])
    run = Trainer(load(config, ["lora.layers=temporal", "lora.rank=2"]))
    assert run.run() == 0
    assert (tmp_path / "run" / "lora").is_dir()
    assert LumierePipeline.from_pretrained(tmp_path / "run" / "model").unet.state_dict().keys() == (
        inflated("sd1")[0].unet.state_dict().keys()
    )


def test_the_image_layers_train_too_where_asked(inflated, shards, tmp_path):
    config = write_config(tmp_path, shards, inflated("sd1")[1], stage="conditioned")
    run = Trainer(load(config, ["train_image=true", "optim.lr=1e-2"]))
    assert "image" not in run.frozen
    assert run.run() == 0
    before = inflated("sd1")[0].unet.state_dict()
    after = LumierePipeline.from_pretrained(tmp_path / "run" / "model").unet.state_dict()
    for part in "spatial.", "temporal.":
        assert any(not torch.equal(after[name], before[name]) for name in before if name.startswith(part))
    with pytest.raises(InputError, match=r'"train_image" is true and "lora\.layers"'):
        load(config, ["train_image=true", "lora.layers=spatial"])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_the_steps_is_text_to_video(share, inflated, shards, tmp_path):
    config = write_config(tmp_path, shards, inflated("sd1")[1], stage="conditioned")
    stage = build(load(config, [f"unconditioned_share={share}"]), CPU)
    for step in range(4):
        batch = stage.prepare(stage.load(step, range(2)))
        *_, condition, unknown = batch
        assert condition.any() == (share == 0.0)
        assert (unknown == 1).all() or share == 0.0
        assert torch.isfinite(stage(*batch, draws(CPU, 0, range(2), 2)))
    with pytest.raises(InputError, match=r'"unconditioned_share" is 1\.5; it must be from 0\.0 to 1\.0'):
        load(config, ["unconditioned_share=1.5"])


def test_the_model_has_the_frame_rate_of_the_clips(inflated, tmp_path):
    clip = mp4([picture((220, 30, 30), x) for x in range(6)])
    said = '{"caption": "a", "width": 32, "height": 32, "frames": 6, "fps": 12.5}'
    write_shard(tmp_path / "train-clips-0.tar", {"a.mp4": clip, "a.json": said.encode()})
    stage = build(load(write_config(tmp_path, tmp_path, inflated("sd1")[1])), CPU)
    stage.export(tmp_path / "model")
    pipe = LumierePipeline.from_pretrained(tmp_path / "model")
    pipe.set_progress_bar_config(disable=True)
    assert pipe.config["fps"] == 12.5
    assert float(pipe("a", num_inference_steps=1).fps) == 12.5

    write_shard(tmp_path / "train-clips-1.tar", {"b.mp4": clip, "b.json": about("b")})
    mixed = build(load(write_config(tmp_path, tmp_path, inflated("sd1")[1])), CPU)
    assert mixed._pipeline(mixed.net).config["fps"] == 16


@pytest.mark.parametrize("more", ['codec = "c"', 'image = "i"', 'init = "i"', "[text]\nlength = 12"])
def test_parts_beside_a_whole_model_are_refused(more, tmp_path):
    with pytest.raises(InputError, match=r'both "bundle" and "(codec|image|init|text.length)" are given'):
        load(write_config(tmp_path, tmp_path, "b", more=more))


def test_neither_a_whole_model_nor_its_parts_is_refused(tmp_path):
    for more, missing in ("", "codec"), ('codec = "c"', "image"):
        with pytest.raises(InputError, match=f'"{missing}" is missing; give "codec" and "image", or a'):
            load(write_config(tmp_path, tmp_path, "", more=more))


def test_what_is_no_model_is_refused(inflated, shards, tmp_path):
    for folder, message in (
        (tmp_path, "no model at"),
        (inflated("if-2")[1], "give a bundle of a LumierePipeline"),
    ):
        with pytest.raises(InputError, match=message):
            build(load(write_config(tmp_path, shards, folder)), CPU)


def test_a_conditioned_model_is_no_start_for_the_temporal_stage(make_pipe, shards, tmp_path):
    make_pipe(conditioned=True).save_pretrained(tmp_path / "conditioned")
    with pytest.raises(InputError, match='takes a condition; its stage is "conditioned"'):
        build(load(write_config(tmp_path, shards, tmp_path / "conditioned")), CPU)


def test_parts_may_have_the_text_encoder_of_another_model(inflated, image_config, temporal_config, tmp_path):
    pipe, folder = inflated("sd1")
    stage = build(load(image_config, ["text={}", f"text.encoder={folder}/text_encoder"]), CPU)
    assert fingerprint(stage.encode.text) == fingerprint(pipe.text_encoder)
    assert stage.net.config.cross_attention_dim == pipe.text_encoder.dim
    MiniLMTextEncoder(12).save_pretrained(tmp_path / "minilm")
    named, saved = (
        build(load(temporal_config, settings), CPU)
        for settings in ([], ["text={}", f"text.encoder={tmp_path}/minilm"])
    )
    assert named.frozen() == saved.frozen()
    with pytest.raises(InputError, match=r'"text\.encoder" is .*; give "minilm", or the folder'):
        build(load(temporal_config, ["text={}", "text.encoder=t5"]), CPU)
    with pytest.raises(InputError, match=r'and "text\.length" or "text\.scale" is given'):
        load(temporal_config, ["text.encoder=t5"])


def test_adopted_temporal_layers_go_on_with_resampling(family_folder, shards, tmp_path):
    motion = read_motion(save_original("v3", tmp_path / "v3.safetensors"))
    pipe = inflate(read_image_model(family_folder("sd1")), motion=motion, temporal_resample=True)
    pipe.save_pretrained(tmp_path / "warm")
    config = write_config(tmp_path, shards, tmp_path / "warm")
    assert Trainer(load(config, ["optim.lr=1e-2"])).run() == 0
    made = LumierePipeline.from_pretrained(tmp_path / "run" / "model")
    assert made.unet.config.adopted == pipe.unet.config.adopted
    assert made.unet.temporal_resample == [True] * 3
    before, after = pipe.unet.state_dict(), made.unet.state_dict()
    changed = {name for name in before if not torch.equal(before[name].float(), after[name])}
    assert changed and all(name.startswith("temporal.") for name in changed)
