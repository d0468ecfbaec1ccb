"""Scenes that are composed on the training device."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lumiere.emoji.data.scenes import (
    CLIP_FRAMES,
    FPS,
    HALVED_BELOW,
    held_out_combinations,
    render,
    trajectory,
)
from lumiere.emoji.data.sprites import load_sprites
from lumiere.emoji.training_scenes import Scenes
from lumiere.errors import InputError
from lumiere.models.codec import PatchCodec
from lumiere.models.text import MiniLMTextEncoder
from lumiere.train.conditioned import ConditionedStage
from lumiere.train.config import ConditionedConfig, Data, ImageConfig, Objective, TemporalConfig, Text
from lumiere.train.config import Scenes as Options
from lumiere.train.draw import draws
from lumiere.train.encode import Encoder
from lumiere.train.image import ImageStage
from lumiere.train.masks import object_box
from lumiere.train.temporal import TemporalStage

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(PatchCodec(4), MiniLMTextEncoder(24), CPU)


def scenes(sprites: Path, encoder: Encoder, frames: int = 1, **options: Any) -> Scenes:
    return Scenes(Options(str(sprites), count=400, **options), Data(), encoder, 0, frames)


def in_pixels(video: Tensor) -> np.ndarray:
    return ((video.permute(1, 2, 3, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy()


def test_what_is_composed_is_what_shards_hold(sprites: Path, encoder: Encoder) -> None:
    made, by_code = scenes(sprites, encoder, 5, several=0.5), {s.code: s for s in load_sprites(sprites)}
    batch = made.draw(0, range(32))
    videos = made.video(batch)
    kinds = set()
    for i, number in enumerate(batch.scenes):
        scene, first = made.drawn[number], int(batch.first_frames[i])
        seconds = torch.arange(first, first + 1) / FPS
        still = replace(scene, size=1.0, offset=(0.0, 0.0))
        x, y, size, _ = (each.item() for each in trajectory(still, seconds, CLIP_FRAMES / FPS))
        size, x, y = (float(each[i, 0]) for each in (batch.size / size, batch.x - x, batch.y - y))
        truth = render(replace(scene, size=size, offset=(x, y)), by_code, 5, first)
        assert np.abs(in_pixels(videos[i]) - truth.astype(int)).max() <= 1
        kinds.add((scene.relation, scene.motion))
    assert len(kinds) > 12


@pytest.mark.slow
def test_boxes_are_around_what_is_seen(sprites: Path, encoder: Encoder) -> None:
    made = scenes(sprites, encoder, 80, several=0.5)
    batch = made.draw(0, range(24))
    compared = 0
    for number, box, video in zip(batch.scenes, made.boxes(batch), made.video(batch), strict=True):
        scene, seen = made.drawn[number], object_box(in_pixels(video))
        if scene.background.kind != "solid":
            continue  # there the background stands out too
        left, top, right, bottom = np.subtract(box(), seen)
        assert max(left, top) <= 3 and min(right, bottom) >= -3
        assert scene.motion == "spin" or np.abs((left, top, right, bottom)).max() <= 12
        compared += 1
    assert compared > 10


def test_a_batch_is_a_function_of_its_samples(sprites: Path, encoder: Encoder) -> None:
    made = scenes(sprites, encoder)
    first, again, next_ = (made.draw(0, samples) for samples in (range(8), range(8), range(8, 16)))
    assert torch.equal(made.video(first), made.video(again))
    assert not np.array_equal(first.scenes, next_.scenes)


def test_a_scene_is_never_shown_twice_alike_nor_at_a_place_in_the_batch_of_its_own(
    sprites: Path, encoder: Encoder
) -> None:
    batch = scenes(sprites, encoder, several=0.5).draw(0, range(4000))
    same = batch.scenes == batch.scenes[0]
    assert same.sum() > 3 and len(np.unique(batch.x[same])) == same.sum()
    # Timesteps go by the place in a batch.
    small = np.flatnonzero(batch.size.min(1) < HALVED_BELOW)
    assert 1000 < len(small) < 3000 and small.mean() == pytest.approx(2000, abs=150)


def test_captions_say_what_they_are_to_say(sprites: Path, encoder: Encoder) -> None:
    heard = scenes(sprites, encoder, several=0.5, synonyms=0.0)
    assert heard.captions == heard.plain
    assert sum(len(scene.objects) > 1 for scene in heard.drawn) == pytest.approx(200, abs=40)
    assert not any(held_out_combinations(scene) for scene in heard.drawn)
    reworded = scenes(sprites, encoder, synonyms=1.0)
    assert 0.3 < np.mean([a != b for a, b in zip(reworded.captions, reworded.plain, strict=True)]) <= 1


def test_varied_captions_are_of_their_scenes_and_of_nothing_held_out(sprites: Path, encoder: Encoder) -> None:
    made = scenes(sprites, encoder, captions="varied")
    assert not any(held_out_combinations(scene) for scene in made.drawn)
    for scene, said in zip(made.drawn, made.captions, strict=True):
        named = [colour for colour in scene.background.colours if re.search(rf"\b{colour}\b", said.lower())]
        assert len(named) in (0, len(scene.background.colours)), said
        assert named or scene.background.kind == "solid"
    unsaid = np.mean(["background" not in said.lower() for said in made.captions])
    assert 0.25 < unsaid < 0.55


def test_with_any_motion_a_caption_says_nothing_of_the_place(sprites: Path, encoder: Encoder) -> None:
    made = scenes(sprites, encoder, any_motion=True)
    batch = made.draw(0, range(4000))
    going = np.array([scene.motion for scene in made.drawn])[batch.scenes]
    left, right = (batch.x[going == motion].mean() for motion in ("left", "right"))
    assert left == pytest.approx(right, abs=0.02)


def test_text_states_are_those_of_the_captions(sprites: Path, encoder: Encoder) -> None:
    made = scenes(sprites, encoder)
    for context, texts in ((made.context, made.captions), (made.plain_context, made.plain)):
        for samples in (range(6), range(6, 12), range(6)):
            batch = made.draw(0, samples)
            wanted = encoder.text([texts[number] for number in batch.scenes])
            assert torch.allclose(context(batch), wanted, atol=2e-3)


def test_the_image_model_learns_from_them(sprites: Path, image: Path) -> None:
    config = ImageConfig(
        "tiny",
        f"{image}/codec",
        init=f"{image}/unet",
        scenes=Options(str(sprites), count=50),
        data=Data(batch_size=4),
    )
    stage = ImageStage(config, CPU)
    optimizer = torch.optim.Adam(stage.net.parameters(), lr=2e-3)
    losses = []
    for step in range(40):
        samples = range(4 * step, 4 * step + 4)
        optimizer.zero_grad()
        loss = stage(*stage.prepare(stage.load(step, samples)), draws(CPU, 0, samples, 4, together=True))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])


@pytest.fixture
def conditioned(sprites: Path, image: Path) -> ConditionedConfig:
    return ConditionedConfig(
        "tiny",
        codec=f"{image}/codec",
        image=f"{image}/unet",
        scenes=Options(str(sprites), count=50),
        data=Data(frames=6, batch_size=2),
        text=Text(length=12),
        objective=Objective(shared_noise=0.5, noise_smoothness=2.0),
    )


@pytest.mark.parametrize("nothing", [0.0, 1.0])
def test_the_conditioned_stage_learns_from_them(conditioned: ConditionedConfig, nothing: float) -> None:
    stage = ConditionedStage(replace(conditioned, unconditioned_share=nothing), CPU)
    latents, context, first, condition, unknown = stage.prepare(stage.load(0, range(2)))
    assert latents.shape == (2, 48, 6, 32, 32) and len(context) == len(first) == 2
    assert bool(condition.any()) is not bool(nothing) and bool(unknown.all()) is bool(nothing)
    loss = stage(latents, context, first, condition, unknown, draws(CPU, 0, range(2), 2, together=True))
    loss.backward()
    assert loss.isfinite() and all(p.grad is not None for p in stage.net.temporal.position.parameters())


def test_what_guidance_says_is_learnt(conditioned: ConditionedConfig) -> None:
    objective = replace(conditioned.objective, guidance_scale=3.0, guidance_rescale=0.0, caption_dropout=0.0)
    stage = ConditionedStage(replace(conditioned, objective=objective, unconditioned_share=1.0), CPU)
    latents, context, first, condition, _ = stage.prepare(stage.load(0, range(2)))
    context, named = context.chunk(2, dim=2)[0], {"first_frame": first, "condition": condition}
    guided = stage._guided(context, named)
    assert guided is not None
    x, t = torch.randn_like(latents), torch.tensor([400, 900])
    with torch.no_grad():
        given = stage.net(x, t, context, return_dict=False, **named)[0]
        without = stage.net(x, t, stage.encode.empty.expand_as(context), return_dict=False, **named)[0]
        assert torch.allclose(guided(x, t), without + 3 * (given - without), atol=1e-4)
    assert not any(p.requires_grad for p in stage.teacher.__self__.parameters())
    assert stage._pipeline(stage.net).config["guidance"] == 1.0


def test_bad_scenes_are_refused(sprites: Path, image: Path, conditioned: ConditionedConfig) -> None:
    def refused(message: str, **change: object) -> None:
        with pytest.raises(InputError, match=message):
            ConditionedStage(replace(conditioned, **change), CPU)

    refused("has no sprites of flags", scenes=Options(str(sprites), groups=("flags",)))
    refused("have 128 pixels; data.size is 64", data=Data(size=(64, 64), frames=6))
    refused("scenes are square, of 80 frames", data=Data(frames=81))
    refused("frame_stride. is 2; scenes", data=Data(frames=6, frame_stride=2))
    refused("data.captions. is 'moving'", data=Data(frames=6, captions="moving"))
    refused('both "scenes.sprites" and shards', data=Data(clips=("x-*.tar",), frames=6))
    refused(
        "\"scenes.source\" is 'emojis'; the installed sources are: .*emoji",
        scenes=Options(str(sprites), source="emojis"),
    )


def test_a_teacher_may_be_another_model_and_hears_plain_words(
    conditioned: ConditionedConfig, tmp_path: Path
) -> None:
    begun = ConditionedStage(conditioned, CPU)
    begun.export(tmp_path / "teacher")
    objective = replace(
        conditioned.objective, guidance_scale=2.0, caption_dropout=0.0, teacher=str(tmp_path / "teacher")
    )
    distilling = replace(conditioned, objective=objective, scenes=replace(conditioned.scenes, synonyms=1.0))
    stage = ConditionedStage(replace(distilling, seed=1), CPU)
    ours, theirs = stage.net.temporal.state_dict(), stage.teacher.__self__.temporal.state_dict()
    assert any(not torch.equal(ours[name], theirs[name]) for name in ours)
    assert all(torch.equal(begun.net.temporal.state_dict()[name], theirs[name]) for name in theirs)

    loaded = stage.load(0, range(2))
    latents, context, first, given, unknown = stage.prepare(loaded)
    said, plain = context.chunk(2, dim=2)
    assert torch.equal(plain, stage.source.plain_context(loaded[0])) and not torch.equal(said, plain)
    heard: dict[str, list[torch.Tensor]] = {"teacher": [], "net": []}
    teach, predict = stage.teacher, stage.net.forward
    stage.teacher = lambda x, t, context, **more: (
        heard["teacher"].append(context),
        teach(x, t, context, **more),
    )[1]
    stage.net.forward = lambda x, t, context, **more: (
        heard["net"].append(context),
        predict(x, t, context, **more),
    )[1]
    stage(latents, context, first, given, unknown, draws(CPU, 0, range(2), 2, together=True))
    assert torch.equal(heard["teacher"][0][2:], plain) and torch.equal(heard["net"][0], said)


def test_a_teacher_must_have_the_same_condition_channels(
    conditioned: ConditionedConfig, tmp_path: Path
) -> None:
    base = TemporalStage(
        TemporalConfig(
            "tiny",
            codec=conditioned.codec,
            image=conditioned.image,
            scenes=conditioned.scenes,
            data=conditioned.data,
            text=conditioned.text,
        ),
        CPU,
    )
    base.export(tmp_path / "teacher")
    objective = replace(conditioned.objective, guidance_scale=2.0, teacher=str(tmp_path / "teacher"))
    with pytest.raises(InputError, match=r"objective\.teacher is .* 0 condition channels"):
        ConditionedStage(replace(conditioned, objective=objective), CPU)


def test_a_teacher_must_read_as_the_net_does(conditioned: ConditionedConfig, tmp_path: Path) -> None:
    ConditionedStage(replace(conditioned, text=Text(length=14)), CPU).export(tmp_path / "teacher")
    objective = replace(conditioned.objective, guidance_scale=2.0, teacher=str(tmp_path / "teacher"))
    with pytest.raises(InputError, match="another codec, text encoder or prediction type"):
        ConditionedStage(replace(conditioned, objective=objective), CPU)
