"""Options that several verbs share, and their parsing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import click

from lumiere.errors import InputError
from lumiere.io.limits import check_size
from lumiere.io.source import check_path


class PathType(click.Path):
    """A path that is no named pipe, device, socket or loop of links: opening one may wait for ever."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path: Any = super().convert(value, param, ctx)
        check_path(path)
        return path


path_type = PathType()


class FloatRange(click.FloatRange):
    """``click.FloatRange`` that rejects "nan" and "inf"."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class GuidanceInterval(click.ParamType):
    name = "LOW,HIGH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        """Two shares of the noise schedule from text, such as "0.4,0.8"."""
        if isinstance(value, tuple):
            return value
        try:
            low, high = map(float, str(value).split(","))
        except ValueError:
            low, high = 1.0, 0.0
        if not 0 <= low <= high <= 1:
            self.fail(
                f"{value!r} is not two numbers from 0 to 1, the lower first, such as 0.4,0.8.", param, ctx
            )
        return low, high


class Dtype(click.Choice):
    """A precision by torch's name, or short: "bf16" for "bfloat16"; or "auto", if that is allowed."""

    SHORT: ClassVar = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}

    def __init__(self, auto: bool = False) -> None:
        super().__init__([*self.SHORT.values(), *(["auto"] if auto else [])])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        name: str = super().convert(self.SHORT.get(value, value), param, ctx)
        return name


#: more than any memory holds
MOST_FRAMES = 1_000_000
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace existing files.")

_DTYPE_HELP = "Precision of the networks; fp32, fp16 and bf16 for short"
dtype_option = click.option(
    "--dtype",
    type=Dtype(auto=True),
    default="auto",
    show_default=True,
    help=f"{_DTYPE_HELP}; auto: bfloat16 on a device with instructions for it, or else float32.",
)
#: of verbs whose figures are compared between machines
exact_dtype_option = click.option(
    "--dtype", type=Dtype(), default="float32", show_default=True, help=f"{_DTYPE_HELP}."
)
device_option = click.option(
    "--device", help="Device: cpu, cuda, cuda:1, mps, ...  [default: the fastest one]"
)
offload_option = click.option(
    "--offload",
    type=click.Choice(["model", "sequential"]),
    help="Keep networks in CPU memory, and move one network (model) or one layer (sequential, slowest) at a "
    "time to the GPU.",
)
tiling_option = click.option(
    "--vae-tiling", is_flag=True, help="Encode and decode large frames in tiles, for less memory."
)
steps_option = click.option(
    "--steps", type=click.IntRange(1, 1000), help="Denoising steps.  [default: the model's]"
)
guidance_option = click.option(
    "--guidance",
    type=FloatRange(1, 100),
    help="Guidance scale; 1 disables classifier-free guidance.  [default: the model's]",
)
interval_option = click.option(
    "--guidance-interval",
    type=GuidanceInterval(),
    help="Part of the noise schedule with guidance, from 0 (clean) to 1 (pure noise); steps outside cost "
    "half.  [default: the model's]",
)
negative_option = click.option("--negative", default="", help="Negative prompt.")
seed_option = click.option(
    "--seed",
    type=click.IntRange(0, 2**53),
    help="Seed of the noise; the same seed gives the same clip.  [default: random]",
)
line_seed_option = click.option(
    "--seed",
    type=click.IntRange(0, 2**52),
    default=0,
    show_default=True,
    help="Base seed: line N uses SEED + N unless it sets its own.",
)
model_option = click.option(
    "--model", default="emoji", show_default=True, help="Shipped model, or a model's folder."
)
upscaler_option = click.option(
    "--upscaler",
    help="Super-resolution model for a --size above the base model's.  [default: emoji-upscaler]",
)
style_options = (
    click.option(
        "--style",
        type=path_type,
        help="Style: a folder of `lumiere style fit`, a LoRA for the image model, or a motion LoRA.",
    ),
    click.option(
        "--alpha",
        type=FloatRange(0),
        help="Strength of the style, from 0 to 1.  [default: 1, with a style]",
    ),
    click.option("--extrapolate", is_flag=True, help="Allow a style's strength above 1."),
)


