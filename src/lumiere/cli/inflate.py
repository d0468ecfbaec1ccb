"""``lumiere inflate``: inflate an image model into a video model."""

from __future__ import annotations

from pathlib import Path

import click

from lumiere.cli.options import Dtype, path_type
from lumiere.errors import InputError

MOTION_KINDS = ("animatediff", "lcm", "lightning", "hotshot")


@click.command()
@click.argument("checkpoint", type=path_type)
@click.option("--out", type=path_type, required=True, metavar="MODEL", help="Folder to write.")
@click.option(
    "--size", type=click.IntRange(8), help="Side of the clips in pixels.  [default: the checkpoint's]"
)
@click.option(
    "--motion",
    type=path_type,
    metavar="WEIGHTS",
    help="Temporal weights to adopt: a diffusers MotionAdapter folder, or AnimateDiff's .safetensors.",
)
@click.option(
    "--motion-kind",
    type=click.Choice(MOTION_KINDS),
    help="Kind of the temporal weights; it sets sampler, steps and guidance.  [default: as their names say]",
)
@click.option(
    "--temporal-resample",
    is_flag=True,
    help="Add temporal resampling to adopted temporal weights, as a warm start for training.",
)
@click.option(
    "--fps",
    type=click.IntRange(1, 1000),
    help="Frame rate of the clips, in frames per second.  [default: 16; 8 with adopted weights]",
)
@click.option(
    "--frames",
    type=click.IntRange(1),
    help="Frames of a clip.  [default: 80; 16 with adopted weights, 8 with Hotshot-XL's]",
)
@click.option(
    "--prediction-type",
    type=click.Choice(["epsilon", "v_prediction", "sample"]),
    help="Prediction type of a single-file checkpoint.  [default: as the file says; else v_prediction for "
    "Stable Diffusion 2.x, and epsilon]",
)
@click.option(
    "--zero-terminal-snr",
    is_flag=True,
    help="Rescale the noise schedule to zero terminal SNR, for a v-prediction checkpoint that was trained so "
    "and does not say it.",
)
@click.option("--dtype", type=Dtype(), help="Precision of the stored weights.  [default: the checkpoint's]")
@click.option(
    "--seed", type=click.IntRange(0, 2**53), default=0, show_default=True, help="Seed of the temporal layers."
)
def command(
    checkpoint: Path,
    out: Path,
    size: int | None,
    motion: Path | None,
    motion_kind: str | None,
    temporal_resample: bool,
    fps: int | None,
    frames: int | None,
    prediction_type: str | None,
    zero_terminal_snr: bool,
    dtype: str | None,
    seed: int,
) -> None:
    """Inflate the text-to-image model CHECKPOINT into the video model MODEL, and print its folder.

    CHECKPOINT is a diffusers folder with a UNet2DConditionModel (Stable Diffusion 1.x, 2.x and XL,
    DeepFloyd-IF, ...), or a Stable Diffusion .safetensors file. Its text encoder, VAE and noise schedule are
    kept. The temporal layers start as the identity and must be trained.

    With --motion the temporal layers are AnimateDiff's (v1, v2, v3, SDXL, AnimateLCM, Lightning) or
    Hotshot-XL's; a folder of ModelScope or ZeroScope has its own. Such a model generates without training.

    \b
    lumiere inflate stable-diffusion-v1-5 --out inflated
    lumiere inflate model.safetensors --out inflated --dtype float16
    lumiere inflate stable-diffusion-v1-5 --motion v3_sd15_mm.safetensors --out animated
    lumiere inflate zeroscope_v2_576w --out zeroscope
    lumiere generate "a red cat" --model animated
    """
    if motion_kind is not None and motion is None:
        raise InputError(f"--motion-kind {motion_kind} needs a --motion")
    from lumiere.io.files import check_parent

    if out.exists() or out.is_symlink():
        raise InputError(f"{out} exists; choose another name")
    check_parent(out)

    import torch

    from lumiere.io.checkpoints.motion import read_motion
    from lumiere.pipelines.inflation import inflate, read_image_model

    torch.manual_seed(seed)
    adopted = None if motion is None else read_motion(motion, motion_kind)
    pipe = inflate(
        read_image_model(checkpoint, prediction_type),
        size=size,
        fps=fps,
        frames=frames,
        motion=adopted,
        temporal_resample=temporal_resample,
        zero_terminal_snr=zero_terminal_snr,
    )
    net = pipe.unet
    pipe.save_pretrained(out, dtype=None if dtype is None else getattr(torch, dtype))
    added, image = (sum(p.numel() for p in part.parameters()) for part in (net.temporal, net.spatial))
    click.echo(f"image model {image / 1e6:,.1f} M parameters, added {added / 1e6:,.1f} M", err=True)
    click.echo(out)
