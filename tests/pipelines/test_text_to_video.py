from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from hypothesis import given
from hypothesis import strategies as st

from lumiere import Clip, LumierePipeline, conditions
from lumiere.diffusion.guidance import classifier_free
from lumiere.diffusion.noise import frame_noise
from lumiere.diffusion.sampling import make_scheduler, sample, scheduler_name
from lumiere.emoji.prompt_parser import EmojiPromptParser
from lumiere.errors import InputError
from lumiere.io.pixels import to_uint8
from lumiere.models.warping import REACH, WarpNet
from lumiere.pipelines import denoising, memory
from lumiere.pipelines.extension import eased
from lumiere.pipelines.inputs import base_size, check_request
from lumiere.pipelines.memory import available_bytes, peak_bytes
from lumiere.pipelines.outputs import changes_round
from lumiere.pipelines.regions import Regions, change_windows, shrunk


def parser(relations=None):
    return EmojiPromptParser(["moving"], relations or {})


def frames(clip):
    return clip.frames.astype(int)


@pytest.fixture(scope="module")
def clip(pipe):
    return pipe("a red cat", num_frames=6, seed=7)


def test_the_call_is_noise_sampling_and_decoding(pipe, clip):
    noise = frame_noise(6, (48, 8, 8), torch.Generator().manual_seed(7))[None]
    scheduler = make_scheduler("dpm++", pipe.scheduler.config)

    def denoise(x, t, context):
        return pipe.unet(x, t, encoder_hidden_states=context).sample

    with torch.no_grad():
        context, uncond = pipe.text_encoder(["a red cat"]), pipe.text_encoder([""])
        denoiser = classifier_free(denoise, context, uncond, 2.0, rescale=0.7)
        expected = pipe.codec.decode(sample(denoiser, noise, scheduler, 3))[0]
    assert isinstance(clip, Clip)
    assert clip.frames.shape == (6, 32, 32, 3) and clip.fps == 16
    np.testing.assert_array_equal(clip.frames, to_uint8(expected))


def test_metadata_says_what_made_the_clip(clip):
    from lumiere import __version__

    assert clip.metadata == {
        "prompt": "a red cat",
        "negative_prompt": "",
        "seed": 7,
        "steps": 3,
        "guidance": 2.0,
        "guidance_rescale": 0.7,
        "scheduler": "dpm++",
        "model": None,
        "dtype": "float32",
        "version": __version__,
    }


def test_a_seed_gives_the_same_clip_whatever_the_batch(pipe, clip):
    prompts = ["a blue dog moving left", "a red cat", "zebra"]
    one_by_one = pipe(prompts, num_frames=6, seed=7)
    together = pipe(prompts, num_frames=6, seed=7, batch_size=2)
    own_seeds = pipe(prompts, num_frames=6, seed=[1, 7, 2])
    np.testing.assert_array_equal(frames(one_by_one[1]), frames(clip))
    np.testing.assert_array_equal(frames(own_seeds[1]), frames(clip))
    assert abs(frames(together[1]) - frames(clip)).max() <= 1  # batched kernels may round otherwise
    assert [c.metadata["seed"] for c in own_seeds] == [1, 7, 2]
    assert [c.metadata["prompt"] for c in together] == prompts
    assert (frames(own_seeds[0]) != frames(one_by_one[0])).any()


def test_prompt_negative_and_guidance_matter(pipe, clip):
    others = [
        pipe("a blue dog", num_frames=6, seed=7),
        pipe("a red cat", num_frames=6, seed=7, negative_prompt="a blue dog"),
        pipe("a red cat", num_frames=6, seed=7, guidance_scale=5.0),
        pipe("a red cat", num_frames=6, seed=7, guidance_rescale=0.0),
        pipe("a red cat", num_frames=6, seed=7, num_inference_steps=2),
    ]
    for other in others:
        assert (frames(other) != frames(clip)).any()


def test_guidance_within_an_interval(pipe, clip):
    def made(interval):
        return pipe("a red cat", num_frames=6, seed=7, guidance_interval=interval)

    without = pipe("a red cat", num_frames=6, seed=7, guidance_scale=1.0)
    assert (frames(made((0.0, 1.0))) == frames(clip)).all()
    assert (frames(made((0.0, 0.0))) == frames(without)).all()
    some = made((0.4, 0.8))
    assert some.metadata["guidance_interval"] == [0.4, 0.8]
    assert (frames(some) != frames(clip)).any() and (frames(some) != frames(without)).any()


def test_without_a_seed_each_clip_has_one_that_brings_it_back(pipe):
    first, second = pipe("a cat", num_frames=2), pipe("a cat", num_frames=2)
    assert (frames(first) != frames(second)).any()
    again = pipe("a cat", num_frames=2, seed=first.metadata["seed"])
    np.testing.assert_array_equal(again.frames, first.frames)


