from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from diffusers import LCMScheduler
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lumiere.diffusion.sampling import noise_schedule
from lumiere.errors import InputError
from lumiere.io.video import Clip, probe, read_metadata, resize
from lumiere.metrics.consistency import psnr, ssim
from lumiere.pipelines.superres import (
    UpscalePipeline,
    _tiles_along,
    enlarge,
    predict_residual,
    reduce,
    target_size,
    within_range,
)

ALPHAS = noise_schedule().alphas_cumprod


@pytest.fixture(scope="module")
def pipe(make_upscaler) -> UpscalePipeline:
    return make_upscaler()


@pytest.fixture
def nothing_to_add(pipe, monkeypatch) -> UpscalePipeline:
    """The same with a net that knows: interpolation lacks nothing."""

    def denoise(x, t, low, level):
        power = ALPHAS[t]
        return x * (power / (1 - power)).sqrt()

    monkeypatch.setattr(pipe, "_denoise", denoise)
    return pipe


def frames(count: int, height: int = 12, width: int = 16) -> np.ndarray:
    t, y, x = np.mgrid[:count, :height, :width]
    waves = np.sin((x + t) / 3), np.sin((y - t) / 4), np.cos((x + y) / 5)
    return (127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


def interpolated(pictures: np.ndarray, height: int, width: int) -> np.ndarray:
    video = torch.from_numpy(pictures).float().div(127.5).sub(1).permute(3, 0, 1, 2)[None]
    video = (enlarge(video, height, width)[0] + 1) * 127.5
    return video.round().byte().permute(1, 2, 3, 0).numpy()


@given(
    count=st.integers(1, 15),
    height=st.integers(12, 41),
    width=st.integers(16, 41),
    window=st.integers(1, 9),
    steps=st.integers(1, 3),
    tile=st.sampled_from([None, 16, 22]),
    data=st.data(),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_geometry_gives_interpolation_where_that_lacks_nothing(
    nothing_to_add, count, height, width, window, steps, tile, data
):
    source = frames(count)
    made = nothing_to_add.stream(
        iter(source),
        count,
        (height, width),
        num_inference_steps=steps,
        window=window,
        overlap=data.draw(st.integers(0, window - 1)),
        tile=tile,
    )
    made = np.stack(list(made)).astype(int)
    assert made.shape == (count, height, width, 3)
    assert np.abs(made - interpolated(source, height, width)).max() <= 1


def test_the_net_is_conditioned_on_the_enlarged_clip_and_the_noise_level(pipe, monkeypatch):
    inputs = []

    def denoise(x, t, low, level):
        inputs.append((low, level))
        return torch.zeros_like(x)

    monkeypatch.setattr(pipe, "_denoise", denoise)
    source = frames(4)
    list(pipe.stream(source, 4, (24, 32), num_inference_steps=1))
    list(pipe.stream(source, 4, (24, 32), num_inference_steps=1, noise_level=0.25))
    (clean, zero), (noisy, quarter) = inputs
    video = torch.from_numpy(source).float().div(127.5).sub(1).permute(3, 0, 1, 2)[None]
    torch.testing.assert_close(pipe.codec.decode(clean), enlarge(video, 24, 32))
    assert zero.tolist() == [0.0] and quarter.tolist() == [0.25]
    assert 0.1 < (noisy - clean).std() < 0.25


def test_a_call_is_the_stream_in_memory(pipe):
    clip = Clip(frames(9), 12, {"prompt": "waves"})
    big = pipe(clip, 32, seed=5)
    streamed = np.stack(list(pipe.stream(iter(clip.frames), 9, (24, 32), seed=5)))
    assert np.array_equal(big.frames, streamed)
    how = {"model": None, "width": 32, "height": 24, "num_inference_steps": 2, "window": 6, "overlap": 2}
    assert (big.fps, big.metadata) == (12, {"prompt": "waves", "upscaled": {**how, "seed": 5}})
    assert not np.array_equal(big.frames, pipe(clip, 32, seed=6).frames)


def test_a_frames_noise_does_not_depend_on_windows(pipe, monkeypatch):
    seen = []
    monkeypatch.setattr(pipe, "_denoise", lambda x, t, low, level: seen.append(x) or torch.zeros_like(x))
    for window in (9, 3):
        made = pipe.stream(frames(9), 9, (24, 32), num_inference_steps=1, window=window, overlap=0)
        assert len(list(made)) == 9
    whole, *parts = seen
    assert torch.equal(whole, torch.cat(parts, dim=2))


def test_pure_noise_does_not_come_through(pipe):
    noise = torch.randn(2, 1, 12, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    low, level = torch.rand(1, 12, 3, 4, 4, generator=torch.Generator().manual_seed(1)), torch.zeros(1)
    with torch.no_grad():
        first = [predict_residual(pipe.unet, x, torch.tensor(999), low, level) for x in noise]
        later = [predict_residual(pipe.unet, x, torch.tensor(998), low, level) for x in noise]
    assert torch.equal(*first) and not torch.allclose(*later)


def test_frames_are_read_as_they_are_needed(pipe):
    asked = 0

    def source():
        nonlocal asked
        for frame in frames(200):
            asked += 1
            yield frame

    made = pipe.stream(source(), 200, (24, 32), num_inference_steps=2, window=6, overlap=2)
    next(made)
    assert asked <= 3 * 6
    assert len(list(made)) == 199


def test_a_saved_model_makes_the_same_frames(pipe, tmp_path):
    pipe.save_pretrained(tmp_path / "model")
    loaded = UpscalePipeline.from_pretrained(tmp_path / "model")
    clip = Clip(frames(5), 16)
    assert loaded.config["window"] == 6
    difference = loaded(clip, 32).frames.astype(int) - pipe(clip, 32).frames
    assert np.abs(difference).max() <= 1


def test_reducing_is_the_mean_and_enlarging_keeps_flat_colours():
    video = torch.randn(2, 3, 4, 8, 12)
    means = video.unflatten(-1, (6, 2)).unflatten(-3, (4, 2)).mean((-1, -3))
    torch.testing.assert_close(reduce(video, 4, 6), means)
    flat = torch.full((1, 3, 2, 5, 7), 0.3)
    torch.testing.assert_close(enlarge(flat, 31, 20), torch.full((1, 3, 2, 31, 20), 0.3))


def test_the_target_size_keeps_the_proportions():
    assert target_size(128, 128, 1024) == (1024, 1024)
    assert target_size(240, 320, 1024) == (768, 1024)
    assert target_size(240, 320, (240, 400)) == (240, 400)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise_level": 1.5}, "noise level is 1.5; give a number from 0 to 1"),
        ({"tile": 8}, "tile is 8; give at least 16"),
        ({"window": 4, "overlap": 4}, "overlap is 4 and window 4"),
        ({"weights": "round"}, "weights is 'round'"),
        ({"num_inference_steps": 0}, "steps is 0"),
    ],
)
def test_options_out_of_range_are_refused_at_once(pipe, options, message):
    with pytest.raises(InputError, match=message):
        pipe.stream(frames(3), 3, (24, 32), **options)


def test_a_size_below_the_source_is_refused(pipe):
    with pytest.raises(InputError, match="the size 8x6 is below the source's 16x12; give a larger one"):
        pipe(Clip(frames(2), 16), 8)


def test_missing_frames_are_reported(pipe):
    for options in ({}, {"window": 3, "overlap": 0}):
        with pytest.raises(InputError, match="there are 3 frames; 5 were announced"):
            list(pipe.stream(frames(3), 5, (24, 32), **options))


def test_any_frame_rate_is_written(pipe, tmp_path):
    made = pipe.write(tmp_path / "large.mp4", frames(3), 3, (24, 32), 29.97, {"prompt": "waves"}, window=3)
    assert float(probe(made).fps) == pytest.approx(29.97, abs=1e-3)
    assert read_metadata(made)["upscaled"]["window"] == 3


def test_a_fresh_space_time_net_predicts_what_its_image_model_does(make_upscaler):
    net = make_upscaler().unet
    for name, parameter in net.temporal.named_parameters():
        if name.endswith(("time.weight", "time.bias")):
            parameter.data.zero_()
    x, low = torch.randn(2, 2, 12, 5, 8, 8).unbind()
    t, level = torch.tensor([900, 100]), torch.tensor([0.0, 0.2])
    with torch.no_grad():
        clips = predict_residual(net, x, t, low, level)
        for n in range(5):
            picture = predict_residual(net.spatial, x[:, :, n : n + 1], t, low[:, :, n : n + 1], level)
            torch.testing.assert_close(clips[:, :, n : n + 1], picture, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(clips, predict_residual(net, low, t, x, level), atol=1e-3)
        assert not torch.allclose(clips, predict_residual(net, x, t, low, 0 * level), atol=1e-3)


def moving_disc(side: int, frames: int = 6) -> np.ndarray:
    """An orange disc with a white one on it, moving right over blue; smooth at its edges."""
    y, x = np.mgrid[:side, :side] + 0.5
    pictures = []
    for frame in range(frames):
        centre = np.array([0.4 + 0.03 * frame, 0.5]) * side
        picture = np.full((side, side, 3), (40, 90, 210), np.float32)
        for radius, colour in ((0.3, (250, 150, 40)), (0.1, (255, 255, 255))):
            distance = np.hypot(x - centre[0], y - centre[1])[..., None]
            cover = (radius * side + 0.5 - distance).clip(0, 1)
            picture = cover * np.array(colour) + (1 - cover) * picture
        pictures.append(picture.round().astype(np.uint8))
    return np.stack(pictures)


@pytest.mark.parametrize("factor", [2, 4])
def test_the_shipped_model_draws_sharper_edges_than_interpolation(factor):
    truth = moving_disc(192)
    small = resize(truth, 192 // factor, 192 // factor)
    pipe = UpscalePipeline.from_pretrained("emoji-upscaler")
    pipe.set_progress_bar_config(disable=True)
    made = pipe(Clip(small, 16), 192).frames
    lanczos = resize(small, 192, 192, Image.Resampling.LANCZOS)
    assert psnr(made, truth) > psnr(lanczos, truth) + 1
    assert ssim(made, truth) > ssim(lanczos, truth)


@given(st.integers(1, 600), st.integers(8, 256))
def test_tiles_are_equal_no_longer_than_asked_for_and_no_more_than_needed(patches, longest):
    cut = _tiles_along(patches, 4 * longest, 4)
    assert cut.size <= min(patches, longest)
    starts = [*cut.starts, patches]
    assert cut.starts[0] == 0 and cut.starts[-1] + cut.size == patches
    overlap = longest // 8
    assert all(b - a <= cut.size - overlap for a, b in itertools.pairwise(starts[:-1]))
    assert (len(cut.starts) - 1) * (longest - overlap) + overlap < patches or len(cut.starts) == 1


def test_a_cascades_noise_leaves_a_picture_within_range():
    x = torch.randn(1, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    t = torch.tensor(300)
    a, s = ALPHAS[t].sqrt(), (1 - ALPHAS[t]).sqrt()
    inside, outside = (x - a * 0.5) / s, (x - a * 3.0) / s
    torch.testing.assert_close(within_range(inside, x, t, ALPHAS), inside)
    torch.testing.assert_close((x - s * within_range(outside, x, t, ALPHAS)) / a, torch.ones_like(x))


def test_a_scheduler_that_adds_noise_adds_each_frames_own(make_upscaler):
    pipe = make_upscaler()
    pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config)
    pipe._denoise = lambda x, t, low, level: x.sin()
    source = frames(9)
    torch.manual_seed(1)
    windowed = pipe(Clip(source, 16), 32, window=4, overlap=1, seed=np.int64(3), num_inference_steps=3)
    whole = pipe(Clip(source, 16), 32, window=9, seed=3, num_inference_steps=3)
    assert np.abs(windowed.frames.astype(int) - whole.frames).max() <= 1
    assert windowed.metadata["upscaled"]["seed"] == 3
    other = pipe(Clip(source, 16), 32, window=9, seed=4, num_inference_steps=3)
    assert np.abs(other.frames.astype(int) - whole.frames).max() > 1
