"""The VAE as a codec: diffusers' own code and pictures, in slices of frames."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL

from lumiere.models.codec import Codec
from lumiere.models.vae import VAECodec
from lumiere.pipelines.memory import peak_bytes
from lumiere.shapes import fold

CONFIG = {
    "block_out_channels": [4, 8],
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
    "norm_num_groups": 2,
    "latent_channels": 3,
    "scaling_factor": 0.5,
}


def codec(**config):
    torch.manual_seed(0)
    return VAECodec(CONFIG | config).eval()


def video(frames=5):
    return torch.rand(2, 3, frames, 8, 12, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
@pytest.mark.parametrize(
    "config", [{}, {"shift_factor": 0.3}, {"latents_mean": [0.1, 0.2, 0.3], "latents_std": [1.0, 2.0, 3.0]}]
)
def test_frame_by_frame_it_is_diffusers_own(config):
    ours = codec(**config)
    assert isinstance(ours, Codec) and (ours.channels, ours.factor) == (3, 2)
    sample = ours.encode(video())
    assert sample.shape == (2, 3, 5, 4, 6)
    frame = video()[1, :, 3][None]
    code = ours.vae.encode(frame).latent_dist.mean
    mean, std = (
        torch.tensor(config.get(f"latents_{name}", [default] * 3)).view(-1, 1, 1)
        for name, default in (("mean", 0.0), ("std", 1.0))
    )
    expected = (code - config.get("shift_factor", 0.0) - mean) / std * 0.5
    torch.testing.assert_close(sample[1, :, 3][None], expected)
    decoded = ours.decode(sample)
    assert decoded.shape == video().shape and decoded.abs().max() <= 1
    torch.testing.assert_close(decoded[1, :, 3][None], ours.vae.decode(code).sample.clamp(-1, 1))


def test_a_long_clip_is_decoded_in_the_memory_of_a_short_one():
    ours, sample = codec(), torch.zeros(1, 3, 32, 16, 16)
    in_slices = peak_bytes(ours, lambda: ours.decode(sample))
    at_once = peak_bytes(ours, lambda: ours.vae.decode(fold(sample)))
    clip = 4 * 3 * 32 * 32 * 32
    assert in_slices < 4 * clip and at_once > 3 * in_slices


def test_half_precision_is_left_where_it_would_overflow():
    half = codec(force_upcast=True).to(torch.float16)
    assert half.decode(half.encode(video(1).half())).dtype == torch.float16
    assert half.vae.dtype == torch.float32
    plain = codec(force_upcast=False).to(torch.float16)
    plain.encode(video(1).half())
    assert plain.vae.dtype == torch.float16


def test_save_and_load_are_exact(tmp_path):
    ours = codec()
    ours.save_pretrained(tmp_path)
    loaded = VAECodec.from_pretrained(tmp_path)
    assert isinstance(loaded.vae, AutoencoderKL)
    assert torch.equal(loaded.encode(video()), ours.encode(video()))
