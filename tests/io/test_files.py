"""Outputs are refused early, and replaced whole."""

from pathlib import Path

import pytest

from lumiere.errors import InputError
from lumiere.io.files import check_output, replacing


def test_a_new_output_passes_and_nothing_is_made(tmp_path: Path) -> None:
    check_output(tmp_path / "a" / "b" / "clip.MP4", endings=(".mp4",))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["clip.mkv", "clip", "clip.mp4.part"])
def test_an_unknown_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"known are \.mp4, \.gif"):
        check_output(tmp_path / name, endings=(".mp4", ".gif"))


def test_an_existing_file_is_refused_without_overwrite(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "nowhere")
    for name in ("clip.mp4", "link.mp4"):
        with pytest.raises(InputError, match="exists"):
            check_output(tmp_path / name)
        check_output(tmp_path / name, overwrite=True)


def test_a_folder_of_other_things_is_never_replaced(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    check_output(home, overwrite=True)
    (home / "frame-00000.png").touch()
    (home / "clip.json").touch()
    check_output(home, overwrite=True)
    (home / "thesis.txt").touch()
    with pytest.raises(InputError, match="holds more than a clip's frames"):
        check_output(home, overwrite=True)


@pytest.mark.parametrize("parent", ["file", "/proc/none"])
def test_a_parent_that_cannot_be_written_is_refused(tmp_path: Path, parent: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        check_output(tmp_path / parent / "clip.mp4")


def test_a_folder_comes_back_if_its_replacement_cannot_take_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(FileNotFoundError), replacing(folder):
        pass
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["clip", "clip/old"]
