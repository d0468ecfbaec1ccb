import dataclasses
import hashlib
import io
import json
from pathlib import Path
from threading import Event

import av
import numpy as np
import pytest
import webdataset
from PIL import Image

from fake_npm import CODES, Registry
from lumiere.data import h264
from lumiere.data.files import MANIFEST
from lumiere.emoji.data import shards
from lumiere.emoji.data.scenes import Background, Scene, caption, held_out_combinations, render
from lumiere.emoji.data.shards import Composer, Request, prepare
from lumiere.emoji.data.sprites import load_sprites, prepare_sprites
from lumiere.errors import InputError

REQUEST = Request(stills=6, clips=1, held_out=1, seed=3)
FILES = [
    "heldout-clips-00000.tar",
    "heldout-prompts.json",
    "heldout-stills-00000.tar",
    "manifest.json",
    "sprites",
    "train-clips-00000.tar",
    "train-stills-00000.tar",
    "train-stills-00001.tar",
]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_SHARD_SIZES", {"stills": 4, "clips": 2})


def _prepare(tmp_path: Path, request: Request = REQUEST, overwrite: bool = False, workers: int = 1) -> bool:
    return prepare(tmp_path / "out", request, tmp_path / "cache", workers, overwrite)


def _contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def _samples(shard: Path) -> list[dict[str, bytes]]:
    return list(webdataset.WebDataset(f"file:{shard}", shardshuffle=False))


def _scene(about: dict) -> Scene:
    fields = dict(about["scene"])
    background = fields.pop("background")
    fields["background"] = Background(background["kind"], tuple(background["colours"]))
    return Scene(**{key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()})


