"""What captions say of motion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lumiere.emoji.data.scenes import MOTION_WORDS, caption, random_scene
from lumiere.emoji.prompt_parser import without_words

LABELS = {"1f41b": "bug", "1f981": "lion", "1f40a": "crocodile"}


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_motion_is_taken_out_of_captions_and_nothing_else(seed: int) -> None:
    scene = random_scene(np.random.default_rng(seed), sorted(LABELS))
    assert without_words(caption(scene, LABELS), MOTION_WORDS) == caption(
        replace(scene, motion="none"), LABELS
    )
    varied = without_words(caption(scene, LABELS, rng=np.random.default_rng(seed)), MOTION_WORDS)
    assert not any(f" {words}" in varied for words in MOTION_WORDS)
