"""What general code imports in a fresh interpreter; ``lint-imports`` checks every import statement."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: the parts that know no domain, with modules that import the rest of each
GENERAL = {
    "metrics": ("metrics.report", "metrics.nearest", "metrics.ucf101", "metrics.frequency"),
    "io": ("io.bundle", "io.checkpoints.folder", "io.video", "io.sheet"),
    "batch": ("batch.work", "batch.on_ray"),
    "conditions and styles": ("conditions", "style"),
    "data": ("data.videos.preparing", "data.videos.store"),
    "models and diffusion": ("models.stunet", "diffusion.sampling"),
    "report and study": ("research.report.page", "research.report.reading", "research.study.report"),
}


@pytest.mark.parametrize("modules", GENERAL.values(), ids=GENERAL)
def test_general_code_loads_neither_the_emoji_nor_the_command_line(modules: tuple[str, ...]) -> None:
    names = {f"lumiere.{module}" for module in modules}
    script = f"import sys, {', '.join(sorted(names))}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name.startswith("lumiere.")}
    assert names <= loaded
    assert not {name for name in loaded if name.split(".")[1] in ("emoji", "cli")}
