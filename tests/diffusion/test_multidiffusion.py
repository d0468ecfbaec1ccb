from __future__ import annotations

import random
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lumiere.diffusion.multidiffusion import multidiffusion
from lumiere.diffusion.sampling import make_scheduler, noise_schedule, sample
from lumiere.diffusion.windows import WEIGHTS, tiles, windows
from lumiere.errors import InputError

T = torch.tensor(500)


def mixing(x, t):
    """A denoiser in which every position of a window depends on all of them."""
    return torch.sin(x + x.flatten(2).mean(2).view(*x.shape[:2], 1, 1, 1) * (1 + t / 1000))


def test_it_is_the_least_squares_solution():
    """The whole J that minimises sum_i ||sqrt(W_i) (R_i J - F(R_i x))||^2, solved densely."""
    x = torch.randn(1, 1, 11, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for kind in WEIGHTS:
        for circular in (False, True):
            each = windows(11, 5, 2, circular=circular)
            raw = WEIGHTS[kind](5).numpy()
            rows, targets = [], []
            for start in each.starts:
                positions = (start + np.arange(5)) % 11
                predicted = mixing(x[:, :, positions], T).flatten().numpy()
                for position, weight, value in zip(positions, raw, predicted, strict=True):
                    rows.append(np.sqrt(weight) * np.eye(11)[position])
                    targets.append(np.sqrt(weight) * value)
            solution, *_ = np.linalg.lstsq(np.array(rows), np.array(targets), rcond=None)
            whole = multidiffusion(mixing, tiles({2: each}, kind))(x, T)
            np.testing.assert_allclose(whole.flatten().numpy(), solution, atol=1e-12)


def test_one_window_is_the_denoiser_itself():
    x = torch.randn(2, 3, 8, 4, 6)
    for kind in WEIGHTS:
        whole = multidiffusion(mixing, tiles({2: windows(8, 16, 3), 4: windows(6, 6, 0)}, kind))
        assert torch.equal(whole(x, T), mixing(x, T))


@given(st.integers(1, 30), st.integers(1, 12), st.sampled_from(sorted(WEIGHTS)), st.data())
@settings(max_examples=50)
def test_a_denoiser_that_sees_no_neighbours_is_unchanged(length, size, kind, data):
    overlap = data.draw(st.integers(0, size - 1))
    each = windows(length, size, overlap, circular=data.draw(st.booleans()))
    x = torch.randn(1, 2, length, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(multidiffusion(lambda x, t: x.sin(), tiles({2: each}, kind))(x, T), x.sin())


def test_how_many_run_at_once_changes_nothing():
    x = torch.randn(2, 3, 23, 6, 6)
    chosen = tiles({2: windows(23, 8, 3), 3: windows(6, 4, 1)}, "cosine")
    one = multidiffusion(mixing, chosen)(x, T)
    for at_once in (2, 3, len(chosen), 100):
        assert torch.equal(multidiffusion(mixing, chosen, tiles_at_once=at_once)(x, T), one)


def test_the_order_of_windows_changes_only_the_rounding():
    x = torch.randn(1, 3, 40, 6, 6)
    chosen = tiles({2: windows(40, 8, 6), 3: windows(6, 4, 1)}, "pyramid")
    one = multidiffusion(mixing, chosen)(x, T)
    shuffled = random.Random(0).sample(chosen, len(chosen))
    torch.testing.assert_close(multidiffusion(mixing, shuffled)(x, T), one)
    pairs = tiles({2: windows(12, 6, 3)})  # at most two predictions meet, and a sum of two has one order
    x = x[:, :, :12]
    assert torch.equal(multidiffusion(mixing, pairs[::-1])(x, T), multidiffusion(mixing, pairs)(x, T))


def test_conditions_are_cropped_with_the_sample():
    x, low = torch.randn(2, 3, 20, 4, 4), torch.randn(2, 1, 20, 4, 4)
    chosen = tiles({2: windows(20, 8, 2), 4: windows(4, 3, 1)})
    whole = multidiffusion(lambda x, t, low: x * low + t, chosen, low, tiles_at_once=2)
    torch.testing.assert_close(whole(x, T), x * low + T)


def test_it_samples_with_any_scheduler():
    clean = torch.randn(1, 2, 12, 4, 4)
    schedule = noise_schedule()

    def perfect(x, t, clean):
        """The v of a model that knows the clip."""
        a = schedule.alphas_cumprod[t].sqrt()
        s = (1 - schedule.alphas_cumprod[t]).sqrt()
        return a * (x - a * clean) / s - s * clean

    for name in ("ddim", "dpm++"):
        whole = multidiffusion(perfect, tiles({2: windows(12, 5, 2)}), clean)
        made = sample(whole, torch.randn_like(clean), make_scheduler(name, schedule.config), 8)
        torch.testing.assert_close(made, clean, atol=1e-4, rtol=0)


def test_tiles_may_have_denoisers_of_their_own():
    x = torch.randn(1, 2, 5, 6, 10)
    chosen = tiles({3: windows(6, 6, 0), 4: windows(10, 6, 2)})
    own = [lambda x, t, k=k: torch.full_like(x, k) for k in (1.0, 3.0)]
    made = multidiffusion(own, chosen)(x, T)
    expected = torch.tensor([1.0] * 4 + [2.0] * 2 + [3.0] * 4).expand_as(x)
    torch.testing.assert_close(made, expected)
    with pytest.raises(ValueError):
        multidiffusion(own[:1], chosen)


def test_tiles_at_once_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="tiles at once is 0; give at least 1"):
        multidiffusion(mixing, [], tiles_at_once=0)
    with pytest.raises(InputError, match="tiles at once is 2; tiles with denoisers of their own take 1"):
        multidiffusion([mixing], tiles({2: windows(4, 4, 0)}), tiles_at_once=2)


def _two_processes(rank, folder, expected):
    import os

    from accelerate import PartialState

    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": folder.joinpath("port").read_text()}
    torch.set_num_threads(1)
    assert PartialState(cpu=True).num_processes == 2
    calls = []

    def counted(x, t):
        calls.append(len(x))
        return mixing(x, t)

    chosen = tiles({2: windows(26, 8, 3)}, "cosine")
    whole = multidiffusion(counted, chosen, processes=PartialState())
    torch.testing.assert_close(whole(*torch.load(folder / "input.pt")), expected)
    (folder / f"{rank}").write_text(str(len(calls)))
    if rank == 0:  # the other one does not take part, and is not waited for
        alone = multidiffusion(mixing, chosen)
        torch.testing.assert_close(alone(*torch.load(folder / "input.pt")), expected)
    PartialState().destroy_process_group()


@pytest.mark.slow
def test_two_processes_share_the_windows_and_agree_with_one(tmp_path):
    import socket

    x = torch.randn(1, 3, 26, 4, 4)
    chosen = tiles({2: windows(26, 8, 3)}, "cosine")
    expected = multidiffusion(mixing, chosen)(x, T)
    torch.save((x, T), tmp_path / "input.pt")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        (tmp_path / "port").write_text(str(free.getsockname()[1]))
    torch.multiprocessing.spawn(partial(_two_processes, folder=tmp_path, expected=expected), nprocs=2)
    assert [int((tmp_path / rank).read_text()) for rank in "01"] == [3, 2] == [3, len(chosen) - 3]
