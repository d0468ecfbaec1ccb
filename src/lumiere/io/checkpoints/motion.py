"""Read AnimateDiff's motion modules: a diffusers folder, or a safetensors file in the original layout.

Hotshot-XL's temporal layers are of the same design under other names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffusers.loaders.single_file_utils import convert_animatediff_checkpoint_to_diffusers
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lumiere.errors import InputError
from lumiere.io.bundle import PICKLES, how_to_convert, one_line, read_json
from lumiere.io.checkpoints.adopted import POSITIONS, AdoptedWeights, renamed

State = dict[str, Tensor]


@dataclass(frozen=True)
class Kind:
    """What modules of a kind are sampled with.

    Attributes:
        linear: whether they were trained on linear betas, not on the image model's own.
        sampler: a class of diffusers' schedulers; None for the usual one.
    """

    frames: int = 16
    steps: int = 25
    guidance: float = 7.5
    linear: bool = True
    sampler: str | None = None
    sampling: dict[str, Any] = field(default_factory=dict)


KINDS = {
    "animatediff": Kind(),
    "lcm": Kind(steps=6, guidance=1.5, sampler="LCMScheduler"),
    "lightning": Kind(
        steps=4,
        guidance=1.0,
        sampler="EulerDiscreteScheduler",
        sampling={"timestep_spacing": "trailing"},
    ),
    "hotshot": Kind(frames=8, linear=False),
}
WEIGHTS = re.compile(r"diffusion_pytorch_model(\.\w+)?\.safetensors")
MODULE = re.compile(
    r"(?:down_blocks|up_blocks)\.(\d+)\.motion_modules\.\d+\.|mid_block\.motion_modules\.\d+\."
)
RULES = {
    r"^(down|up)_blocks\.(\d+)\.motion_modules\.": r"\1.\2.blocks.",
    r"^mid_block\.motion_modules\.": r"mid.inner.",
}
#: published ones all have as many
HEADS = 8
#: rate of the clips that all published ones were trained on
FPS = 8
#: positions of a file that has none: AnimateLCM's
DEFAULT_POSITIONS = 64
#: levels of an image model of Stable Diffusion XL
LEVELS_OF_SDXL = 3


def read_motion(path: Path, kind: str | None = None) -> AdoptedWeights:
    """Read motion modules.

    Args:
        path: a folder of diffusers' ``MotionAdapter``, or a file: AnimateDiff's own layout, with or without
            ``module.`` before each name, Hotshot-XL's, or diffusers'.
        kind: one of ``KINDS``: distilled ones need their own sampler. Default: as the names in the file and
            that of ``path`` say.

    Raises:
        InputError: there are none, or other weights, or not all of them, or a pickle.
    """
    if not path.exists():
        raise InputError(f"no motion modules at {path}; give a diffusers folder or a .safetensors file")
    settings, file = _folder(path) if path.is_dir() else ({}, path)
    if file.suffix in PICKLES:
        raise InputError(f"{file} is a pickle, which is never loaded; {how_to_convert(file)}")
    try:
        state = load_file(file)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file} is not a whole safetensors file: {one_line(error)}") from None
    hotshot = any(".temporal_attentions." in name for name in state)
    state = {_plain(name): weight for name, weight in state.items()}
    _check_kind(file, state)
    known = _positions(state)
    kind = kind or _kind(path, hotshot, known is not None)
    positions = known or settings.get("motion_max_seq_length") or DEFAULT_POSITIONS
    state = convert_animatediff_checkpoint_to_diffusers(state)
    state = {name: weight for name, weight in state.items() if not name.endswith(POSITIONS)}
    config = {
        "kind": "animatediff",
        "middle": any(name.startswith("mid_block.") for name in state),
        "positions": positions,
        "frames": positions,
        "heads": _one(path, settings.get("motion_num_attention_heads", HEADS), "numbers of heads"),
        "layers": _layers(path, state),
    }
    of_kind = KINDS[kind]
    levels = len({match[1] for match in map(MODULE.match, state) if match and match[1]})
    end = 0.020 if levels == LEVELS_OF_SDXL else 0.012
    linear = {"beta_schedule": "linear", "beta_start": 0.00085, "beta_end": end, "trained_betas": None}
    return AdoptedWeights(
        str(path),
        config,
        renamed(state, RULES),
        linear if of_kind.linear else {},
        None if of_kind.sampler is None else (of_kind.sampler, of_kind.sampling),
        {
            "frames": min(of_kind.frames, positions),
            "fps": FPS,
            "steps": _steps(path, kind),
            "guidance": of_kind.guidance,
        },
    )


def _plain(name: str) -> str:
    """AnimateDiff's own name of a weight."""
    name = name.removeprefix("module.").replace("temporal_attentions.", "motion_modules.")
    return name.replace("pos_encoder.positional_encoding", "pos_encoder.pe")


