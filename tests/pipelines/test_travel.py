"""Prompts that change over time: which frame gets which text, and that it reaches every level of the net."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lumiere import Clip, conditions
from lumiere.errors import InputError
from lumiere.models.blocks import FrameConditions
from lumiere.pipelines.travel import Travel
from tiny_nets import tiny_net


def test_text_and_mappings():
    text = Travel.of("40-60: a flower | 0: a seed")
    assert text == Travel.of({0: "a seed", (40, 60): "a flower"})
    assert str(text) == "0: a seed | 40-60: a flower"
    for ordinary in ("a cat", "16:9 picture", "a cat | a dog", "0: a seed", "0: a seed | later", ["a"], None):
        assert Travel.of(ordinary) is None


@pytest.mark.parametrize(
    ("prompt", "match"),
    [
        ({}, "the prompt is empty"),
        ({0: "a", -4: "b"}, "for frame -4; give a number from 0"),
        ({0: "a", "4": "b"}, "for frame '4'; give a number from 0"),
        ({0: "a", 4: None}, "the prompt for frame 4 is None"),
        ("0: a seed | 3:", "the prompt for frame 3 is empty"),
        ("0-5: a seed | 5: a flower", "two prompts are for frame 5"),
        ("5-2: a seed | 9: a flower", "frames 5-2; give the lower one first"),
        ("0: a seed | 6: a flower", "for frame 6; the clip has 6 frames, 0 to 5"),
    ],
)
def test_bad_travel(pipe, prompt, match):
    with pytest.raises(InputError, match=match):
        pipe(prompt, num_frames=6, seed=0)


def test_frames_between_are_interpolated():
    states = torch.tensor([0.0, 1.0, 3.0])[:, None, None]
    travel = Travel.of({1: "a", (3, 4): "b", 6: "c"})
    expected = torch.tensor([0, 0, 0.5, 1, 1, 2, 3, 3])
    torch.testing.assert_close(travel.contexts(states, 8).flatten(), expected)
    looped = travel.contexts(states, 10, loop=True).flatten()
    torch.testing.assert_close(looped[7:], torch.tensor([2.4, 1.8, 1.2]))
    torch.testing.assert_close(looped[:2], torch.tensor([0.6, 0.0]))
    torch.testing.assert_close(
        travel.shifted(2).contexts(states, 6).flatten(), travel.contexts(states, 8).flatten()[2:]
    )


@pytest.fixture(scope="module")
def net():
    return tiny_net()


@pytest.mark.parametrize("frames", [5, 8])
@torch.no_grad()
def test_contexts_of_equal_frames_are_the_clips(net, frames):
    x, text = torch.randn(2, 48, frames, 8, 8), torch.randn(2, 8, 16)
    by_clip = net(x, torch.tensor([3, 700]), text).sample
    by_frame = net(x, torch.tensor([3, 700]), text[:, None].expand(-1, frames, -1, -1)).sample
    torch.testing.assert_close(by_frame, by_clip)


def test_levels_get_the_text_of_the_frames_that_they_keep():
    emb, text = torch.randn(2, 8, 3), torch.randn(2, 8, 5, 4)
    conditions = FrameConditions(emb, text, emb)
    for stride in (1, 2, 4):
        x = torch.empty(2 * 8 // stride, 1, 1, 1)
        assert torch.equal(conditions.context(x).unflatten(0, (2, -1)), text[:, ::stride])
        assert torch.equal(conditions.emb(x).unflatten(0, (2, -1)), emb[:, ::stride])
        assert torch.equal(conditions.placed(x), emb[:, ::stride])


@torch.no_grad()
def test_text_of_each_frame_passes_through_resampling(net):
    """Of two halves with texts of their own, the outer frames are those of clips of the one text."""
    x, texts = torch.randn(1, 48, 16, 8, 8), torch.randn(2, 8, 16)
    text = texts.repeat_interleave(8, 0)[None]
    both = net(x, 500, text).sample
    first, second = (net(x, 500, each[None]).sample for each in texts)
    near = (both - first).flatten(3).norm(dim=-1).mean((0, 1)) < (both - second).flatten(3).norm(dim=-1).mean(
        (0, 1)
    )
    assert near[:6].all() and not near[10:].any()


def test_contexts_that_do_not_fit(net):
    with pytest.raises(InputError, match="text contexts for 7 frames; a clip has 8"):
        net(torch.randn(1, 48, 8, 8, 8), 1, torch.randn(1, 7, 8, 16))


def test_a_prompt_of_each_frame_is_a_clip_of_its_own_settings(pipe):
    travel = "0: a seed | 8: a flower"
    clip = pipe(travel, num_frames=9, seed=1)
    again = pipe({0: "a seed", 8: "a flower"}, num_frames=9, seed=1)
    np.testing.assert_array_equal(clip.frames, again.frames)
    assert clip.metadata["prompt"] == travel and "regions" not in clip.metadata
    alone = pipe("a seed", num_frames=9, seed=1)
    difference = np.abs(clip.frames.astype(int) - alone.frames).mean((1, 2, 3))
    assert difference[-1] > 1 and difference[-1] > difference[0]


def test_one_prompt_for_all_frames_is_that_prompt(pipe):
    clip = pipe([{0: "a seed", 5: "a seed"}, "a cat"], num_frames=6, seed=1, batch_size=2)
    alone = pipe(["a seed", "a cat"], num_frames=6, seed=1, batch_size=2)
    for travelled, plain in zip(clip, alone, strict=True):
        assert np.abs(travelled.frames.astype(int) - plain.frames).max() <= 1


def test_windows_get_the_text_of_their_frames(make_pipe, monkeypatch):
    pipe = make_pipe(frames=4, guidance=2.0)
    seen = []
    pipe._probe()
    denoise = pipe._denoise
    monkeypatch.setattr(
        pipe,
        "_denoise",
        lambda x, t, context, **rest: (seen.append(context), denoise(x, t, context, **rest))[1],
    )
    pipe({0: "a", 7: "b"}, num_frames=8, num_inference_steps=1, seed=0)
    a, b = pipe.text_encoder(["a", "b"])
    expected = torch.stack([torch.lerp(a, b, frame / 7) for frame in range(8)])
    assert [len(each) for each in seen] == [2, 2, 2]  # guidance doubles the batch of each of three windows
    for start, each in zip((0, 2, 4), seen, strict=True):
        torch.testing.assert_close(each[1], expected[start : start + 4])
        torch.testing.assert_close(each[0], pipe.text_encoder([""]).expand(4, -1, -1))


def test_with_a_condition_and_extended(make_pipe):
    pipe = make_pipe(conditioned=True, frames=6)
    picture = np.full((32, 32, 3), 90, np.uint8)
    clip = pipe("0: a | 5: b", condition=conditions.from_image(picture), num_frames=6, seed=1)
    assert isinstance(clip, Clip) and (clip.frames[0] == 90).all()
    longer = pipe.extend(clip, 14, "0: a | 13: b", known_frames=2, seed=1)
    assert len(longer) == 14 and longer.metadata["prompt"] == "0: a | 13: b"
    with pytest.raises(InputError, match="for frame 14; the clip has 14 frames"):
        pipe.extend(clip, 14, "0: a | 14: b", known_frames=2, seed=1)


def test_regions_and_travel_exclude_each_other(pipe):
    with pytest.raises(InputError, match=r"regions is 'a \| b', but the prompt changes over time"):
        pipe("0: a | 3: b", regions="a | b", num_frames=4)
