"""How much memory a computation will take, how much there is, and whether a call fits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lumiere.errors import InputError

#: what a CPU's kernels and allocator take over what tensors hold; measured 0.8 to 1.6
OVERHEAD = 1.75


class _LiveBytes(TorchDispatchMode):
    """Adds up the storages that are alive after each operation, and keeps the highest sum."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Skipping it would import torch's compiler, for seconds, to tell it that nothing is compiled here.
        return False

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

    A convolutional net's grow in proportion to its input, so a small input is run to estimate what a
    large one takes.
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


class SamplingMemory:
    """What a text-to-video pipeline estimates of its own memory; a mixin of the pipeline."""

    unet: Any
    codec: Any
    text_encoder: Any
    config: Any
    _execution_device: torch.device
    _denoise: Callable[..., Tensor]
    decode_latents: Callable[[Tensor], Tensor]
    _probed: dict[Any, tuple[int, int, int]]

    @property
    def window_frames(self) -> int:
        """Frames of a window over time: the training clips', or as many as the temporal layers take."""
        frames: int = self.config["frames"]
        if (most := self.unet.max_frames) is None:
            return frames
        factor = self.unet.temporal_factor  # a window is padded to a multiple of it
        return max(1, min(frames, most // factor * factor))

    def memory_bytes(
        self,
        num_frames: int,
        height: int,
        width: int,
        batch_size: int = 1,
        guided: bool = True,
        larger: float = 1.0,
    ) -> int:
        """Bytes that sampling and decoding will take at their highest, over what the weights take.

        Extrapolated from what 8 frames on a grid of 8 x 8 take.

        Args:
            larger: how many times as large as one window all of them are together.
        """
        factor = self.codec.factor
        net, decoding, latents = self._probe()
        ratio = (height // factor) * (width // factor) / 64 * batch_size
        window = min(num_frames, self.window_frames)
        # Copies of the clip live at once: noise, sample, past predictions; decoded slices and their union.
        sampling = ratio / 8 * (window * net * (2 if guided else 1) + num_frames * 6 * latents * larger)
        ratio *= larger
        video = 4 * 3 * num_frames * height * width * batch_size * larger
        # A codec decodes a clip in slices, so that what it takes does not grow with the clip.
        at_once = getattr(self.codec, "frames_at_once", num_frames)
        decoded = decoding * ratio / batch_size * min(num_frames, at_once) / min(8, at_once) + 3 * video
        return int(OVERHEAD * max(sampling, decoded))

    def _probe(self) -> tuple[int, int, int]:
        """Bytes that the net, decoding, and the sample itself take for 8 frames on a grid of 8 x 8."""
        device = self._execution_device
        key = (id(self.unet), id(self.codec), self.unet.dtype, device)
        if key not in self._probed:
            x = torch.zeros(1, self.codec.channels, 8, 8, 8, device=device)
            context = torch.zeros(1, self.text_encoder.length, self.text_encoder.dim, device=device)
            t = torch.zeros((), dtype=torch.long, device=device)
            net = peak_bytes(self.unet, lambda: self._denoise(x, t, context))
            decoding = peak_bytes(self.codec, lambda: self.decode_latents(x[0]))
            self._probed.clear()  # shared with copies of the pipeline, such as a batch's
            self._probed[key] = net, decoding, x.nbytes
        return self._probed[key]

    def check_memory(
        self, num_frames: int, height: int, width: int, batch_size: int, guided: bool, larger: float = 1.0
    ) -> None:
        """Refuse a call whose sampling would not fit, with what would.

        Raises:
            InputError: it needs more memory than is free.
        """

        def need(frames: int) -> int:
            return self.memory_bytes(frames, height, width, batch_size, guided, larger)

        needed, free = need(num_frames), available_bytes(self._execution_device)
        if needed <= free:
            return
        fitting = bisect_right(range(1, num_frames + 1), free, key=need)
        if fitting >= 1:
            would_fit = f"{fitting} frames of this size would fit"
        else:
            side = self.codec.factor
            smaller = (free / need(1)) ** 0.5
            fit_height, fit_width = (int(length * smaller) // side * side for length in (height, width))
            would_fit = (
                f"one frame of {fit_width}x{fit_height} would fit"
                if fit_height and fit_width
                else "not one frame would fit; free some memory"
            )
        raise InputError(
            f"{batch_size} x {num_frames} frames of {width}x{height} need"
            f" about {_gigabytes(needed)} of memory and {_gigabytes(free)} are free; {would_fit}"
        )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2g} GB"
