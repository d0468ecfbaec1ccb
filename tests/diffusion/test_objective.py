from __future__ import annotations

import pytest
import torch

from lumiere.diffusion.objective import draw_timesteps, drop_captions, training_loss
from lumiere.diffusion.sampling import noise_schedule

ALPHAS = noise_schedule().alphas_cumprod


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def perfect(clean: torch.Tensor):
    """The true velocity, worked out from x and the clean sample alone."""

    def denoise(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        power = ALPHAS[t].view(-1, *[1] * (x.ndim - 1)).to(x)
        a, s = power.sqrt(), (1 - power).sqrt()
        return (a * x - clean) / s.clamp(min=1e-4)

    return denoise


@pytest.mark.parametrize("shape", [(16, 4, 8, 8), (8, 4, 5, 6, 7)])
def test_the_true_velocity_has_no_loss_and_zero_has_that_of_unit_variance(shape):
    clean = torch.randn(shape, generator=seeded(1), dtype=torch.float64)
    assert training_loss(perfect(clean), clean, ALPHAS, seeded()) < 1e-10
    nothing = training_loss(lambda x, t: torch.zeros_like(x), clean, ALPHAS, seeded())
    assert nothing == pytest.approx(1, abs=0.1)


def test_the_schedule_ends_in_pure_noise_and_its_target_is_the_clean_sample():
    clean = torch.randn(4, 2, 3, 3, generator=seeded(1))
    seen = {}

    def denoise(x, t):
        seen["x"], seen["t"] = x, t
        return -clean

    assert training_loss(denoise, clean, ALPHAS[-1:], seeded()) < 1e-12
    assert seen["t"].tolist() == [0] * 4
    assert abs(torch.corrcoef(torch.stack([seen["x"].flatten(), clean.flatten()]))[0, 1]) < 0.5


def test_a_generator_decides_everything():
    clean = torch.randn(4, 2, 3, 3)
    losses = [training_loss(lambda x, t: x, clean, ALPHAS, seeded(seed)).item() for seed in (3, 3, 4)]
    assert losses[0] == losses[1] != losses[2]


def test_timesteps_fall_one_in_each_part_of_the_schedule():
    t = draw_timesteps(10, 1000, seeded())
    assert (t // 100).tolist() == list(range(10))


@pytest.mark.parametrize("power", [0.6, 1.0])
def test_a_power_below_one_leans_towards_noise(power):
    t = draw_timesteps(4000, 1000, seeded(), power)
    assert t.min() >= 0 and t.max() == 999
    assert t.float().mean() / 1000 == pytest.approx(1 / (1 + power), abs=0.01)  # the mean of u ** power


def test_min_snr_weighs_each_sample_as_in_its_paper():
    clean = torch.randn(64, 2, 4, 4, generator=seeded(1))
    gamma = 2.0
    weighted = training_loss(lambda x, t: torch.zeros_like(x), clean, ALPHAS, seeded(), min_snr_gamma=gamma)
    t = draw_timesteps(64, 1000, generator := seeded())
    power = ALPHAS[t].view(-1, 1, 1, 1)
    noise = torch.randn(clean.shape, generator=generator)
    velocity = power.sqrt() * noise - (1 - power).sqrt() * clean
    snr = (power / (1 - power)).flatten()
    expected = (velocity.square().mean((1, 2, 3)) * snr.clamp(max=gamma) / (snr + 1)).mean()
    assert weighted == pytest.approx(expected.item(), rel=1e-5)


def test_min_snr_of_predicted_noise_keeps_the_noisy_timesteps():
    clean, gamma = torch.randn(64, 2, 4, 4, generator=seeded(1)), 2.0
    weighted = training_loss(
        lambda x, t: torch.zeros_like(x),
        clean,
        ALPHAS,
        seeded(),
        min_snr_gamma=gamma,
        prediction_type="epsilon",
    )
    t = draw_timesteps(64, 1000, generator := seeded())
    noise = torch.randn(clean.shape, generator=generator)
    snr = ALPHAS[t] / (1 - ALPHAS[t])
    weights = torch.where(snr > gamma, gamma / snr, 1.0)
    assert weighted == pytest.approx((noise.square().mean((1, 2, 3)) * weights).mean().item(), rel=1e-5)


def test_captions_are_dropped_as_often_as_asked():
    context, empty = torch.ones(2000, 3, 2), torch.zeros(1, 3, 2)
    dropped = drop_captions(context, empty, 0.1, seeded())
    assert (dropped[:, 0, 0] == 0).float().mean() == pytest.approx(0.1, abs=0.03)
    assert torch.equal(dropped.amin((1, 2)), dropped.amax((1, 2)))  # whole captions
    assert drop_captions(context, empty, 0.0, seeded()) is context


def test_the_sample_may_be_predicted_in_place_of_v():
    clean = torch.randn(4, 3, 2, generator=seeded())
    assert training_loss(lambda x, t: clean, clean, ALPHAS, seeded(), prediction_type="sample") == 0
    nothing = training_loss(lambda x, t: 0 * x, clean, ALPHAS, seeded(), prediction_type="sample")
    assert nothing == pytest.approx(float(clean.square().mean()), rel=1e-5)


def test_weighted_errors_are_a_weighted_mean():
    clean, weight = torch.randn(2, 3, 4, generator=seeded()), torch.tensor([[1.0, 0, 0, 0], [0, 2, 0, 2]])
    off = clean + torch.tensor([1.0, 2, 3, 4])
    loss = training_loss(
        lambda x, t: off, clean, ALPHAS, seeded(), prediction_type="sample", weight=weight[:, None]
    )
    assert loss == pytest.approx((1 + (4 + 16) / 2) / 2)
    assert training_loss(lambda x, t: off, clean, ALPHAS, seeded(), weight=0 * weight[:, None]) == 0


def test_a_share_is_pure_noise():
    t = draw_timesteps(4000, 1000, seeded(), pure=0.7)
    assert (t == 999).float().mean() == pytest.approx(0.7, abs=0.03)
    assert torch.equal(draw_timesteps(50, 1000, seeded(), pure=1.0), torch.full((50,), 999))


def test_a_batch_cut_into_parts_has_the_same_draws_and_the_same_loss():
    clean = torch.randn(6, 2, 3, 4, 4, generator=seeded(9))
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def denoise(x, t):
        seen.append((x, t))
        return torch.zeros_like(x)

    def loss(first: int, end: int) -> torch.Tensor:
        return training_loss(
            denoise,
            clean[first:end],
            ALPHAS,
            [seeded(n) for n in range(first, end)],
            part=(first, 6),
            timestep_power=0.5,
            pure_noise=0.2,
            min_snr_gamma=5.0,
            shared_noise=0.5,
        )

    whole, parts = loss(0, 6), [loss(0, 4), loss(4, 6)]
    assert (4 * parts[0] + 2 * parts[1]) / 6 == pytest.approx(whole.item(), rel=1e-6)
    (x, t), *cut = seen
    assert torch.equal(torch.cat([each[0] for each in cut]), x)
    assert torch.equal(torch.cat([each[1] for each in cut]), t)
    inner = t[t < len(ALPHAS) - 1]
    assert torch.equal(inner, inner.sort().values) and len(inner.unique()) > 3


def test_timesteps_may_come_from_a_part_of_the_schedule_alone():
    t = draw_timesteps(10, 1000, seeded(), span=(0.6, 0.8))
    assert ((t - 600) // 20).tolist() == list(range(10))
    assert draw_timesteps(50, 1000, seeded(), span=(0.6, 1.0)).max() >= 992
    seen = []
    clean = torch.randn(20, 2, 3, 3, generator=seeded())
    training_loss(lambda x, t: seen.append(t) or x, clean, ALPHAS, seeded(), span=(0.0, 0.25))
    assert seen[0].max() < 250