def test_a_generator_stands_in_for_a_seed(pipe):
    by_generator = pipe("a cat", num_frames=2, generator=torch.Generator().manual_seed(5))
    np.testing.assert_array_equal(by_generator.frames, pipe("a cat", num_frames=2, seed=5).frames)


@pytest.mark.parametrize(("shared", "smoothness"), [(0.0, 0.0), (0.5, 0.0), (0.5, 2.0), (1.0, 0.0)])
def test_frames_share_noise_as_the_model_says(make_pipe, shared, smoothness):
    pipe, seen = make_pipe(shared_noise=shared, noise_smoothness=smoothness), []

    def stop(pipe, step, t, state):
        pipe._interrupt = True

    pipe._denoise = lambda x, *_, **__: seen.append(x) or torch.zeros_like(x)
    pipe("a cat", num_frames=4, seed=5, guidance_scale=1.0, callback_on_step_end=stop)
    expected = frame_noise(4, (48, 8, 8), torch.Generator().manual_seed(5), shared, smoothness)
    assert torch.equal(seen[-1][0], expected)


@pytest.mark.parametrize("loop", [False, True])
def test_the_noise_of_a_loop_goes_round(make_pipe, monkeypatch, loop):
    noises = []
    monkeypatch.setattr(
        "lumiere.pipelines.start.frame_noise", lambda *a: noises.append(a[3:]) or frame_noise(*a)
    )
    make_pipe(shared_noise=0.5, noise_smoothness=2.0)("a cat", num_frames=4, seed=5, loop=loop)
    assert noises == [(0.5, 2.0, loop)]


def test_uint8_spans_the_range_and_clamps():
    video = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]).view(1, 1, 1, 5).expand(3, 1, 1, 5)
    assert to_uint8(video)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize("num_frames", [1, 3])
def test_any_length_and_size_that_the_codec_divides(pipe, num_frames):
    clip = pipe("a cat", num_frames=num_frames, height=20, width=44, seed=0, fps=8.0)
    assert clip.frames.shape == (num_frames, 20, 44, 3) and clip.fps == 8


