from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from lumiere.data.videos.inputs import find_inputs
from lumiere.errors import InputError


def _captions(folder: Path) -> dict[str, str | None]:
    return {video.name: video.caption for video in find_inputs(folder, folder / "out").videos}


def _write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_captions_from_text_files_beside_the_videos(tmp_path):
    files = {"a.mp4": "", "a.txt": "\ufeffa  cat\nasleep\n", "b/a.MOV": "", "c.gif": "", "c.txt": " \n"}
    assert _captions(_write(tmp_path, files)) == {"a.mp4": "a cat asleep", "b/a.MOV": None, "c.gif": None}


def test_captions_from_tables_as_datasets_has_them(tmp_path):
    table = 'file_name,text,more\na.mp4,"a cat, asleep",1\nclips/b.mp4,a dog,2\ngone.mp4,a fox,3\nc.mp4,,4\n'
    lines = '{"file_name": "d.bin", "caption": "a crab"}\n\n{"file_name": "e.mp4", "text": null}\n'
    files = {"metadata.csv": table, "x/metadata.jsonl": lines, "c.txt": "an owl", "a.txt": "no"}
    videos = {"a.mp4": "", "clips/b.mp4": "", "c.mp4": "", "x/d.bin": "", "x/e.mp4": ""}
    assert _captions(_write(tmp_path, files | videos)) == {
        "a.mp4": "a cat, asleep",
        "c.mp4": "an owl",
        "clips/b.mp4": "a dog",
        "gone.mp4": "a fox",
        "x/d.bin": "a crab",
        "x/e.mp4": None,
    }


def test_samples_of_webdataset_shards(tmp_path):
    about = json.dumps({"caption": "a dog"}).encode()
    samples = {
        "0.mp4": b"m",
        "0.txt": b"a cat",
        "1.webm": b"w",
        "1.json": about,
        "2.mp4": b"m",
        "3.txt": b"a",
    }
    path = tmp_path / "train.tar"
    with tarfile.open(path, "w") as archive:
        for name, data in samples.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    found = find_inputs(tmp_path, tmp_path / "out").videos
    assert {video.name: video.caption for video in found} == {
        "train.tar/0.mp4": "a cat",
        "train.tar/1.webm": "a dog",
        "train.tar/2.mp4": None,
    }
    assert path.read_bytes()[found[1].offset :][: found[1].length] == b"w"
    path.write_bytes(path.read_bytes()[:2600])  # in the midst of the second video
    found = find_inputs(tmp_path, tmp_path / "out").videos
    assert [(video.name, video.problem) for video in found] == [
        ("train.tar/0.mp4", ""),
        ("train.tar/1.webm", ""),
        ("train.tar", "damaged shard"),
    ]


def test_other_files_are_counted_and_hidden_ones_left_alone(tmp_path):
    files = {
        "a.mp4": "",
        ".b.mp4": "",
        ".c/d.mp4": "",
        "out/e.mp4": "",
        "f.jpg": "",
        "README": "",
        "g.json": "",
    }
    found = find_inputs(_write(tmp_path, files), tmp_path / "out")
    assert [video.name for video in found.videos] == ["a.mp4"]
    assert found.ignored == {".jpg": 1, "no ending": 1}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.jpg": ""}, r"holds no video but other files \(1 .jpg\); give videos, or .tar shards"),
        ({"metadata.csv": "file,text\na.mp4,b\n"}, 'metadata.csv, line 2: no "file_name"'),
        ({"metadata.csv": "file_name,words\na.mp4,b\n"}, 'metadata.csv, line 2: no "text"'),
        ({"metadata.csv": "file_name,text\na.mp4,b\na.mp4,c\n"}, "line 3: a.mp4 for the second time"),
        ({"metadata.jsonl": "{}\n"}, 'metadata.jsonl, line 1: no "file_name"'),
        ({"metadata.jsonl": "nonsense\n"}, "metadata.jsonl cannot be read"),
    ],
)
def test_folders_that_cannot_be_used_are_refused(tmp_path, files, message):
    with pytest.raises(InputError, match=message):
        find_inputs(_write(tmp_path, files), tmp_path / "out")
    with pytest.raises(InputError, match="is no folder"):
        find_inputs(tmp_path / "nowhere", tmp_path / "out")


def test_an_identity_changes_with_the_file_and_with_the_caption(tmp_path):
    seen = set()
    for files in ({"a.mp4": "one"}, {"a.txt": "a cat"}, {"a.mp4": "three"}, {"a.txt": "a dog"}):
        _write(tmp_path, files)
        seen.add(find_inputs(tmp_path, tmp_path / "out").videos[0].identity)
    assert len(seen) == 4
