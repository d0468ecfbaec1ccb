"""Windows that leave frames out, and keyframes that are given: what a cascade's two models train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_base_model import CPU, write_config

from lumiere.errors import InputError
from lumiere.pipelines.text_to_video import LumierePipeline
from lumiere.train.config import load
from lumiere.train.dataset import spanned, window
from lumiere.train.draw import draws
from lumiere.train.loop import Trainer
from lumiere.train.masks import keyframe_mask
from lumiere.train.stages import build


@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 20), st.floats(0, 1, exclude_max=True))
def test_a_window_is_every_so_many_frames_of_the_clip(frames, stride, more, position):
    clip = np.arange(spanned(frames, stride) + more)
    found, first = window(clip, frames, position, "it", stride)
    assert len(found) == frames and set(np.diff(found).tolist()) <= {stride}
    assert first == found[0] // stride
    with pytest.raises(InputError, match=r"it has 4 frames; data\.frames asks for 3, one each 2"):
        window(np.arange(4), 3, position, "it", 2)


def test_keyframes_are_given_whole_and_nothing_else():
    known = keyframe_mask((12, 3, 4), 5)
    assert known.shape == (12, 3, 4)
    assert [n for n in range(12) if known[n].all()] == [0, 5, 10] and known.sum() == 3 * 12


def test_a_keyframe_model_sees_every_other_frame_and_says_its_rate(inflated, shards: Path, tmp_path: Path):
    config = write_config(tmp_path, shards, inflated("sd1")[1])
    settings = ["data.frame_stride=2", "objective.caption_dropout=0"]
    strided, dense = (build(load(config, each), CPU) for each in (settings, ["data.frames=9"]))
    some, every = (stage.load(0, range(2)) for stage in (strided, dense))
    for (seen, _), (all_of_them, _) in zip(some.loaded, every.loaded, strict=True):
        assert torch.equal(seen, all_of_them[::2])
    run = Trainer(load(config, [*settings, "data.frames=6", "run.max_steps=1"]))
    assert run.run() == 0
    with pytest.raises(InputError, match=r"12 frames; data\.frames asks for 7, one each 2"):
        build(load(config, ["data.frame_stride=2", "data.frames=7"]), CPU).load(0, range(1))


def test_between_keyframes_the_loss_is_of_the_frames_between(inflated, shards: Path, tmp_path: Path):
    config = write_config(tmp_path, shards, inflated("sd1")[1], "conditioned", "keyframe_interval = 2")
    stage = build(load(config), CPU)
    batch = stage.prepare(stage.load(0, range(2)))
    _, _, first_frames, condition, unknown = batch
    assert first_frames.tolist() == [0, 0]  # wherever in their clips they are
    assert (unknown.amax((1, 3, 4)) == torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0])).all()
    assert condition.shape[1] == stage.net.config.condition_channels
    assert torch.isfinite(stage(*batch, draws(CPU, 0, range(2), 2)))
    with pytest.raises(InputError, match='"keyframe_interval" is -1; it must be from 0'):
        load(config, ["keyframe_interval=-1"])


def test_the_rate_of_a_keyframe_model_is_kept(make_pipe, tmp_path: Path):
    pipe = make_pipe(fps=3.2)
    pipe.save_pretrained(tmp_path / "slow")
    assert LumierePipeline.from_pretrained(tmp_path / "slow").config["fps"] == 3.2