def test_output_types(pipe, clip):
    video = pipe("a red cat", num_frames=6, seed=7, output_type="pt").frames
    latents = pipe("a red cat", num_frames=6, seed=7, output_type="latent").frames
    assert video.shape == (1, 6, 3, 32, 32) and latents.shape == (1, 48, 6, 8, 8)
    np.testing.assert_array_equal(to_uint8(video[0].transpose(0, 1) * 2 - 1), clip.frames)
    decoded = (pipe.codec.decode(latents) / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(decoded, video.transpose(1, 2))
    arrays = pipe("a red cat", num_frames=6, seed=7, output_type="np").frames
    assert arrays.shape == (1, 6, 32, 32, 3) and 0 <= arrays.min() < arrays.max() <= 1
    images = pipe("a red cat", num_frames=6, seed=7, output_type="pil").frames
    assert np.abs(np.stack([np.asarray(each) for each in images[0]]) - frames(clip)).max() <= 1
    (same,) = pipe("a red cat", num_frames=6, seed=7, return_dict=False)
    np.testing.assert_array_equal(same.frames, clip.frames)


def test_callback_sees_each_step_and_may_replace_latents(pipe):
    seen = []

    def callback(of, step, timestep, tensors):
        assert of is pipe
        seen.append((step, int(timestep)))
        return {"latents": torch.zeros_like(tensors["latents"])}

    clip = pipe("a cat", num_frames=2, seed=0, callback_on_step_end=callback)
    assert seen == [(0, 999), (1, 666), (2, 332)]
    assert (clip.frames == 128).all()


def test_callback_may_interrupt(make_pipe):
    pipe = make_pipe()
    seen = []

    def callback(of, step, timestep, tensors):
        seen.append(step)
        of._interrupt = step == 1

    pipe("a cat", num_frames=2, seed=0, num_inference_steps=20, callback_on_step_end=callback)
    assert seen == [0, 1]
    pipe("a cat", num_frames=2, seed=0, callback_on_step_end=lambda of, step, *_: seen.append(step))
    assert seen == [0, 1, 0, 1, 2]


def test_progress_counts_every_step(make_pipe, capsys):
    pipe = make_pipe()
    pipe.set_progress_bar_config(disable=False, desc="painting")
    pipe(["a", "b"], num_frames=1, seed=0)
    err = capsys.readouterr().err
    assert "painting" in err and "6/6" in err


def test_it_is_a_diffusion_pipeline(pipe, tiny_bundle):
    loaded = LumierePipeline.from_pretrained(
        tiny_bundle, scheduler=make_scheduler("euler", pipe.scheduler.config)
    )
    assert isinstance(loaded, DiffusionPipeline)
    assert set(loaded.components) == {"unet", "codec", "text_encoder", "scheduler", "warp_net"}
    assert scheduler_name(loaded.scheduler) == "euler"
    moved = loaded.to("cpu")
    assert moved is loaded and moved.device.type == "cpu" and moved.dtype == torch.float32
    assert loaded("a cat", num_frames=2, seed=0).metadata["model"] == "tiny"


def test_half_precision_nets_are_sampled_in_full_precision(tiny_bundle, pipe):
    half = LumierePipeline.from_pretrained(tiny_bundle, torch_dtype=torch.bfloat16)
    half.set_progress_bar_config(disable=True)
    assert half.unet.dtype == torch.bfloat16
    latents = half("a cat", num_frames=2, seed=0, output_type="latent").frames
    expected = pipe("a cat", num_frames=2, seed=0, output_type="latent").frames
    assert latents.dtype == torch.float32
    assert float((latents - expected).norm() / expected.norm()) < 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": "  "}, "the prompt is empty"),
        ({"prompt": []}, "the prompt is empty"),
        ({"prompt": ["a", ""]}, "the prompt is empty"),
        ({"num_frames": 0}, "frames is 0; give at least 1"),
        ({"height": 30}, "height is 30; this model makes multiples of 4, such as 32"),
        ({"width": 3}, "width is 3; this model makes multiples of 4, such as 4"),
        ({"width": -8}, "width is -8"),
        ({"num_inference_steps": 0}, "steps is 0; give a number from 1 to 1000"),
        ({"guidance_scale": -0.5}, "guidance is -0.5; give a number of at least 0"),
        ({"guidance_rescale": 2.0}, "guidance rescale is 2.0"),
        ({"guidance_interval": (0.8, 0.4)}, "guidance interval is 0.8, 0.4"),
        ({"batch_size": 0}, "batch_size is 0; give at least 1"),
        ({"output_type": "gif"}, "output_type is 'gif'; choose one of clip, pil, np, pt, latent"),
        ({"seed": [1, 2]}, "2 seeds for 1 prompts"),
        ({"seed": 1, "generator": torch.Generator()}, "both seed and generator"),
        ({"fps": -1.0}, "-1.0 frames per second cannot be"),
    ],
)
def test_bad_input(pipe, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        pipe(**({"prompt": "a cat", "num_frames": 2, "seed": None} | arguments))
    assert "\n" not in str(caught.value)


class TestMemory:
    def test_peak_is_what_lives_at_once(self):
        net = torch.nn.Linear(1000, 1000)

        def compute():
            x = torch.zeros(1000, 1000)  # 4 MB
            y = net(x)  # and 4 more
            del x
            return net.weight.t().mul(2).sum() + y.sum()  # and 4 more, x being gone

        assert peak_bytes(net, compute) == pytest.approx(8e6, rel=0.001)

    def test_extrapolates_to_what_the_whole_clip_takes(self, pipe):
        x, context = torch.zeros(2, 48, 24, 16, 16), torch.zeros(2, 8, 16)
        actual = peak_bytes(pipe.unet, lambda: pipe._denoise(x, torch.tensor(1), context))
        assert actual < pipe.memory_bytes(24, 64, 64) < 4 * actual

    def test_grows_with_frames_clips_and_guidance(self, pipe):
        one = pipe.memory_bytes(16, 64, 64, guided=False)
        assert pipe.memory_bytes(32, 64, 64, guided=False) == pytest.approx(2 * one, rel=0.01)
        assert pipe.memory_bytes(16, 64, 64, batch_size=3, guided=False) == pytest.approx(3 * one, rel=0.01)
        assert pipe.memory_bytes(16, 64, 64, guided=True) > 1.3 * one

    def test_grows_little_beyond_the_models_windows(self, make_pipe):
        pipe = make_pipe(frames=16)
        one, ten = (pipe.memory_bytes(frames, 64, 64) for frames in (16, 160))
        assert one < ten < 5 * one

    def test_refuses_with_what_would_fit_and_that_does(self, pipe, monkeypatch):
        free = pipe.memory_bytes(10, 64, 64) + 1000
        monkeypatch.setattr(memory, "available_bytes", lambda device: free)
        sampled = []
        monkeypatch.setattr(denoising, "sample", lambda *a, **k: sampled.append(a))
        with pytest.raises(InputError, match=r"80 frames of 64x64 need .* GB are free; 10 frames") as caught:
            pipe("a cat", height=64, width=64, seed=0)
        assert not sampled and "\n" not in str(caught.value)
        pipe.check_memory(10, 64, 64, 1, True)

    def test_refuses_with_the_size_that_would_fit(self, pipe, monkeypatch):
        free = pipe.memory_bytes(1, 64, 96) // 4 + 1000
        monkeypatch.setattr(memory, "available_bytes", lambda device: free)
        with pytest.raises(InputError, match="one frame of 48x32 would fit"):
            pipe("a cat", num_frames=80, height=64, width=96, seed=0)

    def test_there_is_some(self):
        assert 1e6 < available_bytes(torch.device("cpu")) < 1e15


@given(st.integers(1, 2000), st.integers(1, 2000), st.sampled_from([(128, 8), (32, 4)]))
def test_the_base_models_size_is_one_it_makes_in_nearly_the_proportion_asked_for(height, width, model):
    trained, factor = model
    base = base_size(height, width, trained, factor)
    if max(height, width) <= trained:
        assert base == (height, width)
        return
    check_request(["a cat"], 1, *base, factor)
    assert max(base) == trained
    assert abs(min(base) - min(height, width) * trained / max(height, width)) <= factor


@pytest.fixture(scope="module")
def conditioned_pipe(make_pipe):
    return make_pipe(conditioned=True)


@pytest.fixture
def source():
    return np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)


