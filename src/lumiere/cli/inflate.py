"""``lumiere inflate``: inflate an image model into a video model."""

from __future__ import annotations

from pathlib import Path

import click

from lumiere.cli.options import Dtype, path_type
from lumiere.errors import InputError


@click.command()
@click.argument("checkpoint", type=path_type)
@click.option("--out", type=path_type, required=True, metavar="MODEL", help="Folder to write.")
@click.option(
    "--size", type=click.IntRange(8), help="Side of the clips in pixels.  [default: the checkpoint's]"
)
@click.option(
    "--fps",
    type=click.IntRange(1, 1000),
    default=16,
    show_default=True,
    help="Frame rate of the clips, in frames per second.",
)
@click.option("--frames", type=click.IntRange(1), default=80, show_default=True, help="Frames of a clip.")
@click.option(
    "--prediction-type",
    type=click.Choice(["epsilon", "v_prediction", "sample"]),
    help="Prediction type of a single-file checkpoint.  [default: v_prediction for Stable Diffusion 2.x, "
    "else epsilon]",
)
@click.option("--dtype", type=Dtype(), help="Precision of the stored weights.  [default: the checkpoint's]")
@click.option(
    "--seed", type=click.IntRange(0, 2**53), default=0, show_default=True, help="Seed of the temporal layers."
)
def command(
    checkpoint: Path,
    out: Path,
    size: int | None,
    fps: int,
    frames: int,
    prediction_type: str | None,
    dtype: str | None,
    seed: int,
) -> None:
    """Inflate the text-to-image model CHECKPOINT into the video model MODEL, and print its folder.

    CHECKPOINT is a diffusers folder with a UNet2DConditionModel (Stable Diffusion 1.x, 2.x and XL,
    DeepFloyd-IF, ...), or a Stable Diffusion .safetensors file. Its text encoder, VAE and noise schedule are
    kept. The temporal layers start as the identity and must be trained.

    \b
    lumiere inflate stable-diffusion-v1-5 --out inflated
    lumiere inflate model.safetensors --out inflated --dtype float16
    lumiere generate "a red cat" --model inflated --frames 16
    """
    from lumiere.io.files import check_parent

    if out.exists() or out.is_symlink():
        raise InputError(f"{out} exists; choose another name")
    check_parent(out)

    import torch

    from lumiere.pipelines.inflation import inflate, read_image_model

    torch.manual_seed(seed)
    pipe = inflate(read_image_model(checkpoint, prediction_type), size=size, fps=fps, frames=frames)
    net = pipe.unet
    pipe.save_pretrained(out, dtype=None if dtype is None else getattr(torch, dtype))
    added, image = (sum(p.numel() for p in part.parameters()) for part in (net.temporal, net.spatial))
    click.echo(f"image model {image / 1e6:,.1f} M parameters, added {added / 1e6:,.1f} M", err=True)
    click.echo(out)
