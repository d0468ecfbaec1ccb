"""What one denoising step costs: the space-time net beside others of the same widths.

Each measurement is a fresh process (``python -m lumiere.research.denoising_cost NET``), so that no net
inherits another's memory, and the nets take turns, so that a slow minute of the machine hits all of them.
"""

from __future__ import annotations

import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from lumiere.errors import InputError

WIDTHS = (64, 128, 256, 256)
TEXT = (24, 384)  # tokens, width
SIZE = 32
ATTENDS = (False, False, True, True)  # whether a level has spatial transformers, from the finest

NETS = {
    "stunet": "our STUNet",
    "image": "its 2-D net, every frame",
    "no-resampling": "STUNet without temporal resampling",
    "motion": "diffusers UNetMotionModel",
    "unet3d": "diffusers UNet3DConditionModel",
}


@dataclass(frozen=True)
class Cost:
    """One process's measure of one net.

    ``seconds`` and ``cpu_seconds`` (of all threads) are medians over denoising steps after one that warms up;
    ``matrix_rate`` is operations per second of a float32 matrix product in the same process, right after;
    ``memory`` is the process's peak in bytes; ``operations`` counts a multiplication and an addition as two.
    """

    net: str
    frames: int
    parameters: int
    operations: int
    seconds: float
    cpu_seconds: float
    matrix_rate: float
    memory: int

    @property
    def share(self) -> float:
        """Part of the machine's own matrix-product rate that the step reaches."""
        return self.operations / self.seconds / self.matrix_rate


def build(net: str, frames: int) -> tuple[Any, Callable[[], Any]]:
    """A net with random weights, and a function that runs one denoising step of it.

    All take RGB frames of 32 x 32 and a context of 24 x 384, have spatial transformers at the two coarsest
    levels, and run in the memory layout that is fastest for them.
    """
    import torch
    from diffusers import UNet2DConditionModel, UNet3DConditionModel, UNetMotionModel

    from lumiere.models.stunet import STUNet

    def options(suffix: str) -> dict[str, Any]:
        names = [f"{'CrossAttn' * attends}{{}}Block{suffix}" for attends in ATTENDS]
        return {
            "sample_size": SIZE,
            "in_channels": 3,
            "out_channels": 3,
            "block_out_channels": WIDTHS,
            "down_block_types": [name.format("Down") for name in names],
            "up_block_types": [name.format("Up") for name in reversed(names)],
            "cross_attention_dim": TEXT[1],
        }

    clip, context = torch.randn(1, 3, frames, SIZE, SIZE), torch.randn(1, *TEXT)
    per_frame = context.expand(frames, -1, -1)
    if net == "unet3d":
        model = UNet3DConditionModel(**options("3D"), attention_head_dim=8)
        return model, lambda: model(clip, 500, context)
    if net == "motion":
        model = UNetMotionModel(
            **options("Motion"), num_attention_heads=8, motion_max_seq_length=max(32, frames)
        )
        model.to(memory_format=torch.channels_last)
        return model, lambda: model(clip, 500, per_frame)
    image = UNet2DConditionModel(**options("2D"), attention_head_dim=8).to(memory_format=torch.channels_last)
    if net == "image":
        images = clip[0].transpose(0, 1)
        return image, lambda: image(images, 500, per_frame)
    model = STUNet.inflate(image, temporal_resample=[False] * 3 if net == "no-resampling" else None)
    return model, lambda: model(clip, 500, context)


def count_operations(step: Callable[[], Any]) -> int:
    """Operations of matrix products, convolutions and attention in one call of ``step``."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

    def attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        return sdpa_flop_count(query, key, value)

    # PyTorch's counter knows the GPU kernels of attention only.
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    with FlopCounterMode(display=False, custom_mapping={kernel: attention}) as counter, torch.no_grad():
        step()
    return counter.get_total_flops()


def _matrix_rate() -> float:
    import torch

    side = 1024
    matrix = torch.randn(side, side)
    times = []
    for _ in range(9):
        start = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - start)
    return 2 * side**3 / statistics.median(times[1:])


def measure_here(net: str, frames: int, steps: int = 3) -> Cost:
    """Measure in this process, which should be fresh."""
    import torch

    torch.manual_seed(0)
    model, step = build(net, frames)
    model.eval()
    walls, cpus = [], []
    with torch.no_grad():
        for _ in range(steps + 1):
            wall, cpu = time.perf_counter(), time.process_time()
            step()
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (
        1024 if sys.platform == "darwin" else 1
    )
    return Cost(
        net=net,
        frames=frames,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        seconds=statistics.median(walls[1:]),
        cpu_seconds=statistics.median(cpus[1:]),
        matrix_rate=_matrix_rate(),
        memory=1024 * kilobytes,
        operations=count_operations(step),
    )


def measure(net: str, frames: int, threads: int | None = None) -> Cost:
    """Measure in a fresh process; ``threads`` for PyTorch there, its own choice if None.

    Raises:
        InputError: if there is no such net.
        RuntimeError: if that process fails, with the last line of what it said.
    """
    if net not in NETS:
        raise InputError(f"there is no net {net!r} to measure; there are {', '.join(NETS)}")
    environment = os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    command = [sys.executable, "-m", "lumiere.research.denoising_cost", net, str(frames)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["killed, probably for want of memory"])[-1]
        raise RuntimeError(f"measuring {net} at {frames} frames failed ({done.returncode}): {last}")
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def rounds(cases: Sequence[tuple[str, int]], repeats: int, threads: int | None = None) -> Iterator[Cost]:
    """Measure each case, a net and a number of frames, ``repeats`` times, taking turns."""
    for _ in range(repeats):
        for net, frames in cases:
            yield measure(net, frames, threads)


def median(costs: Sequence[Cost]) -> Cost:
    """Field by field, over measures of one net at one number of frames."""
    middle = {
        name: statistics.median(getattr(cost, name) for cost in costs)
        for name in ("seconds", "cpu_seconds", "matrix_rate")
    }
    return replace(costs[0], memory=statistics.median_low([cost.memory for cost in costs]), **middle)


def exponent(costs: Sequence[Cost]) -> float:
    """The power of the number of frames that the time grows with: least squares on logarithms."""
    frames = [math.log(cost.frames) for cost in costs]
    times = [math.log(cost.seconds) for cost in costs]
    return statistics.linear_regression(frames, times).slope


if __name__ == "__main__":
    print(json.dumps(asdict(measure_here(sys.argv[1], int(sys.argv[2])))))
