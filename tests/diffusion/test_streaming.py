from __future__ import annotations

import weakref

import pytest
import torch
from diffusers import (
    DDPMScheduler,
    EulerAncestralDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from lumiere.diffusion.multidiffusion import multidiffusion
from lumiere.diffusion.sampling import SCHEDULERS, evaluations, make_scheduler, noise_schedule, sample
from lumiere.diffusion.streaming import sample_stream
from lumiere.diffusion.windows import WEIGHTS, tiles, windows
from lumiere.errors import InputError


def mixing(x, t, low):
    """A denoiser in which every frame of a window depends on all of them."""
    return torch.sin(x + x.mean(2, keepdim=True) * low + t / 1000)


def scheduler(name):
    return make_scheduler(name, noise_schedule().config)


@given(
    st.integers(1, 40),
    st.integers(1, 12),
    st.integers(1, 5),
    st.sampled_from(sorted(SCHEDULERS)),
    st.sampled_from(sorted(WEIGHTS)),
    st.data(),
)
@settings(max_examples=60, deadline=None)
def test_it_equals_the_whole_clip_bit_for_bit(length, size, steps, name, weights, data):
    frames = windows(length, size, data.draw(st.integers(0, size - 1)))
    noise, low = torch.randn(2, 3, length, 2, 2), torch.randn(2, 1, length, 2, 2)
    whole = multidiffusion(mixing, tiles({2: frames}, weights), low)
    expected = sample(whole, noise, scheduler(name), steps)

    read = []

    def parts(first, end):
        read.append((first, end))
        return noise[:, :, first:end], low[:, :, first:end]

    calls = []
    made = sample_stream(
        mixing, parts, frames, scheduler(name), steps, weights=weights, callback=lambda: calls.append(1)
    )
    x, same_low = (torch.cat(pieces, dim=2) for pieces in zip(*made, strict=True))
    assert torch.equal(x, expected) and torch.equal(same_low, low)
    assert [first for first, _ in read] == [0] + [end for _, end in read[:-1]]
    assert len(calls) == steps * len(frames.starts)


def frames_alive(length):
    """The most frames of input that were alive at once while a clip of this length was streamed."""
    alive: set[weakref.ref] = set()
    most = 0

    def read(first, end):
        nonlocal most
        piece = torch.randn(1, 1, end - first, 1, 1)
        alive.add(weakref.ref(piece, alive.discard))
        most = max(most, sum(ref().shape[2] for ref in alive if ref() is not None))
        return torch.randn_like(piece), piece

    for _ in sample_stream(mixing, read, windows(length, 8, 2), scheduler("dpm++"), 3):
        pass
    return most


def test_what_is_held_does_not_grow_with_the_clip():
    assert frames_alive(400) <= frames_alive(50) <= 8 * (3 + 1)


def test_reading_begins_with_the_first_frame_that_is_asked_for():
    def read(first, end):
        raise AssertionError("read too early")

    sample_stream(mixing, read, windows(20, 8, 2), scheduler("ddim"), 2)


@pytest.mark.parametrize(
    ("frames", "steps", "message"),
    [
        (windows(10, 4, 2, circular=True), 2, "a circular clip cannot be streamed"),
        (windows(10, 4, 2), 0, "steps is 0; give a number from 1 to 1000"),
    ],
)
def test_what_cannot_be_streamed_is_refused_at_once(frames, steps, message):
    with pytest.raises(InputError, match=message):
        sample_stream(mixing, lambda first, end: (), frames, scheduler("ddim"), steps)


@pytest.mark.parametrize("kind", [EulerAncestralDiscreteScheduler, LCMScheduler, DDPMScheduler])
def test_a_frames_noise_at_each_step_does_not_depend_on_the_windows(kind):
    noise = torch.randn(1, 3, 11, 2, 2, generator=torch.Generator().manual_seed(0))

    def made(size, overlap, seed=0):
        torch.manual_seed(size)
        frames = windows(11, size, overlap)
        stream = sample_stream(
            lambda x, t: torch.sin(x),
            lambda first, end: (noise[:, :, first:end],),
            frames,
            kind.from_config(noise_schedule().config),
            4,
            seed=seed,
        )
        return torch.cat([x for (x,) in stream], dim=2)

    torch.testing.assert_close(made(4, 2), made(11, 0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(made(3, 1), made(11, 0), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(made(4, 2, seed=1), made(4, 2))


def test_schedulers_of_second_order_go_to_the_end():
    noise = torch.randn(1, 3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    scheduler = HeunDiscreteScheduler.from_config(noise_schedule("sample").config)
    calls = []
    stream = sample_stream(
        lambda x, t: torch.full_like(x, 0.5),
        lambda first, end: (noise[:, :, first:end],),
        windows(4, 3, 1),
        scheduler,
        3,
        callback=lambda: calls.append(1),
    )
    made = torch.cat([x for (x,) in stream], dim=2)
    torch.testing.assert_close(made, torch.full_like(made, 0.5), atol=1e-4, rtol=0)
    assert len(calls) == 2 * evaluations(scheduler, 3) == 2 * 5
