"""The call as users of diffusers know it."""

from __future__ import annotations

import inspect

import diffusers
import numpy as np
import pytest
import torch

from lumiere import LumierePipeline, conditions
from lumiere.diffusion.noise import frame_noise
from lumiere.errors import InputError

VIDEO_PIPELINES = (
    "AnimateDiffPipeline",
    "AllegroPipeline",
    "CogVideoXPipeline",
    "HunyuanVideoPipeline",
    "LattePipeline",
    "LTXPipeline",
    "MochiPipeline",
    "WanPipeline",
)
CALL = {"num_frames": 3, "output_type": "latent"}


def latents(output):
    return output.frames


def test_every_argument_that_all_video_pipelines_share_is_taken():
    kinds = [getattr(diffusers, name) for name in VIDEO_PIPELINES]
    shared = set.intersection(*(set(inspect.signature(kind.__call__).parameters) for kind in kinds))
    assert {"prompt_embeds", "latents", "return_dict", "callback_on_step_end_tensor_inputs"} <= shared
    assert shared <= set(inspect.signature(LumierePipeline.__call__).parameters)


def test_latents_are_the_initial_noise(pipe):
    noise = frame_noise(3, (48, 8, 8), torch.Generator().manual_seed(5))[None]
    by_seed = latents(pipe("a cat", seed=5, **CALL))
    assert torch.equal(latents(pipe("a cat", latents=noise, **CALL)), by_seed)
    with pytest.raises(InputError, match=r"latents are \(1, 48, 3, 8, 8\); these clips' are \(1, 48, 4, 8"):
        pipe("a cat", latents=noise, num_frames=4)


def test_embeddings_stand_in_for_prompts(pipe):
    expected = latents(pipe("a cat", negative_prompt="a dog", seed=5, **CALL))
    embeds = {
        "prompt_embeds": pipe.text_encoder(["a cat"]),
        "negative_prompt_embeds": pipe.text_encoder(["a dog"]),
    }
    assert torch.equal(latents(pipe(seed=5, **embeds, **CALL)), expected)
    for wrong in ({}, {"prompt": "a cat", "prompt_embeds": embeds["prompt_embeds"]}):
        with pytest.raises(InputError, match="of prompt and prompt_embeds are given; give one of them"):
            pipe(**wrong, **CALL)


def test_each_prompt_may_have_a_negative_prompt_and_a_generator_of_its_own(pipe):
    prompts, negatives = ["a cat", "a dog"], ["red", "blue"]
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    together = latents(pipe(prompts, negative_prompt=negatives, generator=generators, batch_size=2, **CALL))
    for number, (prompt, negative) in enumerate(zip(prompts, negatives, strict=True)):
        alone = latents(pipe(prompt, negative_prompt=negative, seed=number + 1, **CALL))
        torch.testing.assert_close(together[number], alone[0], atol=1e-4, rtol=1e-4)
    with pytest.raises(InputError, match="there are 1 negative prompts for 2 prompts"):
        pipe(prompts, negative_prompt=["red"], **CALL)
    with pytest.raises(InputError, match="there are 1 generators for 2 clips"):
        pipe(prompts, generator=generators[:1], **CALL)


def test_several_clips_of_a_prompt_have_consecutive_seeds(pipe):
    clips = pipe("a cat", num_frames=2, num_videos_per_prompt=3, seed=np.int64(5))
    assert [clip.metadata["seed"] for clip in clips] == [5, 6, 7]
    np.testing.assert_array_equal(clips[1].frames, pipe("a cat", num_frames=2, seed=6).frames)


@pytest.mark.parametrize("seed", [-1, 2**64, True])
def test_seeds_that_are_none_are_refused(pipe, seed):
    with pytest.raises(InputError, match=r"seed is .*; give a whole number from 0 to"):
        pipe("a cat", num_frames=2, seed=seed)


def test_no_guidance_is_what_diffusers_means_by_0_and_1(pipe):
    without = latents(pipe("a cat", seed=5, guidance_scale=1.0, **CALL))
    assert torch.equal(latents(pipe("a cat", seed=5, guidance_scale=0, **CALL)), without)


def test_the_callback_may_change_the_guidance_scale(pipe):
    def unguided_from_step_1(pipe, step, t, tensors):
        pipe._guidance_scale = 0.0

    seen = []
    hook = pipe.unet.register_forward_pre_hook(lambda net, inputs: seen.append(len(inputs[0])))
    pipe("a cat", seed=5, **CALL | {"guidance_scale": 3.0}, callback_on_step_end=unguided_from_step_1)
    hook.remove()
    assert seen == [2] + [1] * (pipe.num_timesteps - 1) and pipe.guidance_scale == 0.0


def test_the_callback_gets_the_tensors_that_it_asks_for(pipe):
    seen = []

    def callback(_, step, t, tensors):
        seen.append(sorted(tensors))

    pipe("a cat", seed=5, callback_on_step_end=callback, **CALL)
    assert seen == [["latents"]] * 3
    with pytest.raises(InputError, match="callback_on_step_end_tensor_inputs"):
        pipe("a cat", callback_on_step_end_tensor_inputs=["image_latents"], **CALL)


