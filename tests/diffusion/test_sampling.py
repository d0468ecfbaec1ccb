from __future__ import annotations

import diffusers
import pytest
import torch
from diffusers import EulerAncestralDiscreteScheduler

from lumiere.diffusion.parametrization import scales
from lumiere.diffusion.sampling import (
    SCHEDULERS,
    StopSampling,
    altered,
    inverted_noise,
    make_scheduler,
    noise_schedule,
    sample,
    scheduler_name,
)
from lumiere.errors import InputError
from lumiere.io import components

SHAPE = (2, 3, 5, 4, 4)


def perfect_denoiser(clean, seen=None):
    """Predicts v for the one clean sample that there is, from x alone."""
    alphas_cumprod = noise_schedule().alphas_cumprod

    def denoiser(x, t):
        if seen is not None:
            seen.append((float(t), x))
        alpha = alphas_cumprod[int(t)].sqrt()
        sigma = (1 - alphas_cumprod[int(t)]).sqrt()
        noise = (x - alpha * clean) / sigma
        return alpha * noise - sigma * clean

    return denoiser


def seeded(shape=SHAPE, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_schedule_ends_in_pure_noise():
    schedule = noise_schedule()
    assert schedule.alphas_cumprod[-1] == 0
    assert schedule.alphas_cumprod[0] > 0.999


# 61 and 103 are among the numbers of steps for which diffusers' trailing spacing overshoots.
@pytest.mark.parametrize("steps", [1, 2, 7, 20, 50, 61, 103])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_perfect_denoiser_is_recovered(name, steps):
    clean = 3 * seeded(seed=1)  # outside [-1, 1]: nothing may clip it
    seen = []
    out = sample(
        perfect_denoiser(clean, seen), seeded(), make_scheduler(name, noise_schedule().config), steps
    )
    # A scheduler that stands in for an infinite noise level with a ratio of 4096 is off by 1 / 4096.
    torch.testing.assert_close(out, clean, atol=2e-3, rtol=0)
    timesteps = [t for t, _ in seen]
    assert len(timesteps) == steps
    assert timesteps[0] == 999
    assert timesteps == sorted(set(timesteps), reverse=True) and timesteps[-1] >= 0


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_noise_level_matches_the_timestep(name):
    seen = []
    sample(
        perfect_denoiser(torch.zeros(1, 4, 64, 64), seen),
        seeded((1, 4, 64, 64)),
        make_scheduler(name, noise_schedule().config),
        20,
    )
    alphas_cumprod = noise_schedule().alphas_cumprod
    for t, x in seen:
        assert float(x.std()) == pytest.approx(float((1 - alphas_cumprod[int(t)]).sqrt()), rel=0.03)


def test_schedulers_agree_in_the_limit_of_many_steps():
    # A smooth denoiser with no closed form: what is solved is an ODE, whose solution is one.
    def denoiser(x, t):
        return torch.tanh(x) * 0.5 - x * (1 - float(t) / 1000)

    outs = [sample(denoiser, seeded(), make_scheduler(n, noise_schedule().config), 250) for n in SCHEDULERS]
    for other in outs[1:]:
        torch.testing.assert_close(other, outs[0], atol=0.02, rtol=0.02)


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("other", SCHEDULERS)
def test_a_scheduler_can_be_made_of_any_others_configuration(name, other):
    made = make_scheduler(name, make_scheduler(other, noise_schedule().config).config)
    assert scheduler_name(made) == name
    assert made.config.prediction_type == "v_prediction"
    assert made.config.rescale_betas_zero_snr and made.config.timestep_spacing == "trailing"


def test_ddim_takes_diffusers_own_ddim_steps():
    def denoiser(x, t):
        return torch.tanh(x) * 0.5 - x * (1 - float(t) / 1000)

    theirs = sample(denoiser, seeded(), noise_schedule(), 20)
    ours = sample(denoiser, seeded(), make_scheduler("ddim", noise_schedule().config), 20)
    torch.testing.assert_close(ours, theirs, atol=5e-3, rtol=5e-3)


def test_callback_sees_each_step_and_may_replace_what_is_sampled():
    steps = []

    def callback(step, t, x):
        steps.append((step, int(t), x.shape))
        return torch.zeros_like(x) if step == 3 else None

    out = sample(lambda x, t: torch.zeros_like(x), seeded(), noise_schedule(), 4, callback=callback)
    assert [s[0] for s in steps] == [0, 1, 2, 3]
    assert [s[1] for s in steps] == [999, 749, 499, 249]
    assert not out.any()


def test_callback_may_stop_the_sampling():
    calls = []

    def denoiser(x, t):
        calls.append(int(t))
        return torch.zeros_like(x)

    def callback(step, t, x):
        if step == 1:
            raise StopSampling

    sample(denoiser, seeded(), noise_schedule(), 10, callback=callback)
    assert calls == [999, 899]


def test_generator_feeds_schedulers_that_add_noise():
    scheduler = EulerAncestralDiscreteScheduler.from_config(noise_schedule().config)
    denoiser = perfect_denoiser(seeded(seed=1))

    def noisy_state(seed):
        states = []
        sample(
            denoiser,
            seeded(),
            scheduler,
            5,
            generator=torch.Generator().manual_seed(seed),
            callback=lambda step, t, x: states.append(x),
        )
        return states[2]

    assert torch.equal(noisy_state(7), noisy_state(7))
    assert not torch.equal(noisy_state(7), noisy_state(8))


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_impossible_numbers_of_steps_are_refused(steps):
    with pytest.raises(InputError, match=rf"steps is {steps}; give a number from 1 to 1000"):
        sample(lambda x, t: x, seeded(), noise_schedule(), steps)


def test_unknown_scheduler_names_the_known_ones():
    with pytest.raises(InputError, match=r"'heun'; choose one of ddim, dpm\+\+, euler"):
        make_scheduler("heun", noise_schedule().config)


@pytest.mark.parametrize("strength", [0.003, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_sampling_begins_where_the_strength_says(name, strength):
    clean, start, noise, seen = seeded(seed=1), seeded(seed=2), seeded(), []
    scheduler = make_scheduler(name, noise_schedule().config)
    out = sample(perfect_denoiser(clean, seen), noise, scheduler, 4, start=start, strength=strength)
    torch.testing.assert_close(out, clean, atol=2e-3, rtol=0)
    assert len(seen) == min(4, 1000 * strength)
    t, x = seen[0]
    assert t == round(1000 * strength) - 1
    alpha = noise_schedule().alphas_cumprod[int(t)]
    begun = alpha.sqrt() * start + (1 - alpha).sqrt() * noise
    torch.testing.assert_close(x, begun, atol=2e-3, rtol=0)


def test_a_scheduler_that_edited_samples_from_noise_again():
    scheduler, noise = make_scheduler("dpm++", noise_schedule().config), seeded()
    before = sample(perfect_denoiser(noise * 2), noise, scheduler, 3)
    sample(perfect_denoiser(noise), noise, scheduler, 3, start=noise, strength=0.5)
    assert torch.equal(sample(perfect_denoiser(noise * 2), noise, scheduler, 3), before)


def test_a_scheduler_that_cannot_begin_in_the_middle_says_so():
    with pytest.raises(InputError, match="EulerAncestralDiscreteScheduler cannot begin in the middle"):
        scheduler = EulerAncestralDiscreteScheduler.from_config(noise_schedule().config)
        sample(perfect_denoiser(seeded()), seeded(), scheduler, 3, start=seeded(), strength=0.5)


@pytest.mark.parametrize("strength", [0.0, -1.0, 1.01])
def test_a_strength_is_a_share(strength):
    scheduler = make_scheduler("ddim", noise_schedule().config)
    with pytest.raises(InputError, match=rf"strength is {strength}; give a number over 0, up to 1"):
        sample(perfect_denoiser(seeded()), seeded(), scheduler, 3, start=seeded(), strength=strength)
    with pytest.raises(InputError, match=rf"strength is {strength}; give a number over 0, up to 1"):
        inverted_noise(perfect_denoiser(seeded()), seeded(), scheduler, 3, strength)


@pytest.mark.parametrize("strength", [0.5, 0.9])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_inverted_noise_leads_back_to_its_sample(name, strength):
    # Of samples whose values are normal with a deviation of 1/2, the best prediction is linear in x.
    alphas_cumprod = noise_schedule().alphas_cumprod

    def denoiser(x, t):
        power = alphas_cumprod[int(t)]
        clean = power.sqrt() * x / 4 / (power / 4 + 1 - power)
        noise = (x - power.sqrt() * clean) / (1 - power).sqrt().clamp(min=1e-6)
        return power.sqrt() * noise - (1 - power).sqrt() * clean

    clean, scheduler = seeded() / 2, make_scheduler(name, noise_schedule().config)
    noise = inverted_noise(denoiser, clean, scheduler, 100, strength)
    back = sample(denoiser, noise, scheduler, 100, start=clean, strength=strength)
    torch.testing.assert_close(back, clean, atol=0.1, rtol=0)
    assert not torch.allclose(
        sample(denoiser, seeded(seed=1), scheduler, 100, start=clean, strength=strength), clean, atol=0.3
    )


LISTED = [(name, {}) for name in components.SCHEDULERS] + [
    ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"})
]


def listed_scheduler(name, options):
    return getattr(diffusers, name).from_config({**noise_schedule().config, **options})


@pytest.mark.parametrize(("name", "options"), LISTED)
def test_a_seed_fixes_every_scheduler_alone_and_in_a_batch(name, options):
    def sampled(seeds):
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        noise = torch.cat([torch.randn(1, 3, 5, 4, 4, generator=each) for each in generators])
        denoiser = perfect_denoiser_of_any_time(noise.sin())
        return sample(denoiser, noise, listed_scheduler(name, options), 20, generator=generators)

    alone = sampled([5])
    torch.manual_seed(1)
    assert torch.equal(sampled([5]), alone)
    assert torch.equal(sampled([3, 5])[1:], alone)


def perfect_denoiser_of_any_time(clean):
    alphas_cumprod = noise_schedule().alphas_cumprod

    def denoiser(x, t):
        a, s = scales(alphas_cumprod[round(float(t))])
        return (a * x - clean) / s

    return denoiser


@pytest.mark.parametrize("name", ["HeunDiscreteScheduler", "KDPM2DiscreteScheduler"])
def test_a_noise_level_near_infinity_costs_no_digits(name):
    def denoiser(x, t):
        return 1e-7 * x.sin() - x  # v; rounding differs between these two by what a kernel's would

    def other(x, t):
        return -x

    scheduler = listed_scheduler(name, {})
    out = sample(denoiser, seeded(), scheduler, 20)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, sample(other, seeded(), scheduler, 20), atol=1e-4, rtol=0)


def test_a_prediction_that_a_scheduler_does_not_know_is_refused():
    scheduler = listed_scheduler("KDPM2DiscreteScheduler", {"prediction_type": "sample"})
    with pytest.raises(InputError, match="KDPM2DiscreteScheduler takes no prediction of type 'sample'"):
        sample(lambda x, t: x, seeded(), scheduler, 5)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("KDPM2AncestralDiscreteScheduler", 4),
        ("LCMScheduler", 61),
        ("PNDMScheduler", 2),
        ("HeunDiscreteScheduler", 61),
    ],
)
def test_steps_that_a_scheduler_cannot_take_are_refused_before_sampling(name, steps):
    with pytest.raises(InputError, match=f"{name} cannot take {steps} steps here"):
        sample(lambda x, t: 1 / 0, seeded(), listed_scheduler(name, {}), steps)