def test_known_pixels_come_back(conditioned_pipe, source):
    hole = conditions.rectangle(32, 32, (8, 4, 24, 20))
    condition = conditions.inpaint(source, hole)
    clip = conditioned_pipe("a red cat", condition=condition, seed=3)
    raw = conditioned_pipe("a red cat", condition=condition, composite=False, seed=3)
    outside = np.broadcast_to(hole == 0, (6, 32, 32))
    assert clip.frames.shape == source.shape
    assert (clip.frames[outside] == source[outside]).all()
    assert (clip.frames[~outside] == raw.frames[~outside]).all()
    assert np.abs(raw.frames[outside].astype(int) - source[outside]).max() <= 1  # the codec here is exact
    assert (raw.frames[~outside] != source[~outside]).any()
    assert clip.metadata["known_psnr"] == raw.metadata["known_psnr"] > 50


def test_a_condition_reaches_what_is_made(conditioned_pipe, source):
    made = [
        conditioned_pipe("a cat", condition=conditions.from_image(image, 6), seed=3).frames
        for image in source[:2]
    ]
    assert (made[0][0] == source[0]).all() and (made[1][0] == source[1]).all()
    assert (made[0][1:] != made[1][1:]).any()
    assert (conditioned_pipe("a cat", num_frames=6, seed=3).frames != made[0]).any()


def test_a_condition_of_another_size_is_fitted(conditioned_pipe):
    image = np.random.default_rng(0).integers(0, 256, (100, 50, 3), np.uint8)
    clip = conditioned_pipe("a cat", condition=conditions.from_image(image, 5), seed=3)
    assert clip.frames.shape == (5, 32, 16, 3)
    assert conditioned_pipe(
        "a cat", condition=conditions.from_image(image, 5), height=16, seed=3
    ).frames.shape[1:3] == (
        16,
        16,
    )


def test_a_condition_without_a_length_takes_the_calls(make_pipe, conditioned_pipe, source):
    condition = conditions.from_frames({0: source[0], -1: source[1]})
    clip = conditioned_pipe("a cat", condition=condition, num_frames=4, seed=3)
    assert len(clip) == 4 and (clip.frames[0] == source[0]).all() and (clip.frames[-1] == source[1]).all()
    same = conditioned_pipe(
        "a cat", condition=conditions.from_frames({0: source[0], 3: source[1]}, 4), seed=3
    )
    assert (clip.frames == same.frames).all()
    assert len(make_pipe(conditioned=True, frames=3)("a cat", condition=condition, seed=3)) == 3
    assert len(
        conditioned_pipe("a cat", video=source, condition=conditions.from_image(source[0]), seed=3)
    ) == len(source)


def test_conditions_that_do_not_fit_are_refused(pipe, conditioned_pipe, source):
    condition = conditions.from_image(source[0], 6)
    with pytest.raises(InputError, match="resample is 2, but there is no condition"):
        pipe("a cat", resample=2)
    with pytest.raises(InputError, match="resample is 0; give at least 1"):
        pipe("a cat", condition=condition, resample=0)
    with pytest.raises(InputError, match="the condition has 6 frames and the clip 7"):
        conditioned_pipe("a cat", condition=condition, num_frames=7)


def test_a_batch_shares_its_condition(conditioned_pipe, source):
    condition = conditions.from_image(source[0], 5)
    alone = [conditioned_pipe(prompt, condition=condition, seed=3).frames for prompt in ("a cat", "a dog")]
    together = conditioned_pipe(["a cat", "a dog"], condition=condition, seed=3, batch_size=2)
    for clip, frames in zip(together, alone, strict=True):
        assert np.abs(clip.frames.astype(int) - frames).max() <= 1


def test_windows_go_on_until_there_are_enough_frames(make_pipe, source):
    conditioned_pipe = make_pipe(conditioned=True, frames=5)
    longer = conditioned_pipe.extend(Clip(source, 12), 14, "a cat", known_frames=2, seed=3)
    assert longer.frames.shape == (14, 32, 32, 3) and longer.fps == 12
    assert (longer.frames[:6] == source).all()
    first = conditioned_pipe("a cat", condition=conditions.continue_from(source, 2, 5), seed=3)
    assert (longer.frames[6:9] == first.frames[2:]).all()
    second = conditioned_pipe("a cat", condition=conditions.continue_from(longer.frames[:9], 2, 5), seed=4)
    assert (longer.frames[9:12] == second.frames[2:]).all()