class TestShorthands:
    @pytest.fixture(scope="class")
    def conditioned(self, make_pipe):
        return make_pipe(conditioned=True)

    @pytest.fixture
    def video(self):
        return np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)

    @pytest.fixture
    def mask(self):
        return conditions.rectangle(32, 32, (8, 8, 24, 24))

    def same(self, pipe, arguments, condition):
        one, other = (pipe("a cat", seed=5, num_frames=3, **each) for each in (arguments, condition))
        np.testing.assert_array_equal(one.frames, other.frames)

    def test_an_image_is_the_first_frame(self, conditioned, video):
        self.same(conditioned, {"image": video[0]}, {"condition": conditions.from_image(video[0])})

    def test_an_image_with_a_mask_is_a_cinemagraph(self, conditioned, video, mask):
        condition = conditions.cinemagraph(video[0], region=mask)
        self.same(conditioned, {"image": video[0], "mask_image": mask}, {"condition": condition})

    def test_a_video_with_a_mask_is_inpainted_where_it_is_white(self, conditioned, video, mask):
        condition = conditions.inpaint(video, mask=mask)
        self.same(conditioned, {"video": video, "mask_image": mask}, {"condition": condition})

    def test_what_contradicts_itself_is_refused(self, conditioned, video, mask):
        wrong = [
            {"image": video[0], "condition": conditions.from_image(video[0])},
            {"image": video[0], "video": video},
            {"mask_image": mask},
        ]
        for arguments in wrong:
            with pytest.raises(InputError):
                conditioned("a cat", **arguments)


@pytest.mark.parametrize("scheduler", ["EulerAncestralDiscreteScheduler", "DDPMScheduler", "LCMScheduler"])
def test_a_seed_fixes_the_noise_of_every_step(make_pipe, scheduler):
    pipe = make_pipe()
    pipe.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config)
    first, again = (latents(pipe("a cat", seed=5, **CALL)) for _ in range(2))
    assert torch.equal(first, again)
    together = latents(pipe(["a dog", "a cat"], seed=[4, 5], batch_size=2, **CALL))
    torch.testing.assert_close(together[1], first[0], atol=1e-3, rtol=1e-3)


def test_a_bundle_is_loaded_and_saved_with_diffusers_arguments(tiny_bundle, tmp_path):
    half = LumierePipeline.from_pretrained(tiny_bundle, dtype=torch.bfloat16)
    assert half.unet.dtype == torch.bfloat16
    half.save_pretrained(tmp_path / "half", safe_serialization=False, variant="bf16")
    assert not list((tmp_path / "half").rglob("*.bin"))
    again = LumierePipeline.from_pretrained(
        tmp_path / "half", variant="bf16", device_map="cpu", dtype={"unet": torch.bfloat16}
    )
    assert (again.unet.dtype, again.text_encoder.dtype) == (torch.bfloat16, torch.float32)
    saved, loaded = half.unet.state_dict(), again.unet.state_dict()
    assert all(torch.equal(saved[name], weight) for name, weight in loaded.items())
    for variant in ({"variant": "fp16"}, {}):
        with pytest.raises(InputError, match=r"variant|missing"):
            LumierePipeline.from_pretrained(tmp_path / "half", **variant)
    with pytest.raises(InputError, match="device_map is 'balanced'"):
        LumierePipeline.from_pretrained(tiny_bundle, device_map="balanced")
    with pytest.raises(InputError, match=r"dtype is torch.bfloat16 and torch_dtype torch.float16"):
        LumierePipeline.from_pretrained(tiny_bundle, torch_dtype=torch.float16, dtype=torch.bfloat16)


@pytest.mark.parametrize("kind", ["EulerAncestralDiscreteScheduler", "LCMScheduler"])
def test_a_seed_fixes_the_noise_of_each_step(make_pipe, kind):
    pipe = make_pipe()
    pipe.scheduler = getattr(diffusers, kind).from_config(pipe.scheduler.config)
    alone = pipe("a cat", num_frames=4, seed=np.int64(5))
    torch.manual_seed(1)
    again = pipe("a cat", num_frames=4, generator=[torch.Generator().manual_seed(5)])
    both = pipe(["a dog", "a cat"], num_frames=4, seed=np.array([3, 5]), batch_size=2)
    assert np.array_equal(again.frames, alone.frames)
    # Kernels may round otherwise for another size of batch.
    assert np.abs(both[1].frames.astype(int) - alone.frames).max() <= 1
    assert both[1].metadata["seed"] == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 2**64}, "seed is 18446744073709551616; give a whole number from 0"),
        ({"seed": 1.5}, "seed is 1.5; give a whole number"),
        ({"seed": "5"}, "seed is '5'; give a whole number"),
        ({"generator": 5}, "generator is 5; give a torch.Generator"),
        ({"generator": [None]}, "generator is None; give a torch.Generator"),
        ({"generator": []}, "there are 0 generators for 1 clips"),
    ],
)
def test_what_is_no_seed_is_refused(pipe, options, message):
    with pytest.raises(InputError, match=message):
        pipe("a cat", num_frames=4, **options)


def test_weights_that_are_not_finite_stop_at_a_step(make_pipe):
    pipe = make_pipe()
    next(pipe.unet.temporal_parameters()).data.fill_(float("nan"))
    with pytest.raises(InputError, match="the sample is not finite after step 1 of 3"):
        pipe("a cat", num_frames=4, seed=0)
