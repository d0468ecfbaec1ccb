"""Clips of periodic motion: what they show, what is held out of them, and that training reads them."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lumiere.cli import main
from lumiere.emoji.data.periodic import (
    FREQUENCIES,
    PeriodicMotion,
    PeriodicScene,
    caption,
    compose,
    held_out_periodic,
    motion_is_held_out,
    random_periodic,
    render,
)
from lumiere.emoji.data.scenes import Background, Sprite
from lumiere.emoji.data.sprites import load_sprites
from lumiere.errors import InputError
from lumiere.train.dataset import CLIPS, Pictures

SAMPLE = Path(__file__).parents[2] / "sample" / "sprites"
CAT = "1f408-200d-2b1b"
LABELS = {f"{code:x}": f"animal {code}" for code in range(121)}
BLUE = Background("solid", ("blue",))


@pytest.fixture(scope="module")
def sprites() -> dict[str, Sprite]:
    return {sprite.code: sprite for sprite in load_sprites(SAMPLE)}


@pytest.mark.parametrize(
    ("label", "motion", "hertz", "colour", "words"),
    [
        ("frog", "bounce", 1.2, "blue", "a frog bouncing at 1.2 hertz on a blue background"),
        ("owl", "spin", 2.0, "orange", "an owl spinning at 2 hertz on an orange background"),
        ("paw prints", "spin", 0.8, "red", "paw prints spinning at 0.8 hertz on a red background"),
    ],
)
def test_captions(label: str, motion: PeriodicMotion, hertz: float, colour: str, words: str) -> None:
    scene = PeriodicScene("code", Background("solid", (colour,)), motion, hertz, 0.58, (0.0, 0.0))
    assert caption(scene, {"code": label}) == words


@pytest.mark.parametrize("motion", ["bounce", "spin"])
def test_every_period_shows_the_same_from_the_same_start(
    sprites: dict[str, Sprite], motion: PeriodicMotion
) -> None:
    frames = render(PeriodicScene(CAT, BLUE, motion, 2.0, 0.58, (0.0, 0.0)), sprites, 9).astype(int)
    slower = render(PeriodicScene(CAT, BLUE, motion, 0.8, 0.58, (0.0, 0.0)), sprites, 1)
    assert np.abs(frames[8] - frames[0]).max() <= 1
    assert (frames[0] == slower[0]).all()
    assert all(np.abs(frames[step] - frames[0]).mean() > 2 for step in range(1, 8) if step != 4)


def test_a_bounce_goes_up_first_and_nothing_else_moves(sprites: dict[str, Sprite]) -> None:
    scene = PeriodicScene(CAT, BLUE, "bounce", 2.0, 0.58, (0.0, 0.0))
    middle, up, middle_again, down = (render(scene, sprites, 1, start)[0] for start in (0, 2, 4, 6))
    shift = round(0.16 * 128)  # 20.48 pixels
    assert np.abs(up[10:-50].astype(int) - middle[10 + shift : -50 + shift]).mean() < 3
    assert np.abs(down[50:-10].astype(int) - middle[50 - shift : -10 - shift]).mean() < 3
    assert np.abs(middle_again.astype(int) - middle).max() <= 1


def test_training_scenes_are_not_held_out_and_show_everything_else() -> None:
    rng = np.random.default_rng(0)
    scenes = [random_periodic(rng, sorted(LABELS)) for _ in range(3000)]
    assert not any(motion_is_held_out(scene.object, scene.motion, scene.frequency) for scene in scenes)
    assert {(scene.motion, scene.frequency) for scene in scenes} == {
        (motion, hertz) for motion in ("bounce", "spin") for hertz in FREQUENCIES
    }
    assert {scene.object for scene in scenes} == LABELS.keys()


def test_held_out_prompts_are_balanced_and_always_the_same() -> None:
    prompts = held_out_periodic(LABELS, 100)
    assert prompts == held_out_periodic(dict(reversed(LABELS.items())), 100)
    assert prompts[:40] == held_out_periodic(LABELS, 40)
    assert all(
        motion_is_held_out(prompt.scene.object, prompt.scene.motion, prompt.scene.frequency)
        and prompt.prompt == caption(prompt.scene, LABELS)
        for prompt in prompts
    )
    assert set(Counter((p.scene.motion, p.scene.frequency) for p in prompts).values()) <= {12, 13}
    assert len({prompt.prompt for prompt in prompts}) == 100
    with pytest.raises(InputError, match=r"prompts is 100000; of 121 objects there are from 1 to \d+"):
        held_out_periodic(LABELS, 100000)


def test_shards_are_what_training_reads(sprites: dict[str, Sprite], tmp_path: Path) -> None:
    assert compose(tmp_path / "a", SAMPLE, 3, seed=0, workers=2)
    clips = Pictures((f"{tmp_path}/a/train-clips-*.tar",), CLIPS, (128, 128))
    with tarfile.open(tmp_path / "a" / "train-clips-00000.tar") as archive:
        about = [json.load(archive.extractfile(name)) for name in archive.getnames() if name.endswith("json")]
    assert len(clips) == len(about) == 3
    for number, said in enumerate(about):
        scene = PeriodicScene(
            **said["scene"]
            | {
                "background": Background("solid", tuple(said["scene"]["background"]["colours"])),
                "offset": tuple(said["scene"]["offset"]),
            }
        )
        assert clips.caption(number) == caption(scene, {code: s.label for code, s in sprites.items()})
        frames, truth = clips.read(number), render(scene, sprites)
        assert frames.shape == (80, 128, 128, 3)
        assert 10 * np.log10(255**2 / np.mean((frames.astype(float) - truth) ** 2)) > 33

    shard = (tmp_path / "a" / "train-clips-00000.tar").read_bytes()
    assert not compose(tmp_path / "a", SAMPLE, 3, seed=0)
    (tmp_path / "a" / "train-clips-00000.tar").unlink()
    assert compose(tmp_path / "a", SAMPLE, 3, seed=0)
    assert (tmp_path / "a" / "train-clips-00000.tar").read_bytes() == shard
    with pytest.raises(InputError, match=r"holds .* objects 6, clips 3, seed 0; ask for the same"):
        compose(tmp_path / "a", SAMPLE, 3, seed=1)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*more: str) -> int | str | None:
        with pytest.raises(SystemExit) as caught:
            main(["data", "periodic", "--out", f"{tmp_path}/out", "--clips", "1", *more])
        return caught.value.code

    assert run("--sprites", str(SAMPLE), "--group", "animals-nature") == 0
    assert "is ready" in capsys.readouterr().out
    assert run("--sprites", str(SAMPLE), "--group", "animals-nature") == 0
    assert "already complete; nothing to do" in capsys.readouterr().out
    assert run("--sprites", str(SAMPLE), "--group", "cats") == 2
    assert "--group is 'cats'; choose from smileys-emotion" in capsys.readouterr().err
    assert run("--sprites", str(SAMPLE), "--group", "flags") == 2
    assert "has no sprite of flags" in capsys.readouterr().err
    assert run("--sprites", str(tmp_path / "none")) == 2
    assert "holds no sprites.json" in capsys.readouterr().err
