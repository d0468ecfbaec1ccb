"""Convert a pickled checkpoint to safetensors.

A pickle can run code while it is read. Here it is read in a process of its own that has no network and little
of the machine, by PyTorch's ``weights_only`` reader, which makes tensors and plain values alone. Nothing else
in this package reads a pickle.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from lumiere.errors import InputError
from lumiere.io.files import replacing
from lumiere.io.text import printable

#: address space over three times the file's size: libraries for GPUs map several GB
_SPARE_MEMORY = 32 * 2**30
#: of output over the file's size, tensors that shared memory being stored each by itself
_GROWTH = 2
_SECONDS_PER_GB, _LEAST_SECONDS = 120, 300
#: of the environment, what Python needs to find its libraries
_ENVIRONMENT = ("PATH", "HOME", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "SYSTEMROOT", "LANG")


@dataclass(frozen=True)
class Converted:
    """``tensors``: how many were written; ``left_out``: names of plain values beside them, such as a step."""

    tensors: int
    left_out: tuple[str, ...]


def convert(source: Path, target: Path) -> Converted:
    """Write the tensors of a pickle as safetensors, whole or not at all.

    Those of a checkpoint of a trainer are under ``state_dict``; what lies beside that is left out.

    Args:
        source: what ``torch.save`` wrote: a dictionary of tensors, or one under ``state_dict``.
        target: replaced if it is there.

    Raises:
        InputError: the file is not there, not whole, or holds objects that are no tensors; they are named.
    """
    if not source.is_file():
        raise InputError(f"no file at {source}; give a checkpoint such as model.ckpt")
    if _is_safetensors(source):
        raise InputError(f"{source} is safetensors already; use it as it is")
    size = source.stat().st_size
    seconds = _LEAST_SECONDS + _SECONDS_PER_GB * size // 2**30
    limits = {
        "RLIMIT_AS": _SPARE_MEMORY + 3 * size,
        "RLIMIT_FSIZE": _GROWTH * size + 2**20,
        "RLIMIT_CPU": seconds,
        "RLIMIT_CORE": 0,
    }
    with replacing(target) as temporary:
        said = _run(source, temporary, limits, seconds)
        if "error" in said:
            raise InputError(f"{source} is refused: {printable(said['error'])[:400]}")
        if "failed" in said:
            raise InputError(f"{target} cannot be written: {printable(said['failed'])}")
        if not _is_safetensors(temporary):
            raise InputError(f"{source} is refused: reading it wrote no safetensors")
    return Converted(int(said["tensors"]), tuple(map(printable, said["left_out"])))


def _run(source: Path, target: Path, limits: dict[str, int], seconds: int) -> dict[str, Any]:
    """What the process says that reads the file."""
    arguments = [str(source.absolute()), str(target.absolute()), json.dumps(limits)]
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "lumiere.io.unpickle", *arguments],
            env=environment | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=2 * seconds,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"reading it took more than {2 * seconds} s"}
    try:
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
        return {"error": f"reading it ended with code {done.returncode}: {last}"}
    return said


def _is_safetensors(path: Path) -> bool:
    try:
        with safe_open(path, "pt"):
            return True
    except (SafetensorError, OSError):
        return False
