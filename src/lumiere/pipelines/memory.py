"""How much memory a computation will take, and how much there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _LiveBytes(TorchDispatchMode):
    """Adds up the storages that are alive after each operation, and keeps the highest sum."""

    def __init__(self, uncounted: set[StorageWeakRef]) -> None:
        super().__init__()
        self.peak = 0
        self.uncounted = uncounted
        self.sizes: dict[StorageWeakRef, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if (ref := StorageWeakRef(storage)) not in self.uncounted:
                    self.sizes[ref] = storage.nbytes()
        self.sizes = {ref: size for ref, size in self.sizes.items() if not ref.expired()}
        self.peak = max(self.peak, sum(self.sizes.values()))
        return out


def peak_bytes(module: nn.Module, compute: Callable[[], Any]) -> int:
    """Bytes that tensors made in ``compute()`` take at their highest; the weights of ``module`` not counted.

    A convolutional net's grow in proportion to its input, so that running it on a small input tells what a
    large one will take.
    """
    weights = {StorageWeakRef(w.untyped_storage()) for w in (*module.parameters(), *module.buffers())}
    with torch.no_grad(), _LiveBytes(weights) as live:
        compute()
    return live.peak


def available_bytes(device: torch.device) -> int:
    """Bytes that can still be allocated on ``device``; on the CPU, within the container's limit."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return min(psutil.virtual_memory().available, _cgroup_bytes())


def _cgroup_bytes() -> int:
    folder = Path("/sys/fs/cgroup")
    try:
        limit = int((folder / "memory.max").read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        # Cached files count as used but are dropped when memory is wanted.
        return limit - int((folder / "memory.current").read_text()) + int(stat["inactive_file"])
    except (OSError, ValueError, KeyError):  # no cgroup v2, or no limit ("max")
        return torch.iinfo(torch.int64).max
