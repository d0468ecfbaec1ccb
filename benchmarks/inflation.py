"""Inflation at full width: the published configurations of Stable Diffusion, without their weights.

    python benchmarks/inflation.py            # parameters and shapes, on the meta device
    python benchmarks/inflation.py --run sd1  # and with random weights in bfloat16; takes 3 GB for sd1

What is run is a clip of equal frames; every frame is compared with what diffusers' own
``UNet2DConditionModel`` makes of the one picture.
"""

from __future__ import annotations

import argparse
import resource
import time

import torch
from diffusers import UNet2DConditionModel

from lumiere.io.checkpoints.single_file import FAMILIES, published_configuration
from lumiere.models.stunet import STUNet

FRAMES, SIDE = 8, 8


def inputs(unet: UNet2DConditionModel) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture and a text, as the net's own device and type have them."""
    config = unet.config
    tokens = 78 if config.addition_embed_type == "text_time" else 77
    made = {"device": unet.device, "dtype": unet.dtype}
    return torch.randn(1, 4, SIDE, SIDE, **made), torch.randn(1, tokens, config.cross_attention_dim, **made)


def shapes(family: str) -> None:
    """Inflate and call on the meta device, where nothing is computed."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**published_configuration(family)["unet"])
    net = STUNet.inflate(unet)
    picture, context = inputs(unet)
    clip = picture[:, :, None].expand(-1, -1, FRAMES, -1, -1)
    with torch.no_grad():
        made = net(clip, torch.tensor(500, device="meta"), context).sample
    image, added = (sum(p.numel() for p in part.parameters()) / 1e6 for part in (net.spatial, net.temporal))
    print(f"{family:5} {image:8.1f} {added:8.1f}  {tuple(made.shape)}")


@torch.no_grad()
def equality(family: str) -> None:
    """Inflate with random weights, and compare frame by frame."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    unet = UNet2DConditionModel(**published_configuration(family)["unet"]).eval()
    net = STUNet.inflate(unet)
    picture, context = inputs(unet)
    started = time.perf_counter()
    expected = unet(picture, 500, context).sample.float()
    clip = picture[:, :, None].expand(-1, -1, FRAMES, -1, -1)
    made = net(clip, 500, context).sample.float()
    worst = (made - expected[:, :, None]).abs().amax((0, 1, 3, 4))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{family} in bfloat16, standard deviation {expected.std():.4f}; largest difference by frame:")
    print(" ".join(f"{each:.1e}" for each in worst.tolist()))
    print(f"{time.perf_counter() - started:.0f} s, {peak:.1f} GB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", choices=["sd1", "sd2"])
    arguments = parser.parse_args()
    print(f"{'':5} {'M image':>8} {'M added':>8}  shape of a prediction")
    for family in FAMILIES.values():
        shapes(family)
    if arguments.run:
        equality(arguments.run)


if __name__ == "__main__":
    main()