lora_options = (
    click.option(
        "--lora",
        metavar="FILE",
        type=path_type,
        help="LoRA for the image model or the motion, instead of a style.",
    ),
    click.option("--lora-scale", type=FloatRange(0), help="Scale of the LoRA, from 0 to 1.  [default: 1]"),
)


def with_lora(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the arguments ``lora`` and ``lora_scale`` by ``style`` and ``alpha``.

    Raises:
        InputError: they contradict --style or --alpha, or there is a scale without a LoRA.
    """
    others = dict(arguments)
    lora, scale = others.pop("lora"), others.pop("lora_scale")
    if lora is None:
        if scale is not None:
            raise InputError(f"--lora-scale {scale:g} needs a --lora")
        return others
    if others["style"] is not None:
        raise InputError(f"--style {others['style']} and --lora {lora} exclude each other; give one of them")
    if others["alpha"] is not None:
        raise InputError(f"--alpha {others['alpha']:g} goes with --style; give --lora-scale with --lora")
    return {**others, "style": lora, "alpha": scale}


def check_offload(offload: str | None, device: str | None) -> None:
    """Raise :class:`InputError`, before any work, for offloading without a GPU."""
    if offload is not None and pick_device(device) == "cpu":
        raise InputError(f"--offload {offload} needs a GPU, and the device is cpu; leave it out")


def check_style(style: Path | None, alpha: float | None, extrapolate: bool) -> None:
    """Raise :class:`InputError`, before any work, for a missing style or an alpha out of range."""
    if alpha is not None and style is None:
        raise InputError(f"--alpha {alpha:g} needs a --style")
    check_alpha(alpha, extrapolate)
    if style is not None and not style.exists():
        raise InputError(f"no style at {style}; give a folder of `lumiere style fit`, or a LoRA file")


def check_alpha(alpha: float | None, extrapolate: bool) -> None:
    """Raise :class:`InputError` for an alpha above 1 without --extrapolate."""
    if alpha is not None and alpha > 1 and not extrapolate:
        raise InputError(f"--alpha is {alpha:g}; give 0 to 1, or add --extrapolate to exaggerate the style")


def parse_size(size: str) -> tuple[int, int]:
    """Width and height in pixels, from "128" or "160x96".

    Raises:
        InputError: it is no size, or beyond the limit of pixels.
    """
    match = re.fullmatch(r"(\d{1,9})(?:x(\d{1,9}))?", size.strip().lower())
    if not match or not int(match[1]) or (match[2] and not int(match[2])):
        raise InputError(f"size is {size!r}; give pixels, such as 128, or WIDTHxHEIGHT, such as 160x96")
    width = int(match[1])
    height = int(match[2] or width)
    check_size(width, height, "the size")
    return width, height


def pick_dtype(name: str, device: str | None) -> Any:
    """The ``torch.dtype`` of a name; of ``"auto"``, bfloat16 if ``device`` has instructions for it.

    Without them bfloat16 is slower than float32: an x86 processor needs AVX-512 BF16 or AMX.
    """
    import torch

    if name != "auto":
        return getattr(torch, name)
    kind = torch.device(pick_device(device)).type
    if kind == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = kind == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return torch.bfloat16 if fast else torch.float32


def pick_device(name: str | None) -> str:
    """A usable device: ``name``, or the fastest one.

    Raises:
        InputError: ``name`` cannot be used on this machine.
    """
    import torch

    if name is None:
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).item()  # "meta" can make tensors, but not compute
    except (RuntimeError, AssertionError, NotImplementedError, ImportError, AttributeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"device {name!r} cannot be used: {reason}; use cpu") from None
    return name
