"""``lumiere batch`` as a program of its own, to be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

TESTS = Path(__file__).parent


def start_batch(*arguments: object) -> subprocess.Popen[str]:
    """The program, which knows the text encoder of the tiny models."""
    script = "import letter_encoder, lumiere.cli; lumiere.cli.main()"
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", script, "batch", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(true: Callable[[], object], process: subprocess.Popen[str], seconds: float = 900) -> None:
    """Wait until something is true; fail if the process ends, or after so many seconds."""
    end = time.monotonic() + seconds
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def manifest(folder: str | Path = "out") -> list[dict]:
    lines = (Path(folder) / "manifest.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def clips(folder: str | Path = "out") -> list[str]:
    names = (path.name for path in Path(folder).iterdir())
    return sorted(name for name in names if name[0] != "." and name != "manifest.jsonl")
