import numpy as np
import pytest

from lumiere.train import masks
from lumiere.train.masks import SHARES, object_box, random_mask


def drawn(kind, monkeypatch, seed, frames=24, height=32, width=48):
    monkeypatch.setattr(masks, "SHARES", {kind: 1.0})
    clip = with_object(frames, height, width)
    return random_mask(np.random.default_rng(seed), clip.shape[:3], lambda: object_box(clip))


def with_object(frames=24, height=32, width=48):
    """Something bright that goes right on a dark ground."""
    clip = np.full((frames, height, width, 3), 20, np.uint8)
    for frame in range(frames):
        clip[frame, 12:20, 8 + frame % 8 : 16 + frame % 8] = (200, 30, 30)
    return clip


def test_shares_are_of_a_whole():
    assert sum(SHARES.values()) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(20))
def test_each_kind_gives_what_it_says(monkeypatch, seed):
    first = drawn("first frame", monkeypatch, seed)
    assert first[0].all() and not first[1:].any()
    frames = drawn("some frames", monkeypatch, seed)
    whole = frames.all((1, 2))
    assert whole.any() and not frames[~whole].any()
    past = drawn("past", monkeypatch, seed).all((1, 2))
    assert past[0] and not past[-1] and (np.diff(past.astype(int)) != 0).sum() == 1
    hole = drawn("hole", monkeypatch, seed)
    assert 0 < (~hole).mean() < 1 and hole.any()
    region = drawn("region", monkeypatch, seed)
    assert region[0].all() and (region[1:] == region[1]).all() and not region[1].all()


def test_holes_stand_still_or_move(monkeypatch):
    holes = [drawn("hole", monkeypatch, seed) for seed in range(30)]
    still = [bool((hole == hole[0]).all()) for hole in holes]
    assert 5 < sum(still) < 25


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_any_length(frames):
    for seed in range(50):
        known = random_mask(np.random.default_rng(seed), (frames, 8, 8), lambda: None)
        assert known.shape == (frames, 8, 8)


def test_the_object_is_found_wherever_it_goes():
    assert object_box(with_object()) == (8, 12, 23, 20)
    assert object_box(with_object()[:1]) == (8, 12, 16, 20)
    assert object_box(np.full((2, 8, 8, 3), 7, np.uint8)) is None


def test_holes_hide_the_object_or_one_half_of_it(monkeypatch):
    monkeypatch.setattr(masks, "_AROUND_OBJECT", 1.0)
    hidden = [~drawn("hole", monkeypatch, seed)[:, 12:20, 8:23] for seed in range(40)]
    whole = [bool(each.all()) for each in hidden]
    assert 10 < sum(whole) < 35
    for each in hidden:
        assert each[..., :7].all() or each[..., 7:].all()
