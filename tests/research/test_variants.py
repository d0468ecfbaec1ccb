"""What is trained alike, from a tiny model."""

from __future__ import annotations

import pytest
import torch

from lumiere.errors import InputError
from lumiere.research.baselines import variants
from lumiere.research.baselines.untrained import frame_by_frame
from lumiere.research.denoising_cost import count_operations


@pytest.fixture(scope="module")
def long_pipe(make_pipe):
    return make_pipe(frames=80)


def prediction(pipe, sample: torch.Tensor) -> torch.Tensor:
    context = pipe.text_encoder(["a frog"])
    with torch.no_grad():
        return pipe.unet(sample, 500, context, return_dict=False)[0]


def test_from_nothing_they_begin_as_the_image_model_unless_at_random(long_pipe) -> None:
    still = torch.randn(1, 48, 1, 8, 8).expand(-1, -1, 8, -1, -1)
    alone, known = prediction(frame_by_frame(long_pipe), still), variants.variants(long_pipe)
    for name in (variants.IDENTITY, variants.RANDOM):
        made = prediction(known[name].start(long_pipe), still)
        assert torch.allclose(made, alone, atol=1e-5) == (name == variants.IDENTITY)


def test_the_others_begin_with_the_layers_that_fit(long_pipe) -> None:
    sample, known = torch.randn(1, 48, 8, 8, 8), variants.variants(long_pipe)
    assert torch.equal(
        prediction(known[variants.ONE_PASS].start(long_pipe), sample), prediction(long_pipe, sample)
    )
    trained = long_pipe.unet.temporal_state_dict()
    for name, lacking in ((variants.NO_RESAMPLING, "resample"), (variants.CONVOLUTION, "layers")):
        own = known[name].start(long_pipe).unet.temporal_state_dict()
        assert all(torch.equal(own[key], trained[key]) for key in own.keys() & trained.keys())
        assert all(lacking in key for key in trained.keys() - own.keys())


def test_a_keyframe_is_where_it_is_in_the_clip(long_pipe) -> None:
    slow = variants.variants(long_pipe)[variants.KEYFRAMES[5]].start(long_pipe)
    seen = {}
    for pipe in (slow, long_pipe):
        pipe.unet.temporal.position.register_forward_hook(lambda _, given, __: seen.update(places=given[2]))
        prediction(pipe, torch.randn(1, 48, 16, 8, 8))
        seen[pipe is slow] = seen.pop("places").flatten().tolist()
    assert seen[False] == list(range(16)) and seen[True] == list(range(0, 80, 5))
    assert slow.config["fps"] * 5 == long_pipe.config["fps"] and slow.config["frames"] == 13


def test_frame_by_frame_no_frame_sees_another(long_pipe) -> None:
    alone, sample = frame_by_frame(long_pipe), torch.randn(1, 48, 5, 8, 8)
    changed = sample.clone()
    changed[:, :, 3] += 1
    one, other = prediction(alone, sample), prediction(alone, changed)
    kept = [0, 1, 2, 4]
    assert torch.equal(one[:, :, kept], other[:, :, kept]) and not torch.equal(one, other)


def test_the_given_model_is_left_as_it_was(long_pipe) -> None:
    before = {name: value.clone() for name, value in long_pipe.unet.state_dict().items()}
    variants.variants(long_pipe)[variants.RANDOM].start(long_pipe)
    assert all(torch.equal(value, before[name]) for name, value in long_pipe.unet.state_dict().items())


def test_all_train_for_as_many_operations(long_pipe) -> None:
    known, steps = variants.variants(long_pipe), variants.steps_of(long_pipe, 1000)
    context = long_pipe.text_encoder([""])

    def operations(name: str) -> int:
        variant = known[name]
        net, sample = variant.start(long_pipe).unet, torch.zeros(1, 48, variant.frames, 8, 8)
        return variant.batch * count_operations(lambda: net(sample, 500, context))

    budget = 1000 * operations(variants.ONE_PASS)
    spent = {name: steps[name] * operations(name) / budget for name in known}
    halves = [*variants.KEYFRAMES.values(), *variants.BETWEEN.values(), variants.IDENTITY, variants.RANDOM]
    assert [spent.pop(name) for name in halves] == pytest.approx([0.5] * 6, rel=0.01)
    assert list(spent.values()) == pytest.approx([1.0] * 3, rel=0.01)


def test_keyframes_span_whole_segments(long_pipe, make_pipe) -> None:
    known = variants.variants(long_pipe)
    assert [known[name].frames for name in variants.KEYFRAMES.values()] == [13, 7]
    assert [known[name].frames for name in variants.BETWEEN.values()] == [16, 31]
    assert variants.length(long_pipe) == 61 and variants.length(make_pipe(frames=31)) == 31
    with pytest.raises(InputError, match="clips of 30 frames; keyframes need 31"):
        variants.variants(make_pipe(frames=30))
