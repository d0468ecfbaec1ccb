from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler, LCMScheduler

from lumiere.diffusion.noise import randn
from lumiere.diffusion.resampling import with_noise_back
from lumiere.diffusion.sampling import make_scheduler, sample
from lumiere.errors import InputError

CONFIG = DDIMScheduler(beta_schedule="linear", beta_start=0.00085, beta_end=0.012, clip_sample=False).config
SCHEDULERS = {
    "ddim": make_scheduler("ddim", CONFIG),
    "dpm++": make_scheduler("dpm++", CONFIG),
    "euler": make_scheduler("euler", CONFIG),
    "lcm": LCMScheduler.from_config(CONFIG),
}


@pytest.mark.parametrize("step", [0, 2, 4])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_noise_is_that_of_the_step_before(name, step):
    scheduler = SCHEDULERS[name]
    scheduler.set_timesteps(6)
    random = torch.Generator().manual_seed(0)
    clean = torch.full((100_000,), 2.0)
    noise, again = (randn(clean.shape, random, clean) for _ in range(2))
    times = scheduler.timesteps
    after = scheduler.add_noise(clean, noise, times[step + 1 : step + 2])
    expected = scheduler.add_noise(clean, noise, times[step : step + 1])
    made = with_noise_back(scheduler, step, after, again)
    assert abs(made.mean() - expected.mean()) < 0.02 * expected.std()
    assert abs(made.std() - expected.std()) < 0.02 * expected.std()


@pytest.mark.parametrize("name", SCHEDULERS)
def test_each_step_is_taken_again(name):
    """Whatever is drawn again, a denoiser that knows the sample still finds it."""
    scheduler, clean, times = SCHEDULERS[name], torch.linspace(-1, 1, 60).view(1, 3, 4, 5, 1), []

    def denoiser(x, t):
        times.append(int(t))
        power = scheduler.alphas_cumprod[int(t)]
        return (x - power.sqrt() * clean) / (1 - power).sqrt()

    def made(**options):
        times.clear()
        random = torch.Generator().manual_seed(0)
        return sample(denoiser, randn(clean.shape, random, clean), scheduler, 4, generator=random, **options)

    once = made()
    plain = list(times)
    thrice = made(resample=3)
    assert times == [t for t in plain for _ in range(3)]
    torch.testing.assert_close(once, clean, atol=2e-2, rtol=0)
    torch.testing.assert_close(thrice, clean, atol=2e-2, rtol=0)
    drawn = []
    made(resample=2, more_noise=lambda: drawn.append(1) or torch.zeros_like(clean))
    assert len(drawn) == 4


def test_samplers_that_cannot_resample_are_refused():
    noise = torch.zeros(1, 3, 1, 2, 2)
    for scheduler, resample, match in (
        (
            HeunDiscreteScheduler.from_config(CONFIG),
            2,
            "the steps of a HeunDiscreteScheduler cannot be taken",
        ),
        (EulerDiscreteScheduler.from_config(CONFIG), 0, "resample is 0; give at least 1"),
    ):
        with pytest.raises(InputError, match=match):
            sample(lambda x, t: x, noise, scheduler, 2, resample=resample)