def test_all_that_was_asked_for_is_there_and_true(tiny_emoji: Registry, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert _prepare(tmp_path)
    assert sorted(path.name for path in out.iterdir()) == FILES
    sprites = {sprite.code: sprite for sprite in load_sprites(out)}
    labels = {code: sprite.label for code, sprite in sprites.items()}

    stills = [s for name in FILES[-2:] for s in _samples(out / name)]
    assert len(stills) == len({sample["__key__"] for sample in stills}) == 6
    for sample in stills:
        about = json.loads(sample["json"])
        picture = np.asarray(Image.open(io.BytesIO(sample["webp"])))
        assert (picture == render(_scene(about), sprites, 1, about["frame"])[0]).all()
        assert held_out_combinations(_scene(about)) == about["held_out"] == []

    (clip,) = _samples(out / "heldout-clips-00000.tar")
    about = json.loads(clip["json"])
    truth, frames = render(_scene(about), sprites), h264.decode(clip["mp4"])
    assert frames.shape == (80, 128, 128, 3)
    assert 10 * np.log10(255**2 / np.mean((frames.astype(float) - truth) ** 2)) > 36
    with av.open(io.BytesIO(clip["mp4"])) as container:
        assert container.streams.video[0].average_rate == 16
        assert container.streams.video[0].codec_context.name == "h264"
    assert about["caption"] == caption(_scene(about), labels)
    assert about["held_out"] and held_out_combinations(_scene(about)) == about["held_out"]


def test_a_larger_size_shows_the_same_scenes_sharper(tiny_emoji: Registry, tmp_path: Path) -> None:
    out = tmp_path / "out"
    _prepare(tmp_path, dataclasses.replace(REQUEST, size=256))
    assert (out / "sprites-256").is_dir() and not (out / "sprites").exists()
    prepare_sprites(tmp_path / "sprites", tmp_path / "cache", workers=1)
    small = {sprite.code: sprite for sprite in load_sprites(tmp_path / "sprites")}
    for sample in _samples(out / "train-stills-00000.tar"):
        about = json.loads(sample["json"])
        picture = np.asarray(Image.open(io.BytesIO(sample["webp"]))).astype(float)
        assert picture.shape == (256, 256, 3)
        halved = picture.reshape(128, 2, 128, 2, 3).mean((1, 3))
        truth = render(_scene(about), small, 1, about["frame"])[0]
        assert 10 * np.log10(255**2 / np.mean((halved - truth) ** 2)) > 27
    manifest = json.loads((out / MANIFEST).read_text())
    assert manifest["media"]["size"] == 256
    assert manifest["command"].endswith("--seed 3 --size 256")


def test_the_manifest_tells_the_truth(tiny_emoji: Registry, tmp_path: Path) -> None:
    out = tmp_path / "out"
    _prepare(tmp_path)
    manifest = json.loads((out / MANIFEST).read_text())
    assert manifest["complete"]
    assert manifest["command"] == "lumiere data emoji --out DIR --stills 6 --clips 1 --held-out 1 --seed 3"
    assert {shard["file"]: shard["samples"] for shard in manifest["shards"]} == {
        "heldout-clips-00000.tar": 1,
        "heldout-stills-00000.tar": 1,
        "train-stills-00000.tar": 4,
        "train-stills-00001.tar": 2,
        "train-clips-00000.tar": 1,
    }
    for shard in manifest["shards"]:
        data = (out / shard["file"]).read_bytes()
        assert (shard["bytes"], shard["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert {(s["name"], s["licence"]) for s in manifest["sources"]} == {
        ("@tiny/anim-1", "MIT"),
        ("@tiny/anim-2", "MIT"),
        ("names", "MIT"),
    }
    prompts = (out / "heldout-prompts.json").read_bytes()
    assert manifest["held_out"]["prompts_sha256"] == hashlib.sha256(prompts).hexdigest()
    assert manifest["held_out"]["prompts"] == len(json.loads(prompts)) > 50
    assert manifest["sprites"]["count"] == len(CODES)


def test_a_rerun_does_nothing_and_a_missing_shard_comes_back_alike(
    tiny_emoji: Registry, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    _prepare(tmp_path)
    contents = _contents(out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert not _prepare(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == times

    (out / "train-stills-00001.tar").unlink()
    truncated = out / "train-clips-00000.tar"
    truncated.write_bytes(truncated.read_bytes()[:512])
    assert _prepare(tmp_path, workers=2)
    assert _contents(out) == contents


def test_an_interrupted_run_keeps_finished_shards(
    tiny_emoji: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, compose, composed = tmp_path / "out", Composer.shard, []

    def interrupted_at_the_third(self: Composer, shard: shards.Shard, stop: Event | None) -> bytes:
        if len(composed) == 2:
            raise KeyboardInterrupt
        composed.append(out / shard.filename)
        return compose(self, shard, stop)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Composer, "shard", interrupted_at_the_third)
        _prepare(tmp_path)
    assert sorted(out.glob("*.tar")) == sorted(composed)
    assert not list(out.glob(".*")), "nothing half-written"
    times = [path.stat().st_mtime_ns for path in composed]
    assert _prepare(tmp_path)
    assert [path.stat().st_mtime_ns for path in composed] == times
    assert sorted(path.name for path in out.iterdir()) == FILES


def test_data_from_before_an_option_was_there_had_its_default(tiny_emoji: Registry, tmp_path: Path) -> None:
    _prepare(tmp_path)
    path = tmp_path / "out" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["request"]["size"]
    path.write_text(json.dumps(manifest))
    assert not _prepare(tmp_path)
    with pytest.raises(InputError, match="was made with size 128"):
        _prepare(tmp_path, dataclasses.replace(REQUEST, size=256))


def test_another_request_needs_overwrite(tiny_emoji: Registry, tmp_path: Path) -> None:
    out, few, other = tmp_path / "out", Request(5, 0, 0, seed=0), Request(2, 0, 0, seed=1)
    _prepare(tmp_path, few)
    before = _contents(out)
    with pytest.raises(InputError, match=r"was made with stills 5, seed 0; .*--overwrite"):
        _prepare(tmp_path, other)
    assert _contents(out) == before
    assert _prepare(tmp_path, other, overwrite=True)
    assert [path.name for path in sorted(out.glob("*.tar"))] == ["train-stills-00000.tar"]
    assert len(_samples(out / "train-stills-00000.tar")) == 2


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_something_else_is_left_alone(
    tiny_emoji: Registry, tmp_path: Path, overwrite: bool
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    (out / MANIFEST).write_text('{"format": "of another program"}')
    before = _contents(out)
    with pytest.raises(InputError, match="holds something else than emoji data"):
        _prepare(tmp_path, overwrite=overwrite)
    assert _contents(out) == before
    assert tiny_emoji.calls() == []


def test_sprites_from_another_machine_need_no_packages(tiny_emoji: Registry, tmp_path: Path) -> None:
    prepare_sprites(tmp_path / "out" / "sprites", tmp_path / "cache", workers=1)
    tiny_emoji.mode("offline")
    assert prepare(tmp_path / "out", Request(1, 0, 0, 0), tmp_path / "no cache", 1, overwrite=False)
    assert (tmp_path / "out" / "train-stills-00000.tar").exists()


def test_a_file_in_the_way_is_named(tiny_emoji: Registry, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="out is a file; --out names a folder"):
        _prepare(tmp_path)


def test_a_full_disk_leaves_nothing_half_written(
    tiny_emoji: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if ".tar" in self.name:
            write(self, data[:100])
            raise OSError(28, "No space left on device", str(self))
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"cannot write .*\.tar: No space left on device"):
        _prepare(tmp_path, Request(1, 0, 0, 0))
    assert not list((tmp_path / "out").glob("*.tar")) and not list((tmp_path / "out").glob(".*"))
