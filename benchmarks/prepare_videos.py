"""``lumiere data videos`` on ten thousand videos, some broken: killed, gone on with, called again.

    python benchmarks/prepare_videos.py FOLDER --videos 10000

Writes videos of 32x32 pixels and a second into FOLDER/in, one in twenty broken in one of sixteen ways, and
prepares them into FOLDER/out. Fails unless each broken one is listed with its reason.
"""

from __future__ import annotations

import argparse
import csv
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from broken_videos import broken, good_videos


def make(folder: Path, videos: int) -> dict[str, str]:
    """The videos; of those that are broken, the reasons by name."""
    folder.mkdir(parents=True)
    good = good_videos(folder)
    ways = [*broken(good[0], folder), ("no caption", "no caption", lambda path: path.write_bytes(good[0]))]
    expected = {}
    for n in range(videos):
        path = folder / f"{n:06d}.mp4"
        if n % 20:
            path.write_bytes(good[n % len(good)])
        else:
            _, expected[path.name], spoil = ways[n // 20 % len(ways)]
            spoil(path)
        if expected.get(path.name) != "no caption":
            path.with_suffix(".txt").write_text(f"waves that drift, number {n}")
    return expected


def prepare(folder: Path, jobs: int, kill_after: int = 0) -> str:
    """What the command says; it is killed once so many videos are done."""
    command = [sys.executable, "-m", "lumiere", "data", "videos", f"{folder}/in", "--out", f"{folder}/out"]
    began = time.monotonic()
    run = subprocess.Popen(
        [*command, "--size", "32", "--multiple-of", "8", "--jobs", str(jobs)],
        stdout=subprocess.PIPE,
        text=True,
    )
    journal = folder / "out" / "progress.jsonl"
    while kill_after and run.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") >= kill_after:
            run.send_signal(signal.SIGKILL)
            run.wait()
        time.sleep(0.2)
    said, _ = run.communicate()
    done = journal.read_bytes().count(b"\n")
    print(
        f"--- status {run.returncode} after {time.monotonic() - began:.0f} s; {done} videos done\n{said}",
        flush=True,
    )
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    expected = make(options.folder / "in", options.videos)
    print(f"{options.videos} videos, {len(expected)} of them broken: {dict(Counter(expected.values()))}")
    prepare(options.folder, options.jobs, kill_after=options.videos // 2)
    prepare(options.folder, options.jobs)
    assert "nothing to do" in prepare(options.folder, options.jobs)
    with (options.folder / "out" / "skipped.csv").open(encoding="utf-8", newline="") as file:
        listed = {row["file"]: row["reason"] for row in csv.DictReader(file)}
    assert listed == expected, set(listed.items()) ^ set(expected.items())
    print("every broken video is listed with its reason, and no other")


if __name__ == "__main__":
    main()
