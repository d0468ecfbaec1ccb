"""One noised sample, three predictions of it: each says the same."""

import pytest
import torch

from lumiere.diffusion.parametrization import (
    PREDICTION_TYPES,
    add_noise,
    from_sample,
    scales,
    signal_power,
    target,
    to_sample,
)
from lumiere.diffusion.sampling import noise_schedule
from lumiere.errors import InputError

ALPHAS = noise_schedule().alphas_cumprod.double()


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize("t", [torch.tensor(400), torch.tensor([3, 900])])
def test_each_prediction_leads_to_the_clean_sample_and_back(prediction_type, t):
    clean, noise = torch.randn(2, 2, 3, 4, dtype=torch.float64).unbind()
    a, s = scales(signal_power(ALPHAS, t, clean))
    torch.testing.assert_close(a**2 + s**2, torch.ones_like(a))
    x = add_noise(clean, noise, a, s)
    predicted = target(clean, noise, a, s, prediction_type)
    torch.testing.assert_close(to_sample(predicted, x, a, s, prediction_type), clean)
    torch.testing.assert_close(from_sample(clean, x, a, s, prediction_type), predicted)


def test_diffusers_calls_the_predictions_the_same():
    schedule = noise_schedule()
    clean, noise = torch.randn(2, 1, 3, 4).unbind()
    t = torch.tensor([500])
    a, s = scales(signal_power(schedule.alphas_cumprod, t, clean))
    torch.testing.assert_close(add_noise(clean, noise, a, s), schedule.add_noise(clean, noise, t))
    torch.testing.assert_close(
        target(clean, noise, a, s, "v_prediction"), schedule.get_velocity(clean, noise, t)
    )


def test_pure_noise_has_a_velocity_and_a_sample():
    clean, noise = torch.randn(2, 1, 3).unbind()
    a, s = scales(signal_power(ALPHAS, torch.tensor([999]), clean))
    assert a == 0 and torch.equal(add_noise(clean, noise, a, s), noise)
    torch.testing.assert_close(from_sample(clean, noise, a, s, "v_prediction"), -clean)


def test_an_unknown_prediction_is_refused():
    x = torch.ones(1)
    for function in (target, to_sample, from_sample):
        with pytest.raises(InputError, match="unknown prediction type 'flow'; choose one of v_prediction"):
            function(x, x, x, x, "flow")
