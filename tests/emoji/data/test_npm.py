from collections import namedtuple
from pathlib import Path

import pytest

from fake_npm import Registry
from lumiere.emoji.data.npm import Package, default_cache, fetch
from lumiere.errors import InputError

DiskUsage = namedtuple("DiskUsage", "total used free")


@pytest.fixture
def package(registry: Registry) -> Package:
    return registry.publish("@tiny/thing", {"a.txt": b"a" * 1000})


def test_a_package_is_fetched_once(registry: Registry, package: Package, tmp_path: Path) -> None:
    tarball = fetch(package, tmp_path / "cache")
    assert tarball.name == "tiny-thing-1.0.0.tgz"
    assert tarball.read_bytes() == (registry.folder / tarball.name).read_bytes()
    assert fetch(package, tmp_path / "cache") == tarball
    assert registry.calls() == ["@tiny/thing@1.0.0"]
    assert list((tmp_path / "cache").iterdir()) == [tarball]


def test_another_file_from_the_registry_is_refused(
    registry: Registry, package: Package, tmp_path: Path
) -> None:
    registry.publish("@tiny/thing", {"a.txt": b"not what was pinned"})
    with pytest.raises(InputError, match=r"tiny-thing-1\.0\.0\.tgz has SHA-512 .*, not .*registry"):
        fetch(package, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_fetch_that_was_killed_leaves_nothing_and_can_be_repeated(
    registry: Registry, package: Package, tmp_path: Path
) -> None:
    registry.mode("killed")
    with pytest.raises(InputError, match=r"npm could not fetch @tiny/thing@1\.0\.0: exit code -9"):
        fetch(package, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    registry.mode("ok")
    assert fetch(package, tmp_path / "cache").exists()


def test_a_truncated_file_in_the_cache_is_named(registry: Registry, package: Package, tmp_path: Path) -> None:
    tarball = fetch(package, tmp_path)
    tarball.write_bytes(tarball.read_bytes()[:-1])
    with pytest.raises(InputError, match=f"delete {tarball} to fetch it again"):
        fetch(package, tmp_path)


def test_no_network_is_said_in_one_line(registry: Registry, package: Package, tmp_path: Path) -> None:
    registry.mode("offline")
    with pytest.raises(InputError, match=r"ENOTFOUND.*is there a network") as error:
        fetch(package, tmp_path)
    assert "\n" not in str(error.value)


def test_a_missing_npm_is_said_with_what_to_install(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"npm is not installed.*Node\.js.*tiny-thing-1\.0\.0\.tgz"):
        fetch(package, tmp_path / "cache")


def test_a_full_disk_is_noticed_before_fetching(
    registry: Registry, package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: DiskUsage(1000, 999, 1))
    with pytest.raises(InputError, match="make room"):
        fetch(package, tmp_path)
    assert registry.calls() == []


def test_a_cache_that_cannot_be_written_is_named(package: Package, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write to the cache"):
        fetch(package, tmp_path / "file" / "cache")


def test_the_cache_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LUMIERE_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("LUMIERE_CACHE")
    assert default_cache().parts[-2:] == ("lumiere", "npm")
