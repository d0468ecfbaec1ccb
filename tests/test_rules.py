"""What general code imports in a fresh interpreter; ``lint-imports`` checks every import statement."""

from __future__ import annotations

import json
import subprocess
import sys

#: the parts that know no domain, with modules that import the rest of each
GENERAL = {
    "metrics": ["metrics.report", "metrics.nearest", "metrics.ucf101", "metrics.frequency"],
    "io": ["io.bundle", "io.checkpoints.folder", "io.video", "io.sheet"],
    "batch": ["batch.work", "batch.on_ray"],
    "conditions and styles": ["conditions", "style"],
    "data": ["data.videos.preparing", "data.videos.store"],
    "models and diffusion": ["models.stunet", "models.text", "diffusion.sampling"],
    "report and study": ["research.report.page", "research.report.reading", "research.study.report"],
}
_SCRIPT = """
import importlib, json, sys
loaded = {}
for part, modules in json.loads(sys.argv[1]).items():
    for module in modules:
        importlib.import_module(f"lumiere.{module}")
    loaded[part] = [name for name in sys.modules if name.startswith(("lumiere.emoji", "lumiere.cli"))]
print(json.dumps(loaded))
"""


def test_general_code_loads_neither_the_emoji_nor_the_command_line() -> None:
    arguments = [sys.executable, "-c", _SCRIPT, json.dumps(GENERAL)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == {part: [] for part in GENERAL}
