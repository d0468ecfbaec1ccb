"""Time and memory of the condition of a large photograph, without a model.

    python benchmarks/condition.py [--width 4000] [--height 3000] [--size 128] [--frames 80]

A JPEG of a gradient with noise is read with ``conditions.from_image`` and expanded to the clip that a model
of ``--size`` pixels makes. The memory is the process's peak, above what it has after its imports.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from lumiere import conditions


def write_photograph(path: Path, height: int, width: int) -> None:
    ramp = np.linspace(0, 200, width) + np.linspace(0, 40, height)[:, None]
    noise = np.random.default_rng(0).integers(0, 16, (height, width, 3))
    Image.fromarray((ramp[..., None] + noise).clip(0, 255).astype(np.uint8)).save(path, quality=92)


def measure(path: Path, frames: int, size: int) -> None:
    Image.init()
    before = _peak_megabytes()
    started, cpu_started = time.perf_counter(), time.process_time()
    condition = conditions.from_image(path)
    longer = max(condition.height, condition.width)
    height, width = (round(side * size / longer) for side in (condition.height, condition.width))
    clip = condition.at(frames, height, width)
    video, known = clip.video, clip.known
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    print(f"{condition.width}x{condition.height} to {video.shape} and {known.shape}:")
    print(f"{seconds:.2f} s, {cpu:.2f} s of them on the CPU, {_peak_megabytes() - before:.0f} MB")


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("width", 4000), ("height", 3000), ("size", 128), ("frames", 80)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photograph.jpg"
        # In a process of its own, for this one's peak to be that of the condition.
        maker = multiprocessing.get_context("spawn").Process(
            target=write_photograph, args=(path, arguments.height, arguments.width)
        )
        maker.start()
        maker.join()
        measure(path, arguments.frames, arguments.size)


if __name__ == "__main__":
    main()
