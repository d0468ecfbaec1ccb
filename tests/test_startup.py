"""What generating a clip must not import, and that diffusers is whole nevertheless."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("peft", "scipy", "sympy", "torch._dynamo", "transformers")
UNUSED = ("diffusers.models.transformers.transformer_flux", "lumiere.train", "lumiere.research", "pandas")

GENERATE = """
import json, sys
from lumiere.cli import main
try:
    main(["generate", "a cat", "--frames", "2", "--steps", "1", "--out", {out!r}])
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted(sys.modules)))
"""

DIFFUSERS = """
import sys, torch
from lumiere.startup import light_imports
with light_imports():
    from lumiere import LumierePipeline, STUNet
assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)
import diffusers
from diffusers.loaders import lora_base
from diffusers.models.transformers import FluxTransformer2DModel
from diffusers.utils.torch_utils import is_compiled_module
net = torch.nn.Linear(2, 2)
assert not isinstance(net, lora_base.BaseTunerLayer) and "peft" not in sys.modules
assert not is_compiled_module(net)
from peft import LoraConfig, inject_adapter_in_model
adapted = inject_adapter_in_model(LoraConfig(target_modules=["0"]), torch.nn.Sequential(net))
assert isinstance(adapted[0], lora_base.BaseTunerLayer)
assert is_compiled_module(torch.compile(net))
scheduler = diffusers.DPMSolverMultistepScheduler(use_beta_sigmas=True)
scheduler.set_timesteps(3)  # by scipy.stats.beta
assert len(scheduler.timesteps) == 3 and "scipy.stats" in sys.modules
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    out = tmp_path_factory.mktemp("clip") / "cat.mp4"
    lines = run(GENERATE.format(out=str(out))).splitlines()
    assert out.is_file()
    return set(json.loads(lines[-1]))


@pytest.mark.parametrize("name", [*HEAVY, *UNUSED])
def test_generating_imports_nothing_that_it_does_not_need(imported, name):
    assert not [each for each in imported if each == name or each.startswith(f"{name}.")]


def test_what_was_put_off_is_there_when_it_is_used():
    run(DIFFUSERS.format(heavy=set(HEAVY)))
