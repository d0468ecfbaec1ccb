import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lumiere.models.warping import WarpNet, warp, warp_known


def video(frames=3, height=16, width=24, clips=1, seed=0):
    return torch.rand(clips, 3, frames, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def known(frames=3, height=16, width=24, clips=1):
    return torch.ones(clips, 1, frames, height, width)


def warp_net(x=0.0, y=0.0, share=0.0, frames=3, height=4, width=6):
    return torch.tensor([x, y, share]).view(1, 3, 1, 1, 1).expand(1, 3, frames, height, width)


@settings(deadline=None)
@given(st.integers(-3, 3), st.integers(-3, 3))
def test_pixels_are_read_at_their_displacement(columns, rows):
    clip = video()
    moved = warp(clip, warp_net(columns / 24, rows / 16))
    inner = (..., slice(4, -4), slice(4, -4))
    assert torch.allclose(moved[inner], clip.roll((-rows, -columns), (3, 4))[inner], atol=1e-4)


def test_beyond_an_edge_lies_the_edge():
    clip = video()
    assert torch.allclose(warp(clip, warp_net(x=1.0)), clip[..., -1:].expand_as(clip), atol=1e-4)


def test_each_frame_goes_its_own_way():
    clip, moves = video(2), torch.zeros(1, 3, 2, 4, 6)
    moves[:, 1, 1] = 4 / 16
    moved = warp(clip, moves)
    assert torch.allclose(moved[:, :, 0], clip[:, :, 0], atol=1e-4)
    assert torch.allclose(moved[:, :, 1, :12], clip[:, :, 1, 4:], atol=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_as_much_is_carried_as_the_share_says(share):
    nearest, made = video(seed=1), video(seed=2)
    carried = warp_known(nearest, made, warp_net(share=share), known())
    assert torch.allclose(carried, made + share * (nearest - made), atol=1e-4)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    net = WarpNet(widths=(8, 16, 16)).eval()
    for parameter in net.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return net


def test_even_an_untrained_net_finds_what_looks_alike():
    torch.manual_seed(0)
    blocks = torch.rand(1, 3, 3, 8, 8).repeat_interleave(8, 3).repeat_interleave(8, 4) * 2 - 1
    with torch.no_grad():
        seen = blocks, blocks.roll((8, 16), (3, 4)), torch.zeros(1, 1, 3, 64, 64), known(3, 64, 64)
        moves = WarpNet(widths=(8, 16, 16))(*seen)
    assert moves.shape == (1, 3, 3, 16, 16)
    assert moves[:, 0].median().item() == pytest.approx(-16 / 64, abs=0.03)
    assert moves[:, 1].median().item() == pytest.approx(-8 / 64, abs=0.03)


@pytest.mark.parametrize("size", [(8, 8), (40, 56), (136, 8)])
@pytest.mark.parametrize("frames", [1, 4])
def test_any_size_and_length(net, size, frames):
    clip, everything = video(frames, *size), known(frames, *size)
    with torch.no_grad():
        moves = net(clip, video(frames, *size, seed=1), torch.zeros_like(everything), everything)
    assert moves.shape == (1, 3, frames, size[0] // 4, size[1] // 4)
    assert moves[:, :2].abs().max() <= 1.1 and 0 <= moves[:, 2].min() <= moves[:, 2].max() <= 1


def test_clips_of_a_batch_do_not_see_each_other(net):
    seen = video(clips=2), video(clips=2, seed=1), torch.zeros(2, 1, 3, 16, 24), known(clips=2)
    together = net.restore(*seen)
    for clip in range(2):
        one = slice(clip, clip + 1)
        assert torch.allclose(net.restore(*(each[one] for each in seen)), together[one], atol=1e-5)


def test_half_precision(net):
    half = WarpNet.from_config(net.config).eval().to(torch.bfloat16)
    half.load_state_dict(net.state_dict())
    seen = [video(), video(seed=1), torch.zeros(1, 1, 3, 16, 24), known()]
    restored = half.restore(*[each.bfloat16() for each in seen])
    assert restored.dtype == torch.bfloat16
    assert (restored.float() - net.restore(*seen)).abs().mean() < 0.05


def test_frames_see_their_neighbours(net):
    nearest, made, masks = video(7), video(7, seed=1), (torch.zeros(1, 1, 7, 16, 24), known(7))
    other = made.clone()
    other[:, :, 3] = -made[:, :, 3]
    with torch.no_grad():
        changed = (net(nearest, made, *masks) - net(nearest, other, *masks)).abs().amax((0, 1, 3, 4))
    assert changed[3] > changed[2] > 0 and changed[4] > 0


def test_a_saved_net_is_the_same(net, tmp_path):
    net.save_pretrained(tmp_path)
    loaded = WarpNet.from_pretrained(tmp_path).eval()
    seen = video(), video(seed=1), torch.zeros(1, 1, 3, 16, 24), known()
    assert torch.equal(loaded.restore(*seen), net.restore(*seen))


def test_what_nobody_gives_is_never_carried(net):
    nearest, made, given = video(), video(seed=1), torch.zeros(1, 1, 3, 16, 24)
    assert torch.equal(net.restore(nearest, made, given, torch.zeros_like(given)), made)
    left = torch.zeros_like(given)
    left[..., :12] = 1
    other = torch.where(left > 0, nearest, -nearest)
    carried = [warp_known(each, made, warp_net(share=1.0), left) for each in (nearest, other)]
    assert torch.equal(*carried)
    assert torch.equal(carried[0][..., 12:], made[..., 12:])


def test_what_nobody_gives_is_not_found():
    torch.manual_seed(0)
    block = torch.rand(1, 3, 1, 8, 8) * 2 - 1
    here, there = torch.zeros(1, 3, 1, 64, 64), torch.zeros(1, 3, 1, 64, 64)
    here[..., 24:32, 24:32] = block
    there[..., 24:32, :8] = there[..., 24:32, 32:40] = block
    left = torch.zeros(1, 1, 1, 64, 64)
    left[..., :24] = 1
    with torch.no_grad():
        moves = WarpNet(widths=(8, 16, 16))(there, here, torch.zeros_like(left), left)
    assert moves[0, 0, 0, 6:8, 6:8].mean() < -0.1
