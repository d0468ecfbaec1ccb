"""How much memory a computation will take, how much there is, and whether a call fits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
import torch.nn.functional as F
from accelerate import init_empty_weights
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
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


class _FusedAttention(TorchFunctionMode):
    """Attention on the meta device as fused kernels have it: no matrix of weights is made."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention and args[0].is_meta:
            query, _, value = args[:3]
            return query.new_empty(*query.shape[:-1], value.shape[-1])
        return func(*args, **(kwargs or {}))


def peak_bytes(module: nn.Module, compute: Callable[[], Any]) -> int:
    """Bytes that tensors made in ``compute()`` take at their highest; the weights of ``module`` not counted.

    A convolutional net's grow in proportion to its input, so a small input is run to estimate what a
    large one takes.
    """
    weights = {StorageWeakRef(w.untyped_storage()) for w in (*module.parameters(), *module.buffers())}
    with torch.no_grad(), _FusedAttention(), _LiveBytes(weights) as live:
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


def offloaded_one_by_one(module: nn.Module) -> bool:
    """Whether a net's weights are brought to its device one by one (sequential CPU offload)."""
    return any(each.is_meta for each in module.parameters())


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
        area = ratio / batch_size
        if tile := getattr(self.codec, "tile", None):
            area = min(area, tile**2 / 64)
        decoded = decoding * area * min(num_frames, at_once) / min(8, at_once) + 3 * video
        return int(OVERHEAD * max(sampling, decoded))

    def _probe(self) -> tuple[int, int, int]:
        """Bytes that the net, decoding, and the sample itself take for 8 frames on a grid of 8 x 8."""
        device = self._execution_device
        key = (id(self.unet), id(self.codec), self.unet.dtype, device)
        if key not in self._probed:
            net, codec = self.unet, self.codec
            if offloaded_one_by_one(net):
                # Their weights come and go; what they compute is the same without them.
                device = torch.device("meta")
                with init_empty_weights(include_buffers=True):
                    net, codec = (type(each).from_config(each.config).to(each.dtype) for each in (net, codec))
            x = torch.zeros(1, codec.channels, 8, 8, 8, device=device, dtype=net.dtype)
            context = torch.zeros(1, self.text_encoder.length, self.text_encoder.dim, device=device)
            t = torch.zeros((), dtype=torch.long, device=device)
            of_net = peak_bytes(net, lambda: net(x, t, context.to(x), return_dict=False))
            of_codec = peak_bytes(codec, lambda: codec.decode(x.to(codec.dtype)))
            # Samples are float32 whatever the net computes in.
            self._probed.clear()  # shared with copies of the pipeline, such as a batch's
            self._probed[key] = of_net, of_codec, 4 * x.numel()
        return self._probed[key]

    def _weights_to_come(self) -> int:
        """Bytes of the net's weights if model CPU offload brings them to the device while sampling."""
        if not self.__dict__.get("_all_hooks"):
            return 0
        return sum(each.numel() * each.element_size() for each in self.unet.parameters())

    def check_memory(
        self, num_frames: int, height: int, width: int, batch_size: int, guided: bool, larger: float = 1.0
    ) -> None:
        """Refuse a call whose sampling would not fit, with what would.

        Raises:
            InputError: it needs more memory than is free.
        """

        def need(frames: int) -> int:
            return self.memory_bytes(frames, height, width, batch_size, guided, larger)

        needed, free = need(num_frames) + self._weights_to_come(), available_bytes(self._execution_device)
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
