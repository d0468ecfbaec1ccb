"""Switches that save memory leave the clips as they are, and the memory check counts with them."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import cpu_offload, init_empty_weights
from diffusers import UNet2DConditionModel

from lumiere.errors import InputError
from lumiere.io.checkpoints.motion import read_motion
from lumiere.io.checkpoints.single_file import published_configuration
from lumiere.models.stunet import STUNet
from lumiere.models.vae import VAECodec
from lumiere.pipelines.inflation import inflate, read_image_model
from lumiere.pipelines.memory import OVERHEAD, SamplingMemory, peak_bytes
from lumiere.style import Style
from motion_weights import save_original

CALL = {"num_frames": 4, "seed": 1, "num_inference_steps": 2}


@pytest.fixture
def adopted(family_folder, tmp_path):
    motion = read_motion(save_original("v2", tmp_path / "mm_sd_v15_v2.safetensors"))
    pipe = inflate(read_image_model(family_folder("sd1")), motion=motion)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_offloading_one_by_one_changes_no_clip_and_no_estimate(adopted):
    clip, estimate = adopted("a cat", **CALL), adopted.memory_bytes(16, 512, 512)
    # as enable_sequential_cpu_offload does on a GPU; accelerate does not take the CPU's index, "cpu:0"
    for part in (adopted.unet, adopted.codec, adopted.text_encoder):
        cpu_offload(part, torch.device("cpu"), offload_buffers=len(part._parameters) > 0)
    assert adopted.unet.device.type == "meta" and adopted._execution_device.type == "cpu"
    adopted._probed.clear()
    assert adopted.memory_bytes(16, 512, 512) == pytest.approx(estimate, rel=0.02)
    np.testing.assert_array_equal(adopted("a cat", **CALL).frames, clip.frames)
    with pytest.raises(InputError, match=r"weights that are offloaded one by one .* \(--offload model\)"):
        adopted("a cat", **CALL, style=Style({"unet.conv_in.lora_A.weight": torch.zeros(1, 1)}))


def test_offloaded_weights_are_counted_where_they_will_come(adopted, monkeypatch):
    weights = sum(each.numel() * each.element_size() for each in adopted.unet.parameters())
    assert adopted._weights_to_come() == 0
    monkeypatch.setattr(adopted, "_all_hooks", [SimpleNamespace()], raising=False)
    assert adopted._weights_to_come() == weights


def test_large_frames_are_decoded_in_tiles(adopted):
    adopted.codec.vae.tile_latent_min_size, adopted.codec.vae.tile_sample_min_size = 8, 64
    x = torch.randn(1, 4, 2, 16, 16)
    whole, of_whole = adopted.codec.decode(x), adopted.memory_bytes(2, 1024, 1024)
    taken = peak_bytes(adopted.codec, lambda: adopted.codec.decode(x))
    adopted.enable_vae_tiling()
    assert adopted.codec.tile == 8
    tiled = adopted.codec.decode(x)
    assert tiled.shape == whole.shape and not torch.equal(tiled, whole)
    assert peak_bytes(adopted.codec, lambda: adopted.codec.decode(x)) < 0.7 * taken
    assert adopted.memory_bytes(2, 1024, 1024) < of_whole
    adopted.disable_vae_tiling()
    assert torch.equal(adopted.codec.decode(x), whole)


def test_tiling_needs_a_vae(make_pipe):
    with pytest.raises(InputError, match="codec is a PatchCodec, which has no tiling"):
        make_pipe().enable_vae_tiling()


class _Published(SamplingMemory):
    """Stable Diffusion 1.5 with motion modules of version 2, at their published sizes, without weights."""

    def __init__(self):
        published = copy.deepcopy(published_configuration("sd1"))
        with init_empty_weights(include_buffers=True):
            unet = UNet2DConditionModel.from_config(published["unet"]).half()
            adopted = {"kind": "animatediff", "middle": True, "positions": 32}
            self.unet = STUNet.inflate(unet, adopted=adopted)
            self.codec = VAECodec(vae_config=published["vae"]).half()
        self.text_encoder, self.config = SimpleNamespace(length=77, dim=768), {"frames": 16}
        self._execution_device, self._probed = torch.device("meta"), {}


@pytest.mark.parametrize("frames", [16, 80])
def test_the_estimate_of_published_sizes_is_what_they_take(frames):
    pipe = _Published()
    assert sum(each.numel() for each in pipe.unet.parameters()) == pytest.approx(1.3127e9, rel=1e-3)

    def one_step():
        """A window of 16 frames of 512 x 512, guided, beside the clip's samples."""
        samples = [torch.empty(1, 4, frames, 64, 64, device="meta") for _ in range(6)]
        x = torch.empty(2, 4, 16, 64, 64, device="meta", dtype=torch.float16)
        context = torch.empty(2, 77, 768, device="meta", dtype=torch.float16)
        return samples, pipe.unet(x, torch.zeros((), dtype=torch.long, device="meta"), context)

    measured = peak_bytes(pipe.unet, one_step)
    assert pipe.memory_bytes(frames, 512, 512) / OVERHEAD == pytest.approx(measured, rel=0.05)