def test_an_extension_goes_over_from_the_known_frames_without_a_step():
    last = np.full((2, 2, 3), 60, np.uint8)
    made = np.broadcast_to(np.arange(72, 72 + 64)[:, None, None, None], (64, 2, 2, 3)).astype(np.uint8)
    levels = [int(frame[0, 0, 0]) for frame in eased(last, made)]
    assert levels[:6] == [62, 65, 68, 71, 74, 77] and levels[6:] == [*range(78, 136)]
    assert (eased(last, made[:7]) == made[:7]).all()


def test_a_long_clip_is_denoised_in_windows_of_the_models_length(make_pipe, monkeypatch):
    pipe = make_pipe(frames=4, guidance=1.0, steps=1)
    pipe._probe()
    seen, denoise = [], pipe._denoise
    monkeypatch.setattr(
        pipe, "_denoise", lambda x, *rest, **also: seen.append(x) or denoise(x, *rest, **also)
    )
    clip = pipe("a cat", num_frames=9, seed=0, output_type="latent").frames
    assert clip.shape == (1, 48, 9, 8, 8)
    assert [x.shape[2] for x in seen] == [4] * 4  # they begin at 0, 2, 4 and 5
    short = pipe("a cat", num_frames=4, seed=0, output_type="latent").frames
    assert torch.allclose(clip[:, :, :2], short[:, :, :2], atol=1e-5), "only one window has the first frames"
    assert not torch.allclose(clip[:, :, 2:4], short[:, :, 2:], atol=1e-2)


def test_every_window_of_a_long_clip_is_conditioned_on_its_part(make_pipe, source):
    pipe = make_pipe(conditioned=True, frames=4)
    hole = conditions.rectangle(32, 32, (8, 8, 24, 24))
    clip = pipe("a cat", condition=conditions.inpaint(source, hole), seed=0, composite=False)
    assert clip.metadata["known_psnr"] > 40


@pytest.fixture
def mover():
    """Takes all of what is given, from two pixels below."""
    net = WarpNet(widths=(8, 8))
    with torch.no_grad():
        net.nearness.fill_(20)
        net.detail[-1].bias.copy_(torch.tensor([0.0, np.arctanh(2 / 32 / REACH), 30.0]))
    return net.eval()


def test_what_is_given_is_carried_to_where_it_is_found(make_pipe, mover, source, tmp_path):
    pipe = make_pipe(conditioned=True, warp_net=mover)
    condition = conditions.from_image(source[0], 6)
    clip = pipe("a cat", condition=condition, seed=0)
    moved = np.concatenate([source[0, 2:], np.repeat(source[0, -1:], 2, 0)])
    assert np.abs(clip.frames[1:].astype(int) - moved).max() <= 1 and (clip.frames[0] == source[0]).all()
    raw = make_pipe(conditioned=True)("a cat", condition=condition, seed=0, composite=False)
    assert clip.metadata["known_psnr"] == raw.metadata["known_psnr"]
    assert (pipe("a cat", condition=condition, seed=0, composite=False).frames == raw.frames).all()
    pipe.save_pretrained(tmp_path / "whole", dtype=torch.float16)
    loaded = LumierePipeline.from_pretrained(tmp_path / "whole")
    again = loaded("a cat", condition=condition, seed=0).frames
    assert np.abs(again.astype(int) - clip.frames)[1:].max() <= 2


def test_a_loop_is_the_same_wherever_it_begins(make_pipe, monkeypatch):
    pipe = make_pipe(guidance=1.0)
    noise = torch.randn(48, 8, 8, 8, generator=torch.Generator().manual_seed(0))

    def looped(shift):
        monkeypatch.setattr("lumiere.pipelines.start.frame_noise", lambda *_: noise.roll(shift, 1))
        return pipe("a cat", num_frames=8, loop=True, output_type="latent").frames[0]

    # Its two windows begin half a clip apart.
    assert torch.allclose(looped(4), looped(0).roll(4, 1), atol=1e-4)
    monkeypatch.setattr("lumiere.pipelines.start.frame_noise", lambda *_: noise)
    assert not torch.allclose(
        pipe("a cat", num_frames=8, output_type="latent").frames[0], looped(0), atol=1e-2
    )


def test_a_loop_begins_where_it_changes_least(make_pipe):
    frames = make_pipe()("a cat", num_frames=8, loop=True, seed=3).frames.astype(int)
    steps = np.abs(frames - np.roll(frames, 1, axis=0)).mean((1, 2, 3))
    assert steps[0] == steps.min()


