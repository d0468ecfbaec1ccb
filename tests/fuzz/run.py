"""Broken calls, each in a process of its own: no traceback, no hang, little memory, nothing left behind.

    python tests/fuzz/run.py --calls 2000 --seed 0

The parent has the imports done, and forks a child for each call.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from broken import call
from PIL import Image

SECONDS, GIGABYTES = 10.0, 3.0
_HEAVY = (
    "torch",
    "diffusers",
    "lumiere.pipelines.text_to_video",
    "lumiere.pipelines.superres",
    "lumiere.metrics.report",
)


@dataclass
class Outcome:
    """What became of a call; ``fault`` is empty where it is as it should be."""

    seed: int
    arguments: list[str]
    fault: str
    status: int
    said: str
    seconds: float
    gigabytes: float


def good_files(folder: Path) -> dict[str, bytes]:
    """Small files that are whole, by their endings."""
    import torch

    from lumiere.io.video import Clip

    y, x = np.mgrid[:32, :32]
    frames = np.stack([np.stack([(x * 8 + 5 * t) % 256, y * 8, 9 * t + 0 * x], -1) for t in range(6)])
    clip = Clip(frames.astype(np.uint8), 16, {"prompt": "a frog"})
    files = {
        ending: clip.save(folder / f"clip.{ending}").read_bytes() for ending in ("mp4", "webm", "gif", "webp")
    }
    for name, kind in (("png", "PNG"), ("jpg", "JPEG"), ("tif", "TIFF"), ("webp-still", "WEBP")):
        made = io.BytesIO()
        Image.fromarray(clip.frames[0]).save(made, kind)
        files[name] = made.getvalue()
    made = io.BytesIO()
    torch.save({"state_dict": {"conv.weight": torch.ones(4, 4), "conv.bias": torch.zeros(4)}}, made)
    return {**files, "pt": made.getvalue()}


def warm_up(*others: str) -> None:
    """Import what calls import, once for all of them."""
    import importlib

    from lumiere.cli import VERBS

    for name in (*_HEAVY, *others, *(module for module, _ in VERBS.values())):
        importlib.import_module(name)


def run(seed: int, good: dict[str, bytes], models: tuple[Path, Path]) -> Outcome:
    """One call, in a forked process and a folder of its own."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        arguments = call(random.Random(seed), folder, good, models)
        before = _listed(folder)
        said, began = folder.parent / f"{folder.name}.said", time.monotonic()
        child = os.fork()
        if not child:
            _call(arguments, folder, said)
        status, usage, stopped = _waited(child, began)
        text = said.read_text("utf-8", "replace")
        said.unlink()
        left = _listed(folder) - before
        outcome = Outcome(
            seed,
            arguments,
            "",
            status,
            text[-3000:],
            usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss / 2**20,
        )
        outcome.fault = stopped or _fault(outcome, left)
        _free(folder)
        return outcome


def _call(arguments: list[str], folder: Path, said: Path) -> None:
    os.chdir(folder)
    os.setsid()
    # Processes that a call spawns would import this file as their main module.
    this = sys.modules["__main__"]
    this.__file__ = this.__spec__ = None
    resource.setrlimit(resource.RLIMIT_CPU, (int(SECONDS) + 2, int(SECONDS) + 2))
    file = os.open(said, os.O_WRONLY | os.O_CREAT)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (file, 1), (file, 2)):
        os.dup2(source, target)
    status = 70
    try:
        from lumiere.cli import main

        main(arguments)
    except SystemExit as exit:
        status = exit.code if isinstance(exit.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _waited(child: int, began: float) -> tuple[int, resource.struct_rusage, str]:
    stopped = ""
    while True:
        found, status, usage = os.wait4(child, os.WNOHANG)
        if found:
            code = os.waitstatus_to_exitcode(status)
            if code == -signal.SIGXCPU or (code == -signal.SIGKILL and not stopped):
                stopped = "hang"
            return code, usage, stopped
        memory = _resident(child)
        # Waiting costs no CPU time; on a busy machine work takes long on the clock.
        if not stopped and (memory > GIGABYTES or time.monotonic() - began > 6 * SECONDS):
            stopped = "memory" if memory > GIGABYTES else "hang"
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)


def _resident(child: int) -> float:
    try:
        pages = int(Path(f"/proc/{child}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * resource.getpagesize() / 2**30


def _fault(outcome: Outcome, left: set[str]) -> str:
    if "Traceback (most recent call last)" in outcome.said or outcome.status == 70:
        return "traceback"
    if outcome.status < 0:
        return f"signal {-outcome.status}"
    if outcome.seconds > SECONDS:
        return "hang"
    if outcome.gigabytes > GIGABYTES:
        return "memory"
    lines = [line for line in outcome.said.splitlines() if line.startswith("error: ")]
    if outcome.status == 2 and len(lines) != 1:
        return "no clear line"
    if "\x1b[2J" in outcome.said:
        return "escape sequence"
    if outcome.status not in (0, 1, 2):
        return f"exit code {outcome.status}"
    # A list of what was skipped is the result of preparing data that none can be used of.
    made = outcome.arguments[0] == "data" or outcome.status != 2
    if any(".part" in name for name in left) or (left and not made):
        return f"left behind: {', '.join(sorted(left))[:200]}"
    return ""


def _listed(folder: Path) -> set[str]:
    return {
        os.path.relpath(os.path.join(where, name), folder)
        for where, _, names in os.walk(folder)
        for name in names
    }


def _free(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="emoji", help="model of the calls that sample")
    parser.add_argument("--upscaler", default="emoji-upscaler")
    parser.add_argument(
        "--register", action="append", default=[], help="module of classes that the model names"
    )
    options = parser.parse_args()
    warm_up(*options.register)
    from lumiere.io.bundle import resolve

    models = resolve(options.model).absolute(), resolve(options.upscaler).absolute()
    with tempfile.TemporaryDirectory() as folder:
        good = good_files(Path(folder))
    counts: Counter[str] = Counter()
    cpu = most = 0.0
    for seed in range(options.seed, options.seed + options.calls):
        outcome = run(seed, good, models)
        cpu, most = cpu + outcome.seconds, max(most, outcome.gigabytes)
        counts[outcome.fault or ("refused" if outcome.status else "accepted")] += 1
        if outcome.fault:
            print(
                f"\nseed {seed}: {outcome.fault} after {outcome.seconds:.1f} s, {outcome.gigabytes:.1f} GB\n"
                f"{[part[:120] for part in outcome.arguments]}\n{outcome.said[-1200:]}",
                flush=True,
            )
    print(
        f"{options.calls} calls: {dict(counts)}; {cpu:.0f} s of CPU time, at most {most:.1f} GB", flush=True
    )
    sys.exit(any(fault not in ("refused", "accepted") for fault in counts))


if __name__ == "__main__":
    main()
