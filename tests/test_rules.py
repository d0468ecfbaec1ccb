"""What general code imports in a fresh interpreter; ``lint-imports`` checks every import statement."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: the parts that know no domain, with the modules that they import on first use
GENERAL = {
    "metrics": "lumiere.metrics.report lumiere.metrics.nearest lumiere.metrics.ucf101 lumiere.metrics.frequency",
    "io": "lumiere.io.bundle lumiere.io.checkpoints.folder lumiere.io.video lumiere.io.sheet",
    "batch": "lumiere.batch.work lumiere.batch.on_ray",
    "conditions and styles": "lumiere.conditions lumiere.style",
    "data": "lumiere.data.videos.preparing lumiere.data.videos.store",
    "models and diffusion": "lumiere.models.stunet lumiere.diffusion.sampling",
    "report and study": "lumiere.research.report.page lumiere.research.report.reading lumiere.research.study.report",
}


@pytest.mark.parametrize("modules", GENERAL.values(), ids=GENERAL)
def test_general_code_does_not_load_the_emoji_or_the_command_line(modules: str) -> None:
    script = f"import sys, {', '.join(modules.split())}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name.startswith("lumiere.")}
    assert set(modules.split()) <= loaded
    assert not {name for name in loaded if name.split(".")[1] in ("emoji", "cli")}
