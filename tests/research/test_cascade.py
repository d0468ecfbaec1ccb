"""Keyframes and what lies between them, made by random models."""

from __future__ import annotations

import numpy as np
import pytest

from lumiere.errors import InputError
from lumiere.research.baselines.cascade import KeyframeCascade

OPTIONS = {"num_inference_steps": 2, "guidance_scale": 2.0}


@pytest.fixture(scope="module")
def cascade(make_pipe):
    """7 keyframes, one each 5 frames; 16 frames between the first and the fourth."""
    return KeyframeCascade(make_pipe(frames=7, fps=3.2), make_pipe(conditioned=True, frames=16, fps=16))


@pytest.fixture(scope="module")
def keyframes() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), np.uint8)


def test_keyframes_are_kept_exactly_and_what_lies_between_is_made(cascade, keyframes) -> None:
    clip = cascade.fill(keyframes, "a frog", seed=3, **OPTIONS)
    assert len(clip) == 31 and clip.fps == 16 and clip.metadata["keyframe_interval"] == 5
    assert np.array_equal(clip.frames[::5], keyframes)
    assert all((clip.frames[n] != clip.frames[5 * (n // 5)]).any() for n in range(31) if n % 5)


def test_segments_do_not_see_each_other(cascade, keyframes) -> None:
    changed = keyframes.copy()
    changed[6] = 255 - changed[6]
    one, other = (cascade.fill(each, "a frog", seed=3, **OPTIONS).frames for each in (keyframes, changed))
    assert np.array_equal(one[:16], other[:16]) and not np.array_equal(one[16:30], other[16:30])


def test_a_segment_knows_where_in_the_clip_it_is(cascade, keyframes) -> None:
    seen = []
    hook = cascade.between.unet.temporal.position.register_forward_hook(
        lambda _, given, __: seen.append(given[2].flatten().tolist())
    )
    cascade.fill(keyframes, "a frog", seed=3, **OPTIONS)
    hook.remove()
    assert seen[0] == list(range(16)) and seen[-1] == list(range(15, 31))


def test_a_seed_makes_a_clip(cascade) -> None:
    one, same, other = (cascade("a frog", seed=seed, **OPTIONS).frames for seed in (1, 1, 2))
    assert len(one) == 31 and np.array_equal(one, same) and not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("slow", "fast", "said"),
    [
        ({"frames": 7, "fps": 3}, {"frames": 16, "fps": 16}, "do not divide a clip's 16"),
        ({"frames": 6, "fps": 3.2}, {"frames": 16, "fps": 16}, "no whole number of segments of 16 frames"),
        ({"frames": 7, "fps": 3.2}, {"frames": 15, "fps": 16}, "no whole number of segments of 15 frames"),
    ],
)
def test_models_that_do_not_fit_each_other_are_refused(make_pipe, slow, fast, said) -> None:
    with pytest.raises(InputError, match=said):
        KeyframeCascade(make_pipe(**slow), make_pipe(conditioned=True, **fast))


def test_keyframes_that_make_no_whole_segment_are_refused(cascade, keyframes) -> None:
    with pytest.raises(InputError, match="5 keyframes are given; give 1 more than a multiple of 3"):
        cascade.fill(keyframes[:5], "a frog", seed=0, **OPTIONS)


def test_saved_and_loaded(cascade, tmp_path) -> None:
    for name in ("keyframes", "between"):
        getattr(cascade, name).save_pretrained(tmp_path / name)
    loaded = KeyframeCascade.from_pretrained(tmp_path / "keyframes", tmp_path / "between")
    for name in ("keyframes", "between"):
        getattr(loaded, name).set_progress_bar_config(disable=True)
    one, other = (each("a frog", seed=1, **OPTIONS).frames.astype(int) for each in (cascade, loaded))
    assert np.abs(one - other).max() <= 1  # loaded weights lie in another order in memory