def test_a_video_is_edited_more_or_less(make_pipe):
    pipe = make_pipe()
    source = pipe("a cat", num_frames=8, seed=1)
    clips = [pipe("a dog", video=source, strength=each, seed=2) for each in (0.01, 0.4, 1.0)]
    errors = [np.abs(clip.frames.astype(int) - source.frames).mean() for clip in clips]
    assert errors[0] < errors[2] / 5 and errors == sorted(errors)
    assert np.abs(clips[2].frames.astype(int) - pipe("a dog", num_frames=8, seed=2).frames).max() <= 1
    assert clips[0].fps == source.fps and clips[0].metadata["strength"] == 0.01
    with pytest.raises(InputError, match="no video to edit"):
        pipe("a dog", strength=0.5)
    with pytest.raises(InputError, match="the video has 8 frames and the clip 4"):
        pipe("a dog", video=source, num_frames=4)


@pytest.mark.parametrize(("strength", "moves_as_the_source"), [(0.1, True), (0.9, True), (1.0, False)])
def test_an_edit_begins_with_the_motion_of_its_source(make_pipe, monkeypatch, strength, moves_as_the_source):
    pipe = make_pipe(shared_noise=0.5)
    source = pipe("a cat", num_frames=8, seed=1)
    given = []

    def sample(denoiser, noise, *, start, **_):
        given.append(noise)
        return start

    monkeypatch.setattr("lumiere.pipelines.denoising.sample", sample)
    for seed in (2, 2, 3):
        pipe("a dog", video=source, strength=strength, seed=seed)
    once, again, other = given
    assert torch.equal(once, again) and not torch.allclose(once, other)
    assert torch.allclose(once.diff(dim=2), other.diff(dim=2), atol=1e-5) == moves_as_the_source
    still = Clip(np.repeat(source.frames[:1], 8, 0), source.fps)
    pipe("a dog", video=still, strength=strength, seed=2)
    assert (given[-1].diff(dim=2).std() < once.diff(dim=2).std() / 2) == moves_as_the_source


@pytest.fixture(scope="module")
def drawing_pipe(make_pipe):
    """A pipeline whose clips begin with a picture of the prompt without words of motion."""
    return make_pipe(conditioned=True, prompt_parser=EmojiPromptParser(["moving", "moving left"], {}))


@pytest.fixture
def encodings(monkeypatch):
    """Every condition that is encoded while the test runs."""
    everything = []
    encode = denoising._encoded
    monkeypatch.setattr(
        denoising,
        "_encoded",
        lambda pipe, given: everything.append(encode(pipe, given)) or everything[-1],
    )
    return everything


def test_the_image_model_alone_draws_the_first_frame(drawing_pipe, monkeypatch, encodings):
    nets, pictures = [], []
    denoise, draw = drawing_pipe._denoise, denoising.draw_first_frames
    monkeypatch.setattr(
        drawing_pipe, "_denoise", lambda x, *said, **also: nets.append(x.ndim) or denoise(x, *said, **also)
    )
    monkeypatch.setattr(denoising, "draw_first_frames", lambda *a: pictures.append(draw(*a)) or pictures[-1])
    clip = drawing_pipe("a cat moving left", num_frames=5, seed=7)
    assert nets[-6:] == [4] * 3 + [5] * 3
    assert clip.metadata["first_frame_prompt"] == "a cat" and "known_psnr" not in clip.metadata
    assert to_uint8(encodings[0].nearest[0]).shape == (5, 32, 32, 3)
    assert (to_uint8(encodings[0].nearest[0]) == pictures[0][0]).all()
    assert (clip.frames[0] != pictures[0][0]).any()  # not composited

    together = drawing_pipe(["a cat moving left", "a dog"], num_frames=5, seed=7, batch_size=2)
    assert [each.metadata["first_frame_prompt"] for each in together] == ["a cat", "a dog"]
    for number, picture in enumerate(pictures[1]):
        assert (to_uint8(encodings[1].nearest[number]) == picture).all()
    assert abs(frames(together[0]) - frames(clip)).max() <= 1  # batched kernels may round otherwise
    assert (frames(together[1]) != frames(clip)).any()


def test_a_loop_with_a_picture_begins_where_it_changes_least(drawing_pipe):
    clip = drawing_pipe("a cat moving left", num_frames=6, loop=True, seed=7)
    assert changes_round(clip.frames).argmin() == 0 and clip.metadata["first_frame_prompt"] == "a cat"


def test_what_a_clip_begins_with_can_be_said_and_left_out(drawing_pipe, make_pipe):
    at_once = make_pipe(conditioned=True)
    expected = frames(at_once("a cat moving left", num_frames=5, seed=7))
    without = drawing_pipe("a cat moving left", num_frames=5, seed=7, first_frame_prompt="")
    np.testing.assert_array_equal(frames(without), expected)
    assert "first_frame_prompt" not in without.metadata
    said = drawing_pipe("a cat moving left", num_frames=5, seed=7, first_frame_prompt="a dog")
    assert said.metadata["first_frame_prompt"] == "a dog"
    assert (frames(said)[0] != frames(drawing_pipe("a cat moving left", num_frames=5, seed=7))[0]).any()


