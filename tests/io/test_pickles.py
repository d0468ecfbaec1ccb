"""Pickles are read by a process of their own: tensors come out, and nothing else."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from lumiere.cli import main
from lumiere.errors import InputError
from lumiere.io.pickles import convert
from lumiere.io.unpickle import read
from motion_weights import make_adapter, original_names


class Bomb:
    def __init__(self, file: Path) -> None:
        self.command = f"touch {file}"

    def __reduce__(self):
        return os.system, (self.command,)


def refused(source: Path, match: str) -> None:
    target = source.with_name("out.safetensors")
    before = sorted(source.parent.iterdir())
    with pytest.raises(InputError, match=match) as caught:
        convert(source, target)
    assert "\n" not in str(caught.value)
    assert sorted(source.parent.iterdir()) == before


def test_tensors_come_out_bit_for_bit(tmp_path, capsys):
    state = original_names(make_adapter("v2"), "module.")
    half = {name: weight.half() for name, weight in state.items()}
    checkpoint = {"epoch": 3, "state_dict": OrderedDict(half)}
    torch.save(checkpoint, tmp_path / "motion.ckpt")
    target = tmp_path / "motion.safetensors"
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(tmp_path / "motion.ckpt"), str(target)])
    assert ended.value.code == 0
    said = capsys.readouterr()
    assert said.out == f"{target}\n" and "left out: epoch" in said.err
    read = load_file(target)
    assert read.keys() == half.keys()
    assert all(torch.equal(read[name], half[name]) for name in half)

    with pytest.raises(SystemExit) as ended:
        main(["convert", str(tmp_path / "motion.ckpt"), str(target)])
    assert ended.value.code == 2 and "exists" in capsys.readouterr().err


def test_the_old_format_shared_memory_and_views(tmp_path):
    weight = torch.arange(12.0).view(3, 4)
    torch.save(
        {"a": weight, "b": weight, "c": weight.T}, tmp_path / "x.pt", _use_new_zipfile_serialization=False
    )
    assert convert(tmp_path / "x.pt", tmp_path / "x.safetensors").tensors == 3
    with safe_open(tmp_path / "x.safetensors", "pt") as read:
        assert torch.equal(read.get_tensor("b"), weight) and torch.equal(read.get_tensor("c"), weight.T)


@pytest.mark.parametrize("layout", ["checkpoint", "bare pickle"])
def test_code_is_not_run_and_named(tmp_path, layout):
    hit = tmp_path / "hit"
    bomb = {"weight": torch.zeros(2), "callbacks": Bomb(hit)}
    source = tmp_path / "bomb.ckpt"
    if layout == "checkpoint":
        torch.save(bomb, source)
    else:
        source.write_bytes(pickle.dumps(Bomb(hit), protocol=2))
    refused(source, r"bomb.ckpt is refused: it holds (posix|nt)\.system, which is no tensor")
    assert not hit.exists()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"state_dict": {"weight": torch.zeros(2), "optimizer": {"lr": 1.0}}}, "holds optimizer, a dict"),
        ([torch.zeros(2)], "it holds a list and not tensors by their names"),
        ({"epoch": 3}, "it holds no tensors"),
        ({"weight": torch.eye(3).to_sparse()}, "weight is a sparse"),
    ],
)
def test_other_things_are_named(tmp_path, content, match):
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=match):
        read(str(tmp_path / "x.ckpt"))


def test_half_a_file_and_none(tmp_path):
    source = tmp_path / "x.ckpt"
    torch.save({"weight": torch.zeros(1000)}, source)
    source.write_bytes(source.read_bytes()[:2000])
    refused(source, "x.ckpt is refused: it is not a whole PyTorch file")
    source.write_bytes(b"")
    with pytest.raises(ValueError, match="it is not a whole PyTorch file"):
        read(str(source))
    refused(tmp_path / "none.ckpt", "no file at")


def test_a_small_file_that_fills_the_memory(tmp_path):
    torch.save({"weight": torch.zeros(1).expand(2**40)}, tmp_path / "x.ckpt")
    refused(tmp_path / "x.ckpt", "more memory than a file of its size should")


def test_the_process_has_no_network():
    program = (
        "import socket, sys\n"
        "from lumiere.io.unpickle import give_up_rights\n"
        "give_up_rights({})\n"
        "try:\n"
        "    socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5)\n"
        "except OSError as error:\n"
        "    print(error)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-c", program, port], capture_output=True, text=True, check=True
        )
    assert done.stdout
