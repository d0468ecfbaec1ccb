"""Checkpoints: folders that are written atomically, without pickles.

``step-00001000/`` holds ``weights.safetensors`` and ``ema.safetensors`` (trained parameters, by name),
``optimizer.safetensors`` (the optimizer's state, ``{name}.{key}``) and ``state.json``: step, seconds,
configuration, hashes of the frozen models and of these files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from lumiere.errors import InputError
from lumiere.io.bundle import sha256
from lumiere.io.files import replacing

STATE = "state.json"
TENSORS = ("weights", "ema", "optimizer")
#: keys that do not change the computation of a step, and may differ on resume
FREE = ("run.", "name", "init", "data.workers", "data.cache", "samples.")
#: keys that, with the number of processes, determine the samples of a step
BATCH = ("data.batch_size", "optim.accumulate")


@dataclass(frozen=True)
class Checkpoint:
    step: int
    seconds: float
    config: Mapping[str, Any]
    frozen: Mapping[str, str]
    #: of all processes
    samples_per_step: int
    weights: Mapping[str, Tensor]
    ema: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]


def save(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write a checkpoint into ``folder``, then remove all but the newest ``keep``."""
    path = folder / f"step-{checkpoint.step:08d}"
    with replacing(path) as beside:
        beside.mkdir()
        for kind in TENSORS:
            tensors = {name: value.detach().contiguous() for name, value in getattr(checkpoint, kind).items()}
            save_file(tensors, beside / f"{kind}.safetensors")
        state = {
            "step": checkpoint.step,
            "seconds": checkpoint.seconds,
            "config": dict(checkpoint.config),
            "frozen": dict(checkpoint.frozen),
            "samples_per_step": checkpoint.samples_per_step,
            "sha256": {kind: sha256(beside / f"{kind}.safetensors") for kind in TENSORS},
        }
        (beside / STATE).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    for old in all_in(folder)[keep:]:
        shutil.rmtree(old)
    return path


def all_in(folder: Path) -> list[Path]:
    """Checkpoints, the newest first."""
    return sorted(folder.glob("step-" + "[0-9]" * 8), reverse=True)


def load_latest(folder: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest undamaged checkpoint; None if the folder holds none.

    Raises :class:`InputError` if all of them are damaged.
    """
    paths = all_in(folder)
    for path in paths:
        try:
            return _load(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            warn(f"warning: the checkpoint {path} is damaged ({error}); trying the one before it")
    if paths:
        raise InputError(f"every checkpoint in {folder} is damaged; start over with --restart")
    return None


def _load(path: Path) -> Checkpoint:
    state = json.loads((path / STATE).read_text(encoding="utf-8"))
    for kind in TENSORS:
        if sha256(path / f"{kind}.safetensors") != state["sha256"][kind]:
            raise ValueError(f"{kind}.safetensors is truncated or altered")
    tensors = {kind: load_file(path / f"{kind}.safetensors") for kind in TENSORS}
    config = state["config"]
    return Checkpoint(
        state["step"], state["seconds"], config, state["frozen"], state["samples_per_step"], **tensors
    )


def check_same(
    checkpoint: Checkpoint, config: Mapping[str, Any], frozen: Mapping[str, str], processes: int = 1
) -> None:
    """Raise :class:`InputError` naming the first key in which a run differs from the checkpoint's."""
    batch_size, accumulate = (config[key] for key in BATCH)
    wanted, samples = checkpoint.samples_per_step, batch_size * accumulate * processes
    if samples != wanted:
        parts, rest = divmod(wanted, batch_size * processes)
        advice = "use as many" if rest else f"set optim.accumulate to {parts}"
        raise InputError(
            f"the checkpoint at step {checkpoint.step} was made with {wanted} samples a step, not {samples}, "
            f"as data.batch_size = {batch_size}, optim.accumulate = {accumulate} and {processes} processes "
            f"make; {advice}, or start over with --restart"
        )
    for key in sorted(config.keys() | checkpoint.config.keys()):
        if key.startswith(FREE) or key in BATCH:
            continue
        old, new = checkpoint.config.get(key), config.get(key)
        if old != new:
            raise InputError(
                f"the checkpoint at step {checkpoint.step} was made with {key} = {old!r}, not {new!r} as the "
                f"configuration says; set it back, or start over with --restart"
            )
    for part, old in checkpoint.frozen.items():
        if frozen.get(part) != old:
            raise InputError(
                f"the {part} has changed since the checkpoint at step {checkpoint.step} was made; put the "
                "old one back, or start over with --restart"
            )