def test_no_picture_is_drawn_where_something_is_given(drawing_pipe):
    picture = np.full((32, 32, 3), 90, np.uint8)
    given = drawing_pipe("a cat moving", condition=conditions.from_image(picture, 5), seed=7)
    edited = drawing_pipe("a cat moving", video=np.stack([picture] * 5), seed=7)
    assert not {"first_frame_prompt"} & (given.metadata.keys() | edited.metadata.keys())
    later = drawing_pipe("a cat moving", num_frames=5, frame_offset=80, seed=7)
    assert "first_frame_prompt" not in later.metadata


def test_first_frame_prompts_that_cannot_be_drawn_are_refused(drawing_pipe, pipe):
    picture = conditions.from_image(np.zeros((32, 32, 3), np.uint8), 5)
    with pytest.raises(InputError, match="first_frame_prompt is 'a dog', but the call has a condition"):
        drawing_pipe("a cat", condition=picture, first_frame_prompt="a dog")
    with pytest.raises(InputError, match="first_frame_prompt is 'a dog', but this model takes no condition"):
        pipe("a cat", num_frames=5, first_frame_prompt="a dog")


def test_what_moves_is_given_room(make_pipe, encodings):
    plain, roomy = (
        make_pipe(conditioned=True, prompt_parser=parser(), moving_scale=scale) for scale in (1.0, 0.5)
    )
    for text, same in (("a cat", True), ("a cat moving", False)):
        encodings.clear()
        for each in (plain, roomy):
            each(text, num_frames=3, seed=7)
        large, small = (to_uint8(each.nearest[0])[0] for each in encodings)
        assert (large == small).all() == same
    np.testing.assert_array_equal(small, shrunk(large, 0.5))


def test_a_picture_is_carried_to_where_it_is_found_and_nowhere_else(make_pipe, mover, monkeypatch):
    pipe = make_pipe(conditioned=True, prompt_parser=parser(), warp_net=mover)
    asked = []
    restore = mover.restore
    monkeypatch.setattr(mover, "restore", lambda *parts: asked.append(parts) or restore(*parts))
    carried = pipe("a cat moving", num_frames=5, seed=7)
    raw = pipe("a cat moving", num_frames=5, seed=7, composite=False)
    ((_, made, given, known),) = asked
    assert (to_uint8(made[0]) == raw.frames).all() and not given.any() and known.all()
    assert (carried.frames != raw.frames).any()


@pytest.fixture(scope="module")
def arranging_pipe(make_pipe):
    """A pipeline that makes objects in windows of their own, and begins each with a picture."""
    return make_pipe(
        conditioned=True,
        prompt_parser=parser({"above": "above", "to the left of": "left"}),
    )


def test_each_object_has_a_window_with_its_own_prompt(arranging_pipe, monkeypatch):
    seen, drawn = [], []
    denoise, decode = arranging_pipe._denoise, arranging_pipe.decode_latents
    arranging_pipe._probe()

    def recorded(x, t, context, *aligned, **also):
        seen.append((x.ndim, context[-1]))
        return denoise(x, t, context, *aligned, **also)

    monkeypatch.setattr(arranging_pipe, "_denoise", recorded)
    monkeypatch.setattr(arranging_pipe, "decode_latents", lambda x: drawn.append(decode(x)) or drawn[-1])
    clip = arranging_pipe("a cat above a dog moving on a red background", num_frames=5, seed=7)
    parts = ["a cat", "a dog", "a cat moving", "a dog moving"]
    expected = [arranging_pipe.text_encoder([f"{each} on a red background"])[0] for each in parts]
    windows = [
        (ndim, [torch.equal(context, each) for each in expected].index(True)) for ndim, context in seen[-12:]
    ]
    assert windows == [(4, 0), (4, 1)] * 3 + [(5, 2), (5, 3)] * 3
    assert clip.frames.shape == (5, 32, 32, 3)
    assert [tuple(each.shape) for each in drawn] == [(3, 1, 56, 32), (3, 5, 56, 32)]
    cat, dog = f"{parts[2]} on a red background", f"{parts[3]} on a red background"
    assert clip.metadata["regions"] == f"{cat} / {dog}"
    assert clip.metadata["first_frame_prompt"] == "a cat on a red background / a dog on a red background"


@pytest.mark.parametrize("num_frames", [4, 9])
def test_windows_are_where_the_layout_has_them(make_pipe, monkeypatch, num_frames):
    pipe = make_pipe(frames=4, guidance=1.0)
    pipe._probe()
    contexts = {pipe.text_encoder([name])[0].sum().item(): value for value, name in enumerate("abcd")}

    def value_of_prompt(x, t, context, **also):
        """A prediction that says, of every place, which prompt its window has."""
        return torch.full_like(x, contexts[context[0].sum().item()])

    monkeypatch.setattr(pipe, "_denoise", value_of_prompt)
    seen = []

    def sample(denoiser, x, *_, **__):
        seen.append(denoiser(x, torch.tensor(500)))
        return x

    monkeypatch.setattr("lumiere.pipelines.denoising.sample", sample)
    pipe("any", regions="a | b / c | d", num_frames=num_frames, output_type="latent")
    (made,) = seen
    assert made.shape == (1, 48, num_frames, 14, 14)
    for rows, columns, value in (
        (slice(6), slice(6), 0),
        (slice(6), slice(8, 14), 1),
        (slice(8, 14), slice(6), 2),
    ):
        torch.testing.assert_close(made[..., rows, columns], torch.full_like(made[..., rows, columns], value))
    torch.testing.assert_close(made[..., 6:8, 6:8].mean(), torch.tensor(1.5))


