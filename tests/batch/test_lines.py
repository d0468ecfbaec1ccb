from __future__ import annotations

import json

import pytest

from lumiere.batch.lines import read_lines
from lumiere.errors import InputError


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.txt", "\ufeffa cat\r\n\n  a dog \n", {1: {"prompt": "a cat"}, 3: {"prompt": "a dog"}}),
        ("a.jsonl", '{"prompt": "a cat"}\n\n{"frames": 4}', {1: {"prompt": "a cat"}, 3: {"frames": 4}}),
        ("a.jsonl", '{"prompt": "a\u2028cat"}', {1: {"prompt": "a\u2028cat"}}),
        (
            "a.csv",
            'prompt, seed\n"a cat, on\ngreen",\n\na dog,7\n',
            {2: {"prompt": "a cat, on\ngreen"}, 5: {"prompt": "a dog", "seed": "7"}},
        ),
    ],
)
def test_lines_keep_their_numbers(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text, "utf-8", newline="")
    assert {line.number: line.options for line in read_lines(tmp_path / name)} == expected


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b" \n\n", "holds no clip to make"),
        ("a.csv", b"prompt,seed\n", "holds no clip to make"),
        ("a.jsonl", b'{"prompt": "a"}\n{"prompt": }\n', "a.jsonl:2: not JSON: Expecting value"),
        ("a.jsonl", b'["a"]', 'a.jsonl:1: ["a"] is no object'),
        ("a.csv", b"prompt,seed\na cat, green,7\n", "a.csv:2: 3 cells, but 2 columns"),
        ("a.csv", b'prompt\n"a cat\n', "a.csv:2: not CSV"),
        ("a.csv", b"prompt,prompt\na,b\n", "a.csv:1: two columns are named 'prompt'"),
        ("a.txt", b"a caf\xe9", "is not UTF-8 text: byte 5"),
        ("a.yaml", b"a", "the ending is to be one of .jsonl, .csv, .txt"),
        ("a.txt", None, "cannot be read: No such file"),
    ],
)
def test_bad_files_are_reported_by_line(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_lines(tmp_path / name)
    assert said in str(caught.value)


def test_json_is_read_as_it_is_written(tmp_path):
    options = {
        "prompt": "ein Frosch, 蛙",
        "alpha": 0.5,
        "reference": ["a.png"],
        "extrapolate": True,
        "style": None,
    }
    (tmp_path / "a.jsonl").write_text(json.dumps(options) + "\n", "utf-8")
    assert read_lines(tmp_path / "a.jsonl")[0].options == options
