"""Frames to tensors and back."""

import numpy as np
import torch

from lumiere.io.pixels import from_uint8, to_uint8


def test_every_level_survives_and_what_is_beyond_is_clamped():
    frames = np.arange(256, dtype=np.uint8).repeat(3).reshape(2, 8, 16, 3)
    video = from_uint8(frames)
    assert video.shape == (3, 2, 8, 16) and video.min() == -1 and video.max() == 1
    np.testing.assert_array_equal(to_uint8(video), frames)
    np.testing.assert_array_equal(to_uint8(video + 3), np.full_like(frames, 255))


def test_a_batch_is_its_clips_and_keeps_its_frames():
    clips = torch.randint(0, 256, (2, 4, 6, 5, 3), dtype=torch.uint8)
    before = clips.clone()
    video = from_uint8(clips, dtype=torch.float64)
    assert torch.equal(video[1], from_uint8(clips[1].numpy(), dtype=torch.float64))
    assert video.dtype == torch.float64 and torch.equal(clips, before)