def test_pictures_of_windows_are_shrunk_each_about_its_middle(make_pipe, encodings):
    plain, roomy = (
        make_pipe(
            conditioned=True,
            prompt_parser=parser({"above": "above"}),
            moving_scale=scale,
        )
        for scale in (1.0, 0.5)
    )
    for pipe in (plain, roomy):
        pipe("a cat above a dog moving", num_frames=2, seed=7)
    large, small = (to_uint8(each.nearest[0])[0] for each in encodings)
    places = Regions.parse("a / b").windows(8, 8, 4)
    expected = change_windows(large, places, lambda part: shrunk(part, 0.5))
    assert np.abs(small.astype(int) - expected).max() <= 2  # blended once more


def test_one_window_gets_the_prompt(arranging_pipe, drawing_pipe):
    prompt = "a cat above a dog moving"
    whole = arranging_pipe(prompt, regions="", num_frames=5, seed=7)
    np.testing.assert_array_equal(frames(whole), frames(drawing_pipe(prompt, num_frames=5, seed=7)))
    assert "regions" not in whole.metadata
    clip = arranging_pipe("any", regions="a cat", num_frames=5, seed=7)
    np.testing.assert_array_equal(frames(clip), frames(drawing_pipe("a cat", num_frames=5, seed=7)))
    picture = conditions.from_image(np.zeros((32, 32, 3), np.uint8), 5)
    assert "regions" not in arranging_pipe(prompt, condition=picture, seed=7).metadata
    begun = arranging_pipe(prompt, first_frame_prompt="a fish", num_frames=5, seed=7)
    assert "regions" not in begun.metadata


def test_clips_of_several_layouts_are_made_in_one_call(arranging_pipe):
    prompts = [
        "a cat",
        "a dog moving",
        "a cat above a dog",
        "a dog above a cat",
        "a dog to the left of a cat",
    ]
    together = arranging_pipe(prompts, num_frames=5, seed=[1, 2, 3, 4, 5], batch_size=2)
    for number, (prompt, clip) in enumerate(zip(prompts, together, strict=True), 1):
        alone = arranging_pipe(prompt, num_frames=5, seed=number)
        assert clip.metadata == alone.metadata
        assert abs(frames(clip) - frames(alone)).max() <= 1  # batched kernels may round otherwise


def test_windows_of_a_layout_lie_in_time_too(make_pipe):
    pipe = make_pipe(frames=4)
    clip = pipe("any", regions="a cat | a dog", num_frames=9, seed=7)
    assert clip.frames.shape == (9, 32, 32, 3)
    looped = pipe("any", regions="a cat | a dog", num_frames=8, loop=True, seed=7)
    assert looped.frames.shape == (8, 32, 32, 3)
    assert pipe("any", regions="a cat | a dog", num_frames=4, output_type="pt").frames.shape == (
        1,
        4,
        3,
        32,
        56,
    )


def test_layouts_that_cannot_be_are_refused(arranging_pipe):
    picture = conditions.from_image(np.zeros((32, 32, 3), np.uint8), 5)
    for given_too in ({"condition": picture}, {"first_frame_prompt": "a fish"}, {"video": picture.video}):
        with pytest.raises(
            InputError, match=r"regions is 'a cat \| a dog', but the call has a condition, a video or"
        ):
            arranging_pipe("any", regions="a cat | a dog", **given_too)
    with pytest.raises(InputError, match=r"the regions 'a cat \|' have an empty prompt"):
        arranging_pipe("any", regions="a cat |")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        arranging_pipe("any", regions="a cat | \udcff")
    with pytest.raises(InputError, match="output_type is 'pt', one tensor, but the prompts' regions"):
        arranging_pipe(["a cat", "a cat above a dog"], output_type="pt")


def test_memory_is_that_of_one_window_at_a_time(arranging_pipe, monkeypatch):
    asked = []
    monkeypatch.setattr("lumiere.pipelines.memory.available_bytes", lambda _: asked.append(1) or 10**12)
    needed = [arranging_pipe.memory_bytes(5, 32, 32, larger=larger) for larger in (1.0, 1.75, 64.0)]
    assert needed[0] <= needed[1] < 1.75 * needed[0] and needed[2] > 2 * needed[0]
    monkeypatch.setattr("lumiere.pipelines.memory.available_bytes", lambda _: 10**5)
    with pytest.raises(InputError, match="1 x 5 frames of 32x32 need about"):
        arranging_pipe("a cat above a dog", num_frames=5)
