from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumiere.diffusion.windows import windows
from lumiere.errors import InputError
from lumiere.metrics.consistency import borders, change_errors, detail, flows, psnr, seam, ssim, warped_error


def moving(frames: int = 6, side: int = 64, pace: int = 2) -> np.ndarray:
    """A smooth pattern that moves to the right by ``pace`` pixels a frame."""
    y, x = np.mgrid[:side, :side]
    shift = pace * np.arange(frames)[:, None, None]
    gray = 127 + 60 * np.sin((x - shift) / 6) + 50 * np.cos(y / 5 + (x - shift) / 9)
    return np.repeat(gray[..., None], 3, -1).round().astype(np.uint8)


def noisy(frames: np.ndarray, deviation: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, deviation, frames.shape)
    return (frames + noise).round().clip(0, 255).astype(np.uint8)


def test_psnr_is_the_formula_s() -> None:
    truth = np.full((2, 4, 4, 3), 100, np.uint8)
    assert psnr(truth + 10, truth) == pytest.approx(10 * np.log10(255**2 / 100), abs=1e-4)
    assert psnr(truth, truth) > 90


def test_ssim_falls_with_noise() -> None:
    truth = moving()
    assert ssim(truth, truth) == pytest.approx(1)
    assert 1 > ssim(noisy(truth, 5), truth) > ssim(noisy(truth, 20), truth)


def test_real_motion_and_a_steady_error_are_no_error_of_change() -> None:
    truth = moving()
    assert change_errors(truth, truth).tolist() == [0] * 5
    assert change_errors(truth + 3, truth).tolist() == [0] * 5
    jump = truth.copy()
    jump[3:] += 3
    assert change_errors(jump, truth).tolist() == [0, 0, 3, 0, 0]


@given(st.integers(1, 60), st.integers(1, 20), st.data())
def test_borders_are_where_the_covering_windows_change(length: int, size: int, data: st.DataObject) -> None:
    cut = windows(length, size, data.draw(st.integers(0, size - 1)))
    covering = [{s for s in cut.starts if s <= frame < s + cut.size} for frame in range(length)]
    assert borders(cut).tolist() == [a != b for a, b in itertools.pairwise(covering)]


def test_a_seam_shows_as_its_excess() -> None:
    crossed = borders(windows(32, 8, 0))
    errors = np.ones((3, 31))
    assert seam(errors, crossed) == 1
    errors[:, crossed] = 1.5
    assert seam(errors, crossed) == 1.5


def test_what_follows_the_true_motion_has_little_warped_error() -> None:
    truth = moving()
    flow = flows(truth)
    assert flow.shape == (5, 2, 64, 64)
    middle = flow[:, :, 16:48, 16:48]
    assert abs(middle[:, 1].mean() + 2) < 0.3 and abs(middle[:, 0].mean()) < 0.3
    steady, trembling = (truth.astype(int) + 4).clip(0, 255).astype(np.uint8), noisy(truth, 10)
    exact = warped_error(truth, truth, flow)
    assert abs(warped_error(steady, truth, flow) - exact) < 0.3
    assert warped_error(trembling, truth, flow) > exact + 5


def test_flow_of_large_frames_is_in_their_own_pixels() -> None:
    truth = moving(2, 64).repeat(8, 1).repeat(8, 2)
    flow = flows(truth)
    assert flow.shape == (1, 2, 512, 512)
    assert abs(flow[:, 1, 128:384, 128:384].mean() + 16) < 3


def test_without_scikit_image_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("skimage")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(InputError, match=r"pip install 'lumiere-video\[evaluate\]'"):
        ssim(moving(), moving())


def test_warped_error_counts_only_what_is_within() -> None:
    truth = moving()
    spoilt, within = truth.copy(), np.zeros(truth.shape[:3], bool)
    spoilt[3, :, 32:] += 30
    within[:, :, :28] = True
    flow = flows(truth)
    assert warped_error(spoilt, truth, flow) > warped_error(truth, truth, flow)
    assert warped_error(spoilt, truth, flow, within) == warped_error(truth, truth, flow, within)


def test_blur_takes_detail_away() -> None:
    truth = noisy(moving(), 10)
    blurred = truth[:, :-1, :-1] / 4 + truth[:, 1:, :-1] / 4 + truth[:, :-1, 1:] / 4 + truth[:, 1:, 1:] / 4
    assert detail(blurred.round().astype(np.uint8)) < 0.8 * detail(truth)
    assert detail(np.full((2, 8, 8, 3), 90, np.uint8)) == 0