def test_a_step_that_is_not_finite_stops_and_says_which():
    def denoiser(x, t):
        return x * (float("nan") if t < 600 else 0)

    with pytest.raises(InputError, match=r"not finite after step 3 of 4 \(DDIMScheduler, timestep 499\)"):
        sample(denoiser, seeded(), noise_schedule(), 4)
    with pytest.raises(InputError, match="not finite after step"):
        inverted_noise(denoiser, seeded(), noise_schedule(), 4)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("FlowMatchEulerDiscreteScheduler", {}),
        ("EDMEulerScheduler", {}),
        ("EDMDPMSolverMultistepScheduler", {}),
        ("DPMSolverMultistepScheduler", {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}),
        ("UniPCMultistepScheduler", {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}),
    ],
)
def test_schedulers_of_edm_and_flow_matching_are_refused_by_name(name, options):
    scheduler = getattr(diffusers, name)(**options)
    with pytest.raises(InputError, match=rf"{name}.* is not for models here"):
        sample(lambda x, t: x, seeded(), scheduler, 3)
    if not options:
        with pytest.raises(InputError, match="EDM and of flow matching cannot be used"):
            make_scheduler("dpm++", scheduler.config)


def test_a_scheduler_of_ones_own_is_taken():
    class Own(diffusers.DDIMScheduler):
        pass

    sample(lambda x, t: torch.zeros_like(x), seeded(), Own.from_config(noise_schedule().config), 3)


def test_an_option_holds_where_the_configuration_had_the_default():
    theirs = diffusers.DPMSolverMultistepScheduler(beta_end=0.012)
    assert make_scheduler("ddim", theirs.config).config.solver_order == 1
    other = diffusers.DDIMScheduler.from_config(altered(theirs.config, {"beta_start": 0.001}))
    assert (other.config.beta_start, other.config.beta_end) == (0.001, 0.012)
