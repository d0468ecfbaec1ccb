"""Where the seconds of ``lumiere generate`` go: CPU time of its parts, in one process.

    OMP_NUM_THREADS=1 python benchmarks/startup.py --dtype float32

Arguments are those of the verb. CPU time does not depend on what else the machine does; the best of several
runs counts.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

PROMPT = "a frog growing on a purple background"
seconds: Counter[str] = Counter()
last = time.process_time()


def until_now(part: str) -> None:
    """Count the time since the last call for ``part``."""
    global last
    now = time.process_time()
    seconds[part] += now - last
    last = now


def timed(where: Any, name: str, before: str, part: str) -> None:
    """Count calls of ``where.name`` for ``part``, and the time before each for ``before``."""
    function: Callable[..., Any] = getattr(where, name)

    def called(*args: Any, **kwargs: Any) -> Any:
        until_now(before)
        try:
            return function(*args, **kwargs)
        finally:
            until_now(part)

    setattr(where, name, called)


def main() -> None:
    from lumiere.cli import main as lumiere
    from lumiere.startup import light_imports

    with light_imports():
        from lumiere.io import bundle
        from lumiere.io.video import Clip
        from lumiere.pipelines import text_to_video
    timed(bundle, "verify", "imports", "loading")
    timed(bundle, "load_component", "loading", "loading")
    timed(text_to_video, "prepare_request", "loading", "checks and first frame")
    timed(text_to_video, "sample_latents", "checks and first frame", "sampling")
    timed(text_to_video, "decode", "sampling", "decoding and warp net")
    timed(Clip, "save", "decoding and warp net", "encoding")
    with TemporaryDirectory() as folder:
        try:
            lumiere(["generate", PROMPT, "--seed", "7", "--out", f"{folder}/clip.mp4", *sys.argv[1:]])
        except SystemExit as end:
            if end.code:
                raise
    for part, each in seconds.items():
        print(f"{part:24}{each:6.2f}")
    print(f"{'total':24}{sum(seconds.values()):6.2f}")


if __name__ == "__main__":
    main()
