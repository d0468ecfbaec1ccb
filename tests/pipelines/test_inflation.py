"""Every family, inflated: diffusers' own at initialisation, saved and loaded exactly, and makes clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from families import FAMILIES, LATENT, make_pipeline
from lumiere import Clip, LumierePipeline
from lumiere.diffusion.objective import training_loss
from lumiere.errors import InputError
from lumiere.pipelines.inflation import inflate, read_image_model
from lumiere.pipelines.superres import UpscalePipeline

PROMPTS = ["A red cat", ""]
BASE = [family for family in FAMILIES if family != "if-2"]


def own_conditions(pipe, family, height, width):
    """The arguments of the UNet in diffusers' own pipeline for ``PROMPTS``, each alone."""
    if family == "sdxl":
        states, zeros, pooled, zeros_pooled = pipe.encode_prompt(PROMPTS[0], device="cpu")
        sizes = torch.tensor([[height, width, 0, 0, height, width]], dtype=torch.float32).expand(2, -1)
        added = {"text_embeds": torch.cat([pooled, zeros_pooled]), "time_ids": sizes}
        return {"encoder_hidden_states": torch.cat([states, zeros]), "added_cond_kwargs": added}
    if family in LATENT:
        states = pipe.encode_prompt(PROMPTS, "cpu", 1, False)[0]
    else:
        states = pipe.encode_prompt(PROMPTS, do_classifier_free_guidance=False, device="cpu")[0]
    given = {"encoder_hidden_states": states}
    return given | {"class_labels": torch.tensor([250, 250])} if family == "if-2" else given


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_equal_frames_are_diffusers_own_pictures(family, inflated):
    """Two clips in one batch, of two prompts, as guidance has it; each family's added conditions go along."""
    pipe, _ = inflated(family)
    theirs = make_pipeline(family)
    channels = theirs.unet.config.in_channels
    picture = torch.randn(2, channels, 8, 12, generator=torch.Generator().manual_seed(1))
    t = torch.tensor([500, 20])
    factor = pipe.codec.factor
    own = own_conditions(theirs, family, 8 * factor, 12 * factor)
    expected = theirs.unet(picture, t, **own).sample

    labels = {"class_labels": own["class_labels"]} if family == "if-2" else {}
    clip = picture[:, :, None].expand(-1, -1, 5, -1, -1)
    made = pipe.unet(clip, t, pipe.text_encoder(PROMPTS), **labels).sample
    assert made.shape == (2, expected.shape[1], 5, 8, 12)
    assert expected.std() > 0.01 and not torch.allclose(expected[0], expected[1], atol=1e-3)
    for frame in made.unbind(2):
        torch.testing.assert_close(frame, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", BASE)
def test_a_clip_of_one_frame_is_diffusers_own_picture(family, inflated, family_folder):
    """The text encoders, the schedule, guidance and the VAE with its scale, in one whole call."""
    _, folder = inflated(family)
    theirs = make_pipeline(family)
    saved = type(theirs.scheduler).from_pretrained(family_folder(family), subfolder="scheduler")
    theirs.scheduler = DPMSolverMultistepScheduler.from_config(saved.config)
    theirs.set_progress_bar_config(disable=True)
    size = theirs.unet.config.sample_size * (8 if family in LATENT else 1)
    generator = torch.Generator().manual_seed(7)
    options = {"num_inference_steps": 3, "guidance_scale": 4.0, "height": size, "width": size}
    expected = theirs("a red cat", generator=generator, output_type="np", **options).images[0]

    pipe = LumierePipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    clip = pipe("a red cat", num_frames=1, num_inference_steps=3, guidance_scale=4.0, seed=7)
    assert np.abs(clip.frames[0] - 255 * expected).max() <= 0.6
    assert clip.frames.std() > 1


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_saved_is_loaded(family, inflated):
    pipe, folder = inflated(family)
    loaded = type(pipe).from_pretrained(folder)
    for name in ("unet", "codec", "text_encoder"):
        ours, theirs = getattr(pipe, name).state_dict(), getattr(loaded, name).state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert torch.equal(pipe.text_encoder(PROMPTS), loaded.text_encoder(PROMPTS))
    assert {n for n, p in loaded.unet.named_parameters() if p.requires_grad} == {
        n for n, _ in loaded.unet.named_parameters() if n.startswith("temporal.")
    }
    theirs = make_pipeline(family).scheduler.config
    for setting in ("beta_schedule", "beta_start", "prediction_type", "num_train_timesteps"):
        assert loaded.scheduler.config[setting] == theirs[setting]
    if family != "if-2":
        assert (loaded.config["fps"], loaded.config["frames"]) == (16, 6)


@pytest.mark.parametrize("family", BASE)
def test_a_saved_folder_makes_clips(family, inflated):
    pipe = LumierePipeline.from_pretrained(inflated(family)[1])
    pipe.set_progress_bar_config(disable=True)
    size = pipe.config["size"]
    clip = pipe("a red cat moving left", num_inference_steps=2, seed=1, height=size, width=2 * size)
    assert clip.frames.shape == (6, size, 2 * size, 3) and clip.fps == 16
    other = pipe("a dog", num_inference_steps=2, seed=1, height=size, width=2 * size)
    assert (clip.frames != other.frames).any()


def test_a_saved_cascade_stage_enlarges_clips(inflated):
    pipe = UpscalePipeline.from_pretrained(inflated("if-2")[1])
    pipe.set_progress_bar_config(disable=True)
    frames = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    said = Clip(frames, 16, {"prompt": "a red cat"})
    clip = pipe(said, 16, num_inference_steps=2)
    assert clip.frames.shape == (5, 16, 16, 3)
    assert clip.metadata["upscaled"]["prompt"] == "a red cat"
    same = pipe(Clip(frames, 16), 16, num_inference_steps=2, prompt="a red cat")
    other = pipe(said, 16, num_inference_steps=2, prompt="moving left")
    np.testing.assert_array_equal(same.frames, clip.frames)
    assert (other.frames != clip.frames).any()


@pytest.mark.parametrize("family", ["sd2-v", "sdxl", "if-1"])
def test_an_inflated_model_trains(family, inflated):
    """By what training asks of a codec, a text encoder and a net: the family is theirs to know."""
    pipe, folder = inflated(family)
    net = LumierePipeline.from_pretrained(folder).unet.train()
    video = torch.rand(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents, context = pipe.codec.encode(video), pipe.text_encoder(PROMPTS)
    loss = training_loss(
        lambda x, t: net(x, t, context, return_dict=False)[0],
        latents,
        pipe.scheduler.alphas_cumprod,
        torch.Generator().manual_seed(0),
        prediction_type=pipe.scheduler.config.prediction_type,
    )
    loss.backward()
    assert loss.isfinite() and 0.1 < loss < 10
    assert any(p.grad is not None and p.grad.any() for p in net.temporal_parameters())
    assert all(p.grad is None for p in net.spatial.parameters())


@pytest.mark.parametrize(
    ("family", "setting", "match"),
    [
        ("sd1", {"in_channels": 9}, "takes 9 channels and its pictures have 4"),
        ("if-1", {"class_embed_type": "timestep"}, "has class_embed_type 'timestep'"),
        ("sd1", {"time_cond_proj_dim": 32}, "has time_cond_proj_dim 32"),
        ("sd1", {"cross_attention_dim": 20}, "takes text of width 20; its text encoder's is 8"),
        ("sd1", {"sample_size": None}, "does not say of what size"),
    ],
)
def test_a_net_with_other_conditions_than_text_is_refused(family, setting, match, family_folder):
    model = read_image_model(family_folder(family))
    model.unet.register_to_config(**setting)
    with pytest.raises(InputError, match=match):
        inflate(model)


def test_a_size_that_the_codec_does_not_divide_is_refused(family_folder):
    with pytest.raises(InputError, match="size is 20; this model makes multiples of 8"):
        inflate(read_image_model(family_folder("sd1")), size=20)
