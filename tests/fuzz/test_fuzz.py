"""Broken calls by seed; `make fuzz` runs thousands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each call is forked")
@pytest.mark.parametrize(("seed", "calls"), [(0, 100), pytest.param(100, 300, marks=pytest.mark.slow)])
def test_broken_calls_end_in_a_clear_line(make_pipe, tiny_upscaler, tmp_path, seed, calls):
    """No traceback, no hang, no file left behind, no memory over the limit."""
    model = tmp_path / "model"
    make_pipe(conditioned=True).save_pretrained(model)
    here = Path(__file__).parent
    command = [sys.executable, here / "run.py", "--calls", str(calls), "--seed", str(seed), "--model", model]
    done = subprocess.run(
        [*map(str, command), "--upscaler", str(tiny_upscaler), "--register", "letter_encoder"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-1000:]}"
    assert f"{calls} calls: " in done.stdout
