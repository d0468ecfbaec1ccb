"""FreeNoise and FreeInit in a call."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lumiere.diffusion.sampling import make_scheduler
from lumiere.errors import InputError

LINEAR = {
    "beta_schedule": "linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "rescale_betas_zero_snr": False,
}


@pytest.fixture(scope="module")
def linear(make_pipe):
    pipe = make_pipe(frames=4)
    pipe.scheduler = make_scheduler("dpm++", {**pipe.scheduler.config, **LINEAR})
    return pipe


def test_free_noise_starts_from_the_first_windows_noise(linear, monkeypatch):
    seen = []
    denoise = linear._denoise
    linear._probe()
    monkeypatch.setattr(
        linear, "_denoise", lambda x, *more, **rest: (seen.append(x), denoise(x, *more, **rest))[1]
    )
    clip = linear("a cat", num_frames=8, seed=1, num_inference_steps=1, guidance_scale=1, free_noise=True)
    first, *others = (sorted(each[0, 0, :, 0, 0].tolist()) for each in seen)
    assert len(others) == 2 and all(other == first for other in others)
    assert clip.metadata["free_noise"] is True
    plain = linear("a cat", num_frames=8, seed=1, num_inference_steps=1, guidance_scale=1)
    assert "free_noise" not in plain.metadata and (plain.frames[4:] != clip.frames[4:]).any()
    short = [
        linear("a cat", num_frames=4, seed=1, num_inference_steps=1, free_noise=free)
        for free in (False, True)
    ]
    np.testing.assert_array_equal(short[0].frames, short[1].frames)


def test_free_init_samples_again_from_the_low_frequencies(linear):
    steps = []

    def count(pipe, step, t, values):
        steps.append(step)
        return values

    options = {"num_frames": 6, "seed": 1, "output_type": "latent"}
    once = linear("a cat", **options).frames
    thrice = linear("a cat", **options, free_init=3, callback_on_step_end=count).frames
    assert steps == [0, 1, 2] * 3
    assert (once - thrice).abs().max() > 0.1
    again = linear("a cat", **options, free_init=3).frames
    assert torch.equal(thrice, again)
    assert linear("a cat", num_frames=4, seed=1, free_init=2).metadata["free_init"] == 2


def test_interrupted(linear):
    calls = []

    def stop(pipe, step, t, values):
        calls.append(step)
        pipe._interrupt = True
        return values

    linear("a cat", num_frames=4, seed=1, free_init=3, callback_on_step_end=stop)
    assert calls == [0]


def test_where_they_cannot_help(linear, make_pipe):
    def refused(pipe, match, **options):
        with pytest.raises(InputError, match=match):
            pipe("a cat", num_frames=6, seed=1, **options)

    refused(linear, "free_init is 0", free_init=0)
    refused(linear, "both free_noise and latents", free_noise=True, latents=torch.zeros(1, 48, 6, 8, 8))
    video = np.zeros((6, 32, 32, 3), np.uint8)
    refused(linear, "free_init is given with a video to edit", free_init=2, video=video)
    refused(make_pipe(), "free_init has no effect", free_init=2)
    refused(make_pipe(noise_smoothness=2.0), "smooth over 2 frames", free_noise=True)
