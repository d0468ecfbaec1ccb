"""Each temporal layer alone: what it starts as, and what it computes."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lumiere.models import temporal
from lumiere.models.extras import FramePosition, PlacedModulation
from lumiere.models.temporal import (
    Modulation,
    TemporalAttentionBlock,
    TemporalConvBlock,
    TemporalDown,
    TemporalUp,
    TimeConv,
    frame_positions,
    in_slices,
)


def frames(clips: int, length: int, channels: int = 6, layout: torch.memory_format = torch.contiguous_format):
    generator = torch.Generator().manual_seed(length)
    x = torch.randn(clips * length, channels, 3, 5, generator=generator, dtype=torch.float64)
    return x.contiguous(memory_format=layout)


def randomise(module: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(0)
    for parameter in module.double().parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=generator)
    return module


LAYOUTS = [torch.contiguous_format, torch.channels_last]


@settings(max_examples=20, deadline=None)
@given(
    clips=st.integers(1, 3),
    length=st.integers(1, 9),
    stride=st.sampled_from([1, 2]),
    layout=st.sampled_from(LAYOUTS),
)
def test_time_convolution_is_a_3x1x1_convolution(clips, length, stride, layout):
    conv = randomise(TimeConv(6, stride))
    x = frames(clips, length, layout=layout)
    video = x.unflatten(0, (clips, length)).transpose(1, 2)
    expected = F.conv3d(
        video, conv.weight[..., None, None], conv.bias, stride=(stride, 1, 1), padding=(1, 0, 0)
    )
    torch.testing.assert_close(conv(x, clips), expected.transpose(1, 2).flatten(0, 1))


@settings(max_examples=20, deadline=None)
@given(clips=st.integers(1, 3), pairs=st.integers(1, 5), layout=st.sampled_from(LAYOUTS))
def test_resampling_is_duplication_or_thinning_then_a_convolution(clips, pairs, layout):
    down, up = TemporalDown(6).double(), TemporalUp(6).double()
    x = frames(clips, 2 * pairs, layout=layout)
    assert torch.equal(down(x, clips), x[::2])
    torch.testing.assert_close(up(x[::2], clips), x[::2].repeat_interleave(2, 0), rtol=0, atol=1e-15)

    randomise(up)
    video = x.repeat_interleave(2, 0).unflatten(0, (clips, -1)).transpose(1, 2)
    expected = F.conv3d(video, up.conv.weight[..., None, None], up.conv.bias, padding=(1, 0, 0))
    torch.testing.assert_close(up(x, clips), expected.transpose(1, 2).flatten(0, 1))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "block",
    [
        TemporalConvBlock(6, 4),
        TemporalAttentionBlock(6, 4, layers=2),
        TemporalAttentionBlock(6, 4, layers=2, modulation=PlacedModulation),
    ],
    ids=["convolution", "attention", "placed attention"],
)
def test_fresh_blocks_are_the_identity_whatever_the_embedding(block, layout):
    x = frames(2, 5, layout=layout)
    assert torch.equal(block.double()(x, torch.randn(2, 5, 4, dtype=torch.float64)), x)


def test_convolution_sees_one_frame_and_one_pixel_around():
    block = randomise(TemporalConvBlock(1, 4))
    emb = torch.randn(1, 7, 4, dtype=torch.float64)
    x = torch.randn(7, 1, 9, 9, dtype=torch.float64)
    # the norm looks at a whole frame; a fixed one shows the kernels' reach alone
    block.norm = torch.nn.Identity()
    y = x.clone()
    y[3, :, 4, 4] += 1
    changed = (block(x, emb) != block(y, emb)).squeeze(1).nonzero()
    assert changed.amin(0).tolist() == [2, 3, 3]
    assert changed.amax(0).tolist() == [4, 5, 5]


def test_clips_and_pixels_do_not_mix_in_attention():
    block = randomise(TemporalAttentionBlock(6, 4, layers=1))
    emb = torch.randn(2, 5, 4, dtype=torch.float64)
    x = frames(2, 5)
    y = x.clone()
    y[1, :, 2, 3] += torch.arange(6)
    changed = (block(x, emb) - block(y, emb)).abs().amax(1) > 1e-12
    assert changed[:5, 2, 3].all()
    changed[:5, 2, 3] = False
    assert not changed.any()


@pytest.mark.parametrize("modulation", [Modulation, PlacedModulation])
def test_attention_is_that_of_pytorch(modulation):
    block = randomise(TemporalAttentionBlock(6, 4, layers=1, modulation=modulation))
    layer, emb, x = block.layers[0], torch.randn(1, 5, 4, dtype=torch.float64), frames(1, 5)
    tokens = x.permute(2, 3, 0, 1).flatten(0, 1)
    scale, shift = (each[0] for each in layer.modulation_attention(emb, 3, 5))
    inputs = layer.norm_attention(tokens) * scale + shift
    inputs = inputs + frame_positions(torch.arange(5), 6, like=inputs)
    attended, _ = F.multi_head_attention_forward(
        *[inputs.transpose(0, 1)] * 3,
        embed_dim_to_check=6,
        num_heads=layer.heads,
        in_proj_weight=layer.qkv.weight,
        in_proj_bias=layer.qkv.bias,
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=layer.out.weight,
        out_proj_bias=layer.out.bias,
    )
    tokens = tokens + attended.transpose(0, 1)
    scale, shift = (each[0] for each in layer.modulation_feed(emb, 3, 5))
    tokens = tokens + layer.feed_out(F.gelu(layer.feed_in(layer.norm_feed(tokens) * scale + shift)))
    expected = tokens.unflatten(0, (3, 5)).permute(2, 3, 0, 1)
    torch.testing.assert_close(block(x, emb), expected)


def test_a_placed_modulation_is_a_plane_and_a_bowl_over_the_picture():
    modulation = randomise(PlacedModulation(4, 6))
    emb = torch.randn(2, 3, 4, dtype=torch.float64)
    scale, shift = (each.unflatten(1, (5, 7)) for each in modulation(emb, 5, 7))  # b h w t c
    for map_ in (scale, shift):
        middle, left, right, top, bottom = (
            map_[:, y, x] for y, x in ((2, 3), (2, 0), (2, 6), (0, 3), (4, 3))
        )
        assert not torch.allclose(left, right) and not torch.allclose(top, bottom)
        torch.testing.assert_close(left + right, top + bottom)  # the slopes cancel, the bowl is round
        assert not torch.allclose(left + right, 2 * middle)
    (row,) = modulation(emb, 1, 1)[0].unbind(1)
    torch.testing.assert_close(row, scale[:, 2, 3])


def test_one_word_of_many_changes_what_a_frames_place_means():
    position = randomise(FramePosition(16, 8))
    emb, context = torch.randn(1, 16, dtype=torch.float64), torch.randn(1, 5, 8, dtype=torch.float64)
    other = context.clone()
    other[:, 3] = torch.randn(8)
    change = position(emb, other, torch.arange(40)[None]) - position(emb, context, torch.arange(40)[None])
    assert (change.norm(dim=-1) > 1e-3).all()
    assert not torch.allclose(change[:, 0], change[:, 39], atol=1e-2)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_slices_change_nothing_but_are_taken_only_without_gradients(layout, monkeypatch):
    x, scale = frames(1, 7, layout=layout), torch.randn(7, 6, dtype=torch.float64)
    seen = []

    def function(x, scale):
        seen.append(len(x))
        return x * scale[..., None, None]

    whole = in_slices(function, x, scale)
    monkeypatch.setattr(temporal, "SLICE_ELEMENTS", 3 * x[0].numel() + 1)
    with torch.no_grad():
        sliced = in_slices(function, x, scale)
    in_slices(function, x, scale)
    assert seen == [7, 3, 3, 1, 7]
    assert torch.equal(sliced, whole) and sliced.is_contiguous(memory_format=layout)


def test_positions_tell_frames_apart_and_do_not_depend_on_length():
    positions = frame_positions(torch.arange(320), 16, like=torch.zeros(1, dtype=torch.float64))
    distances = torch.cdist(positions, positions) + torch.eye(320)
    assert distances.min() > 0.05
    assert torch.equal(positions[:80], frame_positions(torch.arange(80), 16, like=positions))
