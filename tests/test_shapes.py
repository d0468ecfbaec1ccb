import torch

from lumiere.shapes import fold, unfold


def test_frames_of_a_clip_are_neighbours_in_the_batch():
    clips = torch.randn(2, 3, 5, 4, 6)
    frames = fold(clips)
    assert torch.equal(frames[5 + 2], clips[1, :, 2])
    assert torch.equal(unfold(frames, 2), clips)
