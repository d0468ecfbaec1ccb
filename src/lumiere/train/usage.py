"""Hardware and time that a run used, recorded in a file beside its checkpoints."""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from lumiere.io.files import replacing

USAGE = "usage.json"


class Usage:
    """The time from here on, until the run ends or is stopped: one entry of a run's ``usage.json``, after
    those that are there.

    An entry has ``began``, ``cpu``, ``cores`` (that this process may use), ``gpu`` (None without one),
    ``processes``, ``first_step``, ``last_step``, ``hours`` and ``gpu_hours`` (of all processes); and of the
    first process ``core_hours``, for which CPU cores were busy, and ``peak_gb``, memory of the GPU if there
    is one.
    """

    def __init__(self, path: Path, device: torch.device, processes: int, first_step: int):
        self.path, self.device, self.processes = path, device, processes
        self.before: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.exists() else []
        self.clock, self.busy = time.monotonic(), time.process_time()
        self.about = {
            "began": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "cpu": cpu_name(),
            "cores": _cores(),
            "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
            "processes": processes,
            "first_step": first_step,
        }

    def write(self, step: int) -> list[dict[str, Any]]:
        """Bring the file up to date; gives all of its entries."""
        hours = (time.monotonic() - self.clock) / 3600
        entry = self.about | {
            "last_step": step,
            "hours": round(hours, 4),
            "gpu_hours": round(hours * self.processes, 4) if self.device.type == "cuda" else 0.0,
            "core_hours": round((time.process_time() - self.busy) / 3600, 4),
            "peak_gb": round(peak_bytes(self.device) / 1e9, 2),
        }
        entries = [*self.before, entry]
        with replacing(self.path) as part:
            part.write_text(json.dumps(entries, indent=1) + "\n", "utf-8")
        return entries


def in_words(entries: list[dict[str, Any]]) -> str:
    """All of a run's entries: "2.31 core-hours and 1.2 GPU-hours; AMD EPYC 9B14, NVIDIA H100"."""
    core_hours, gpu_hours = (sum(each[key] for each in entries) for key in ("core_hours", "gpu_hours"))
    used = f"{core_hours:.3g} core-hours" + (f" and {gpu_hours:.3g} GPU-hours" if gpu_hours else "")
    names = [each[key] for each in entries for key in ("cpu", "gpu") if each[key]]
    return f"{used}; {', '.join(dict.fromkeys(names))}"


def cpu_name() -> str:
    """As the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_bytes(device: torch.device) -> int:
    """The most memory that this process has had: the GPU's if it uses one."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return resident if sys.platform == "darwin" else resident * 1024
