import pytest
import torch
from diffusers.pipelines.free_init_utils import FreeInitMixin

from lumiere.diffusion.freeinit import check_schedule, low_pass, mixed_frequencies, renewed_noise
from lumiere.diffusion.sampling import noise_schedule
from lumiere.errors import InputError


@pytest.mark.parametrize("shape", [(16, 8, 8), (6, 4, 12)])
def test_the_mix_is_diffusers(shape):
    """Of even sizes: diffusers' filter is off the middle of odd ones."""
    random = torch.Generator().manual_seed(0)
    low, high = (torch.randn(2, 4, *shape, generator=random) for _ in range(2))
    theirs = FreeInitMixin()
    theirs.enable_free_init(method="butterworth")
    kept = theirs._get_free_init_freq_filter((1, 4, *shape), "cpu", "butterworth", 4, 0.25, 0.25)
    expected = theirs._apply_freq_filter(low, high, kept)
    torch.testing.assert_close(mixed_frequencies(low, high), expected, atol=1e-5, rtol=0)


def test_low_frequencies_are_kept_and_high_ones_new():
    random = torch.Generator().manual_seed(0)
    clean, noise, fresh = (torch.randn(1, 4, 16, 8, 8, generator=random) for _ in range(3))
    alphas = torch.linspace(1, 0.005, 1000)
    made = renewed_noise(clean, noise, fresh, alphas)
    noised = 0.005**0.5 * clean + 0.995**0.5 * noise
    spectrum, of_noised, of_fresh = (torch.fft.fftn(each, dim=(-3, -2, -1)) for each in (made, noised, fresh))
    kept = low_pass(16, 8, 8)
    assert kept[0, 0, 0] == 1 and kept[8, 4, 4] < 1e-5 and (kept > 0.5).any()
    slow, fast = kept > 0.99, kept < 0.01
    assert slow.sum() > 1
    assert (spectrum - of_noised)[..., slow].abs().max() < 0.02 * of_noised.abs().max()
    assert (spectrum - of_fresh)[..., fast].abs().max() < 0.02 * of_fresh.abs().max()


def test_a_schedule_that_ends_in_pure_noise_is_refused():
    with pytest.raises(InputError, match="free_init has no effect on this model"):
        check_schedule(noise_schedule().alphas_cumprod)
    check_schedule(torch.tensor([0.99, 0.0047]))
