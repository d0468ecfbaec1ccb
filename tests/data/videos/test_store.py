from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lumiere.data.videos import store as module
from lumiere.data.videos.buckets import Size
from lumiere.data.videos.clips import Clip, Outcome, Video
from lumiere.data.videos.store import JOURNAL, LOCK, Store
from lumiere.errors import InputError

SIZES = (Size(48, 32), Size(32, 48))


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(module, "SHARD_CLIPS", 5)


def _video(n: int) -> Video:
    return Video(f"{n}.mp4", Path(f"{n}.mp4"), "waves", str(n))


def _outcome(n: int) -> Outcome:
    """None to three clips of either size."""
    clips = [
        Clip(SIZES[n % 2], bytes([n]) * (n * 97 % 1500), {"caption": f"{n}-{i}", "frames": 9})
        for i in range(n % 4)
    ]
    return Outcome(clips) if clips else Outcome(reason="too short")


def _fill(folder: Path, videos: range, finish: bool = True) -> None:
    store = Store(folder)
    assert len(store.lines) == videos.start
    for n in videos:
        store.add(_video(n), _outcome(n))
    if finish:
        store.finish()
    store.close()


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an uninterrupted run of 30 videos writes."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SHARD_CLIPS", 5)
        _fill(folder, range(30))
    return _contents(folder)


def test_shards_are_tars_of_one_size_and_some_clips(tmp_path, whole):
    _fill(tmp_path, range(30))
    assert _contents(tmp_path) == whole
    keys, captions = [], []
    for path in sorted(tmp_path.glob("*.tar")):
        with tarfile.open(path, "r:") as archive:
            members = archive.getmembers()
            assert len(members) <= 10
            for member in members:
                assert path.name.split("-")[1] == member.name.split("-")[0]
                if member.name.endswith(".json"):
                    keys.append(member.name)
                    captions.append(json.load(archive.extractfile(member))["caption"])
    assert len(set(keys)) == len(keys) == sum(n % 4 for n in range(30))
    assert sorted(captions) == sorted(f"{n}-{i}" for n in range(30) for i in range(n % 4))


@given(st.data())
@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_a_kill_leaves_the_end_is_the_same(tmp_path_factory, whole, data):
    folder = tmp_path_factory.mktemp("killed")
    count = data.draw(st.integers(0, 30) | st.just(30))
    # A run ends its shards when it has all videos; those of later ones go into others, as the next test says.
    _fill(folder, range(count), finish=count == 30 and data.draw(st.booleans()))
    for path in sorted(path for path in folder.iterdir() if path.name != LOCK):
        size = path.stat().st_size
        match data.draw(st.sampled_from(["keep", "keep", "longer", "shorter", "gone"])):
            case "longer":
                path.write_bytes(path.read_bytes() + b"half a clip")
            case "shorter":
                path.write_bytes(path.read_bytes()[: data.draw(st.integers(0, size))])
            case "gone":
                path.unlink()
    store = Store(folder)
    done = len(store.lines)
    assert [line.file for line in store.lines] == [f"{n}.mp4" for n in range(done)]
    store.close()
    _fill(folder, range(done, 30))
    assert _contents(folder) == whole


def test_what_is_added_later_leaves_whole_shards_alone(tmp_path):
    _fill(tmp_path, range(9))
    before = _contents(tmp_path)
    _fill(tmp_path, range(9, 20))
    after = _contents(tmp_path)
    assert {name: after[name] for name in before if name != JOURNAL} == {
        name: data for name, data in before.items() if name != JOURNAL
    }
    assert after[JOURNAL].startswith(before[JOURNAL]) and len(after) > len(before)


def test_one_run_at_a_time(tmp_path):
    script = "import sys, pathlib, lumiere.data.videos.store as s; s.Store(pathlib.Path(sys.argv[1]))"
    store = Store(tmp_path)
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True)
    assert f"another run is writing {tmp_path}" in done.stderr
    store.close()
    Store(tmp_path).close()


def test_a_full_disk_is_said_and_loses_nothing(tmp_path, whole):
    store = Store(tmp_path)
    for n in range(6):
        store.add(_video(n), _outcome(n))
    with pytest.MonkeyPatch.context() as patch:
        full = Path("/dev/full")
        patch.setattr(Store, "_part", lambda *_: full)
        store._parts.clear()
        with pytest.raises(InputError, match="No space left on device; free some space and run the same"):
            store.add(_video(6), _outcome(6))
        store._parts.clear()
    store.close()
    _fill(tmp_path, range(6, 30))
    assert _contents(tmp_path) == whole
