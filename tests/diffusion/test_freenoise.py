import torch
from hypothesis import given
from hypothesis import strategies as st

from lumiere.diffusion.freenoise import reuse_noise
from lumiere.diffusion.windows import windows


@given(st.integers(1, 60), st.integers(1, 16), st.integers(0, 9), st.booleans())
def test_each_window_has_the_first_ones_noise_in_another_order(length, size, seed, loop):
    along = windows(length, size, size // 2, circular=loop)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(2, length, 3, 3, generator=generator)
    made = reuse_noise(noise, along, generator)
    assert torch.equal(made[:, : along.size], noise[:, : along.size])
    first = sorted(made[0, : along.size, 0, 0].tolist())
    for start in along.starts:
        if start + along.size <= length:
            assert sorted(made[0, start : start + along.size, 0, 0].tolist()) == first
    # Whole frames are moved, and all of them come from the first window
    for frame in made.unbind(1):
        assert any(torch.equal(frame, own) for own in noise[:, : along.size].unbind(1))


def test_the_order_differs_and_a_seed_fixes_it():
    along = windows(80, 16, 8)
    noise = torch.arange(80.0).view(1, 80, 1, 1)
    one, again, other = (reuse_noise(noise, along, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)
    units = one.view(10, 8)
    assert all(not torch.equal(units[k], units[k - 2]) for k in range(2, 10))
