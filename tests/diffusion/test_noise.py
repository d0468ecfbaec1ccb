from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumiere.diffusion.noise import clip_noise, frame_noise
from lumiere.diffusion.objective import training_loss
from lumiere.diffusion.sampling import noise_schedule
from lumiere.errors import InputError


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(
    st.integers(1, 12), st.integers(0, 12), st.sampled_from([0.0, 0.4, 1.0]), st.sampled_from([0.0, 0.7, 3.0])
)
def test_a_frames_noise_does_not_depend_on_how_many_follow(count, more, shared, smoothness):
    short, long = (frame_noise(t, (2, 3, 5), seeded(), shared, smoothness) for t in (count, count + more))
    torch.testing.assert_close(long[:, :count], short)


def gaussians_overlap(apart: int, smoothness: float) -> float:
    """Correlation of white noise smoothed by a Gaussian with itself, so many frames later."""
    return math.exp(-((apart / smoothness) ** 2) / 4)


@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_smooth_noise_is_standard_and_its_frames_correlate_as_gaussians_overlap(shared):
    clips = clip_noise(torch.zeros(2, 8, 12, 48, 48), seeded(), shared, 3.0)
    for noise in (*clips, frame_noise(12, (8, 48, 48), seeded(), shared, 3.0)):
        frames = noise.transpose(0, 1).flatten(1)
        assert frames.var(1) == pytest.approx(torch.ones(12), abs=0.06)
        correlations = torch.corrcoef(frames)
        for apart in (1, 3, 8):
            found = correlations.diagonal(apart)
            wanted = shared + (1 - shared) * gaussians_overlap(apart, 3.0)
            assert found == pytest.approx(torch.full_like(found, wanted), abs=0.06)


def test_noise_that_is_not_smooth_is_what_it_was():
    generator = seeded()
    common, *own = (torch.randn(2, 4, 4, generator=generator) for _ in range(6))
    wanted = 0.5**0.5 * (torch.stack(own, dim=1) + common[:, None])
    torch.testing.assert_close(frame_noise(5, (2, 4, 4), seeded(), 0.5, 0.0), wanted)


def test_a_loops_noise_goes_round():
    once = frame_noise(20, (8, 32, 32), seeded(), 0.0, 2.0, loop=True)
    frames = once.transpose(0, 1).flatten(1)
    assert frames.var(1) == pytest.approx(torch.ones(20), abs=0.06)
    seam = torch.corrcoef(frames[[-1, 0]])[0, 1]
    assert seam == pytest.approx(gaussians_overlap(1, 2.0), abs=0.06)


@pytest.mark.parametrize("frames", [1, 3, 8])
def test_the_noise_of_a_loop_shorter_than_the_kernel_is_standard_too(frames):
    short = frame_noise(frames, (8, 48, 48), seeded(), 0.0, 4.0, loop=True).transpose(0, 1).flatten(1)
    assert short.var(1) == pytest.approx(torch.ones(frames), abs=0.06)


@pytest.mark.parametrize("shared", [0.0, 0.3, 0.5, 1.0])
def test_noise_is_standard_and_frames_correlate_by_the_share(shared):
    clips = clip_noise(torch.zeros(2, 8, 6, 32, 32), seeded(), shared)
    for noise in (*clips, frame_noise(6, (8, 32, 32), seeded(), shared)):
        frames = noise.transpose(0, 1).flatten(1)
        assert noise.mean() == pytest.approx(0, abs=0.03)
        assert frames.var(1) == pytest.approx(torch.ones(6), abs=0.06)
        off_diagonal = torch.corrcoef(frames)[~torch.eye(6, dtype=torch.bool)]
        assert off_diagonal == pytest.approx(torch.full_like(off_diagonal, shared), abs=0.06)


def test_clips_of_a_batch_share_nothing_with_each_other():
    first, second = clip_noise(torch.zeros(2, 4, 3, 16, 16), seeded(), 1.0)
    assert abs(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1]) < 0.1


def test_the_loss_is_of_the_noise_that_was_mixed():
    """All of it shared, on a clip that stands still: what the denoiser is given does not move either."""
    still = torch.randn(2, 3, 1, 4, 4, generator=seeded(1)).expand(-1, -1, 5, -1, -1)
    seen = {}

    def denoise(x, t):
        seen["x"] = x
        return x

    training_loss(denoise, still, noise_schedule().alphas_cumprod, seeded(), shared_noise=1.0)
    torch.testing.assert_close(seen["x"], seen["x"][:, :, :1].expand_as(still))


@pytest.mark.parametrize("smoothness", [-1.0, float("nan")])
def test_a_smoothness_that_is_none_is_refused(smoothness):
    with pytest.raises(InputError, match="noise smoothness is"):
        frame_noise(2, (1, 2, 2), seeded(), 0.0, smoothness)


@pytest.mark.parametrize("shared", [-0.1, 1.5])
def test_a_share_that_is_none_is_refused(shared):
    with pytest.raises(InputError, match="shared noise is"):
        frame_noise(2, (1, 2, 2), seeded(), shared)
    with pytest.raises(InputError, match="shared noise is"):
        clip_noise(torch.zeros(1, 1, 2, 2, 2), seeded(), shared)