def _folder(path: Path) -> tuple[dict[str, Any], Path]:
    """The configuration and the weights of a folder of diffusers."""
    if not (path / "config.json").is_file():
        raise InputError(
            f"{path} has no config.json; give a folder that diffusers' MotionAdapter was saved in"
        )
    settings = read_json(path / "config.json")
    if (found := settings.get("_class_name")) != "MotionAdapter":
        raise InputError(f"{path} is a {found}; give the folder of a MotionAdapter")
    files = sorted(each for each in path.iterdir() if WEIGHTS.fullmatch(each.name))
    if files:
        return settings, files[0]
    pickles = sorted(each for each in path.iterdir() if each.suffix in PICKLES)
    if pickles:
        return settings, pickles[0]
    raise InputError(f"{path} has no diffusion_pytorch_model.safetensors; download it again")


def _check_kind(file: Path, state: State) -> None:
    """Raises :class:`InputError` for weights that are no motion modules."""
    some = min(state, default="none")
    if any("lora" in name.lower() for name in state):
        raise InputError(f"{file} is a LoRA, with weights such as {some}; give whole motion modules")
    if not any(MODULE.match(name) for name in state):
        raise InputError(f"{file} has no motion modules; its weights have names such as {some}")
    others = sorted(name for name in state if not MODULE.match(name))
    if others:
        raise InputError(
            f"{file} has {len(others)} weights besides motion modules, such as {others[0]}; give a file of"
            " motion modules alone"
        )


def _positions(state: State) -> int | None:
    """How many positions the weights know; None if they say nothing of it."""
    known = {weight.shape[-2] for name, weight in state.items() if name.endswith((".pe", POSITIONS))}
    return min(known, default=None)


def _layers(path: Path, state: State) -> int:
    """Layers of attention of each module. Raises :class:`InputError` if modules differ."""
    counts: dict[str, int] = {}
    for name in state:
        if match := re.match(r"(.*)\.transformer_blocks\.(\d+)\.", name):
            counts[match[1]] = max(counts.get(match[1], 0), int(match[2]) + 1)
    return _one(path, counts.values(), "numbers of layers")


def _one(path: Path, values: int | Iterable[int], what: str) -> int:
    different = {values} if isinstance(values, int) else set(values)
    if len(different) != 1:
        listed = ", ".join(map(str, sorted(different))) or "no"
        raise InputError(f"the motion modules of {path} have {listed} {what}; equal ones can be adopted")
    return different.pop()


def _kind(path: Path, hotshot: bool, positions: bool) -> str:
    """The kind of modules in a file with Hotshot-XL's names, and with positions, or without."""
    if hotshot:
        return "hotshot"
    name = path.resolve().name.lower()
    said = next((kind for kind in ("lightning", "lcm") if kind in name), None)
    return said or ("animatediff" if positions else "lcm")  # AnimateLCM's file alone has none


def _steps(path: Path, kind: str) -> int:
    said = re.search(r"(\d+)-?_?steps?", path.resolve().name.lower())
    return int(said[1]) if said and kind in ("lcm", "lightning") else KINDS[kind].steps
