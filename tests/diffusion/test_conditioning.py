import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lumiere.diffusion.conditioning import clamp_known, condition_channels, encode_condition, fill_unknown
from lumiere.diffusion.sampling import make_scheduler, noise_schedule, sample
from lumiere.models.codec import PatchCodec

CODEC = PatchCodec(2)


def video(frames=6, side=4, seed=0):
    return torch.rand(2, 3, frames, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_unknown_pixels_are_those_of_the_nearest_given_frame(frames, seed):
    clip = video(frames, 2, seed)
    known = torch.from_numpy(np.random.default_rng(seed).random((2, 1, frames, 2, 2)) < 0.3).float()
    filled = fill_unknown(clip, known)
    for b, t, y, x in np.ndindex(2, frames, 2, 2):
        times = sorted((abs(s - t), s) for s in range(frames) if known[b, 0, s, y, x])
        expected = clip[b, :, times[0][1], y, x] if times else torch.zeros(3)
        assert torch.equal(filled[b, :, t, y, x], expected)


def test_the_mask_is_encoded_exactly():
    clip, known = video(), torch.zeros(2, 1, 6, 4, 4)
    known[0, 0, 1, :3, :2] = 1
    channels, clean, whole, nearest, given = encode_condition(CODEC, clip, known)
    assert torch.equal(nearest, fill_unknown(clip, known)) and given is known
    assert channels.shape == (2, condition_channels(CODEC), 6, 2, 2)
    assert torch.equal(channels[:1, :12], clean[:1])
    mask = torch.nn.functional.pixel_shuffle(channels[0, 12:].transpose(0, 1), 2)
    assert torch.equal(mask[:, 0], known[0, 0])
    assert whole[0].nonzero().tolist() == [[0, 1, 0, 0]]
    assert not channels[1].any() and not whole[1].any()


@pytest.mark.parametrize("name", ["ddim", "dpm++", "euler"])
def test_what_is_given_whole_is_sampled_exactly(name):
    clip, known = video()[:1], torch.zeros(1, 1, 6, 4, 4)
    known[:, :, 0], known[:, :, :, :2, :2] = 1, 1
    encoded = encode_condition(CODEC, clip, known)
    clean, whole = encoded.sample, encoded.whole
    scheduler = make_scheduler(name, noise_schedule().config)
    wild = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    made = sample(clamp_known(lambda x, t: x + wild, encoded, scheduler.alphas_cumprod), wild, scheduler, 5)
    known = whole.expand_as(made)
    assert torch.allclose(made[known], clean[known], atol=1e-3)
    assert (made[~known] - clean[~known]).abs().mean() > 0.1
