from __future__ import annotations

import pytest
import torch

from lumiere.diffusion.guidance import check_interval, classifier_free
from lumiere.errors import InputError

B, L, D = 3, 4, 5


@pytest.fixture
def inputs():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(B, 2, 6, 4, 4, generator=g)
    context = torch.randn(B, L, D, generator=g)
    uncond = torch.randn(1, L, D, generator=g)
    return x, context, uncond


class Recorder:
    """A denoiser that mixes the context into every item, and remembers the batches that it was given."""

    def __init__(self):
        self.batches = []

    def __call__(self, x, t, context):
        self.batches.append(len(x))
        assert len(context) == len(x)
        return torch.sin(x * t) + context.mean((1, 2))[:, None, None, None, None] * x


def two_calls(denoise, x, t, context, uncond, scale):
    given = denoise(x, t, context)
    without = denoise(x, t, uncond.expand_as(context))
    return (1 - scale) * without + scale * given, given


@pytest.mark.parametrize("scale", [1.5, 7.0])
def test_equals_the_two_call_formula_in_one_evaluation(inputs, scale):
    x, context, uncond = inputs
    t = torch.tensor(3)
    denoise = Recorder()
    out = classifier_free(denoise, context, uncond, scale)(x, t)
    assert denoise.batches == [2 * B]
    torch.testing.assert_close(out, two_calls(denoise, x, t, context, uncond, scale)[0])


def test_a_negative_context_per_item_stays_with_its_item(inputs):
    x, context, _ = inputs
    uncond = torch.flip(context, (0,)) * 2
    t = torch.tensor(2)
    out = classifier_free(Recorder(), context, uncond, 4.0)(x, t)
    torch.testing.assert_close(out, two_calls(Recorder(), x, t, context, uncond, 4.0)[0])


def test_scale_one_is_the_conditional_denoiser_and_costs_one_evaluation(inputs):
    x, context, uncond = inputs
    t = torch.tensor(3)
    denoise = Recorder()
    out = classifier_free(denoise, context, uncond, 1.0, rescale=0.7)(x, t)
    assert denoise.batches == [B]
    assert torch.equal(out, Recorder()(x, t, context))


@pytest.mark.parametrize("rescale", [0.3, 1.0])
def test_rescale_brings_each_items_deviation_back(inputs, rescale):
    x, context, uncond = inputs
    t = torch.tensor(3)
    plain, given = two_calls(Recorder(), x, t, context, uncond, 6.0)
    out = classifier_free(Recorder(), context, uncond, 6.0, rescale=rescale)(x, t)
    for i in range(B):
        matched = plain[i] * given[i].std() / plain[i].std()
        torch.testing.assert_close(out[i], rescale * matched + (1 - rescale) * plain[i])
        if rescale == 1:
            assert float(out[i].std()) == pytest.approx(float(given[i].std()), rel=1e-5)


@pytest.mark.parametrize("scale", [0.0, 0.5, -2.0, float("nan")])
def test_scales_that_mean_nothing_are_refused(inputs, scale):
    _, context, uncond = inputs
    with pytest.raises(InputError, match=r"guidance is .*; give a number of at least 1"):
        classifier_free(Recorder(), context, uncond, scale)


@pytest.mark.parametrize("rescale", [-0.1, 1.5])
def test_rescale_outside_the_unit_interval_is_refused(inputs, rescale):
    _, context, uncond = inputs
    with pytest.raises(InputError, match="guidance rescale"):
        classifier_free(Recorder(), context, uncond, 2.0, rescale=rescale)


def test_guidance_is_limited_to_an_interval_and_costs_half_outside(inputs):
    x, context, uncond = inputs
    denoise = Recorder()
    guided = classifier_free(denoise, context, uncond, 2.0)
    limited = classifier_free(denoise, context, uncond, 2.0, timesteps=(400.0, 800.0))
    for t, batch in (999, B), (800, 2 * B), (400, 2 * B), (399, B):
        out = limited(x, torch.tensor(t))
        assert denoise.batches[-1] == batch
        conditional, both = denoise(x, torch.tensor(t), context), guided(x, torch.tensor(t))
        torch.testing.assert_close(out, conditional if batch == B else both)


@pytest.mark.parametrize("interval", [(0.8, 0.4), (-0.1, 0.5), (0.5, 1.1), (0.5,), (float("nan"), 1.0)])
def test_an_interval_that_is_none_is_refused(interval):
    with pytest.raises(InputError, match="guidance interval is"):
        check_interval(interval)
