"""What adopted nets cost beside diffusers' own, at the published sizes, on the meta device.

    python benchmarks/adopted.py

One evaluation with guidance (a batch of 2) of 16 frames of 64 x 64 latents (SDXL: 128 x 128). Operations are
counted; memory is the highest sum of living tensors that the evaluation makes, in half precision, attention
being the unfused one of the meta device for all. Exits with 1 if ours takes more memory, over 1.02 of the
operations, or, with temporal resampling, over 0.65 of them.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from diffusers import MotionAdapter, UNet2DConditionModel, UNet3DConditionModel, UNetMotionModel

from lumiere.io.bundle import cast
from lumiere.io.checkpoints.modelscope import split
from lumiere.io.checkpoints.single_file import published_configuration
from lumiere.models.stunet import STUNet
from lumiere.pipelines.memory import peak_bytes
from lumiere.research.denoising_cost import count_operations

FRAMES = 16
#: by name: family of the image model, middle module, positions
ADAPTERS = {"v1, v3": ("sd1", False, 32), "v2": ("sd1", True, 32), "SDXL": ("sdxl", False, 32)}
OPERATIONS, RESAMPLED = 1.02, 0.65


def nets(name: str) -> tuple[Any, Any, Any]:
    """diffusers' net, ours, and ours with temporal resampling; no weight is anywhere."""
    with torch.device("meta"):
        if name == "ModelScope":
            theirs: Any = UNet3DConditionModel(
                cross_attention_dim=1024, attention_head_dim=64, sample_size=32
            )
            unet, adopted = split("ModelScope", theirs)
            config = adopted.config
        else:
            family, middle, positions = ADAPTERS[name]
            unet = UNet2DConditionModel(**published_configuration(family)["unet"])
            widths = unet.config.block_out_channels
            adapter = MotionAdapter(
                block_out_channels=widths, motion_max_seq_length=positions, use_motion_mid_block=middle
            )
            theirs = UNetMotionModel.from_unet2d(unet, adapter)
            config = {"kind": "animatediff", "middle": middle, "positions": positions}
        resizes = len(unet.config.block_out_channels) - 1
        ours = STUNet.inflate(unet, adopted=config)
        resampled = STUNet.inflate(unet, adopted=config, temporal_resample=[True] * resizes)
    return theirs, ours, resampled


def cost(net: Any, per_frame: bool) -> tuple[int, int]:
    """Operations, and bytes, of one evaluation."""
    config = net.spatial.config if isinstance(net, STUNet) else net.config
    side, width = (128 if config.cross_attention_dim == 2048 else 64), config.cross_attention_dim
    net = cast(net, torch.float16).eval()
    made: dict[str, Any] = {"device": "meta", "dtype": torch.float16}
    x, context = torch.empty(2, 4, FRAMES, side, side, **made), torch.empty(2, 77, width, **made)
    more: dict[str, Any] = {}
    if getattr(config, "addition_embed_type", None) == "text_time":
        pooled = {"text_embeds": torch.empty(2, 1280, **made), "time_ids": torch.empty(2, 6, **made)}
        more = {"added_cond_kwargs": pooled}
    t = torch.empty((), device="meta", dtype=torch.long)
    context = context.repeat_interleave(FRAMES, 0) if per_frame else context

    def step() -> Any:
        return net(x, t, context, **more)

    return count_operations(step), peak_bytes(net, step)


def main() -> int:
    missed = False
    print(f"{'':12}{'TFLOP':>8}{'ours':>8}{'resampled':>11}{'GB':>8}{'ours':>8}{'resampled':>11}")
    for name in (*ADAPTERS, "ModelScope"):
        theirs, ours, resampled = nets(name)
        theirs_costs = cost(theirs, per_frame=name != "ModelScope")
        shares = [
            [mine / other for mine, other in zip(cost(net, False), theirs_costs, strict=True)]
            for net in (ours, resampled)
        ]
        (operations, memory), (fewer, less) = shares
        print(
            f"{name:12}{theirs_costs[0] / 1e12:8.2f}{operations:8.3f}{fewer:11.3f}"
            f"{theirs_costs[1] / 1e9:8.2f}{memory:8.3f}{less:11.3f}"
        )
        missed |= operations > OPERATIONS or fewer > RESAMPLED or memory > 1
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
