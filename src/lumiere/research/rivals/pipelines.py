"""Other video models: diffusers pipelines from a folder, from a prompt or an image."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from diffusers import DDIMScheduler, DiffusionPipeline, MotionAdapter
from PIL import Image

from lumiere import __version__
from lumiere.batch.plan import digest_of
from lumiere.data.videos.buckets import Size, fill
from lumiere.errors import InputError
from lumiere.io.bundle import INDEX, one_line, read_json
from lumiere.io.checkpoints.folder import load_model, refuse_code
from lumiere.io.video import Clip
from lumiere.pipelines.base import quiet
from lumiere.research.rivals.cases import Case

#: what pipelines call the number of frames, and the frames per second
_FRAMES = ("num_frames", "video_length", "frames")
_RATES = ("fps", "frame_rate")
#: of AnimateDiff, ModelScope and ZeroScope, whose pipelines do not say it
_USUAL_RATE = 8
#: what a motion adapter makes AnimateDiff of
_IMAGE_MODEL = "StableDiffusionPipeline"
_LIBRARIES = {"diffusers": diffusers, "transformers": transformers}
_TOLD = ("num_inference_steps", "guidance_scale", "height", "width")
_NOT_THE_CALLERS = {"self", "kwargs", "prompt", "image", "generator", "output_type", "return_dict"}


@dataclass(frozen=True)
class Rival:
    """A video pipeline of diffusers, in a folder.

    Attributes:
        folder: what its ``save_pretrained`` wrote.
        kind: its class.
        motion_adapter: folder of the temporal layers that make AnimateDiff of an image model.
        arguments: of its call, those that are not left to it.
        fps: of its clips.
    """

    folder: Path
    kind: Any
    motion_adapter: Path | None
    arguments: dict[str, Any]
    fps: int | float

    @property
    def takes_picture(self) -> bool:
        return "image" in _parameters(self.kind)

    @property
    def needs_picture(self) -> bool:
        return self.takes_picture and _parameters(self.kind)["image"].default is inspect.Parameter.empty

    def load(self, dtype: torch.dtype, device: str) -> Any:
        """The pipeline, every weight of it.

        Raises:
            InputError: a part is missing, is a pickle, or does not fit its configuration.
        """
        refuse_code(self.folder)
        with quiet():
            models = {
                name: load_model(part, path, dtype)
                for name, part, path in self._parts()
                if issubclass(part, torch.nn.Module)
            }
            try:
                pipe = self.kind.from_pretrained(
                    self.folder, use_safetensors=True, local_files_only=True, **models
                )
            except (OSError, ValueError, TypeError, RuntimeError, AttributeError, ImportError) as error:
                raise InputError(f"{self.folder} cannot be loaded: {one_line(error)}") from None
        if self.motion_adapter is not None:
            # diffusers' guide to AnimateDiff: its layers were trained on a linear schedule
            pipe.scheduler = DDIMScheduler.from_config(
                pipe.scheduler.config,
                beta_schedule="linear",
                clip_sample=False,
                timestep_spacing="linspace",
                steps_offset=1,
            )
        return pipe.to(device)

    def _parts(self) -> Iterator[tuple[str, type, Path]]:
        """What it is made of: name, class and folder.

        Raises:
            InputError: a part is of no known class.
        """
        if self.motion_adapter is not None:
            yield "motion_adapter", MotionAdapter, self.motion_adapter
        wanted = inspect.signature(self.kind.__init__).parameters
        for name, entry in read_json(self.folder / INDEX).items():
            if name not in wanted or not isinstance(entry, list) or entry in ([], [None, None]):
                continue
            library, class_name = str(entry[0]), str(entry[-1])
            # libraries are named here: a folder does not choose what code runs
            module = _LIBRARIES.get(library) or getattr(diffusers.pipelines, library, None)
            if module is None:
                raise InputError(f"{self.folder / INDEX} names a {library}.{class_name}, which is not known")
            # diffusers knows some classes by newer names, none of which has weights
            yield name, getattr(module, class_name, object), self.folder / name

    def make(self, pipe: Any, case: Case, picture: np.ndarray | None = None) -> Clip:
        """A clip, by the pipeline that :meth:`load` gave.

        Args:
            picture: uint8 h x w x 3. Its middle is kept where it has another shape than the clip.

        Raises:
            InputError: the pipeline refuses it, or gives no frames.
        """
        parameters, arguments = _parameters(self.kind), dict(self.arguments)
        if "prompt" in parameters:
            arguments["prompt"] = case.prompt
        if picture is not None:
            arguments["image"] = Image.fromarray(self._filled(picture))
        generator = torch.Generator().manual_seed(case.seed)
        try:
            with quiet():
                made = pipe(**arguments, generator=generator, output_type="np")
        except Exception as error:  # another program's, which says in its own ways what it does not take
            reason = f"{type(error).__name__}: {one_line(error)}"
            raise InputError(f"{self.kind.__name__} cannot make {case.name}: {reason}") from None
        return Clip(_pixels(made, self.kind), self.fps, self.about(case))

    def _filled(self, picture: np.ndarray) -> np.ndarray:
        height, width = (self._encode_conditions().get(name) for name in ("height", "width"))
        return fill(picture, Size(width, height)) if height and width else picture

    def _encode_conditions(self) -> dict[str, Any]:
        """The arguments of the call, the pipeline's defaults included."""
        parameters = _parameters(self.kind)
        defaults = {name: parameters[name].default for name in _TOLD if name in parameters}
        return {name: value for name, value in defaults.items() if value is not None} | self.arguments

    def about(self, case: Case) -> dict[str, Any]:
        """What the clip says of how it was made."""
        adapter = {"motion_adapter": self.motion_adapter.resolve().name} if self.motion_adapter else {}
        return {
            "prompt": case.prompt,
            "seed": case.seed,
            **self._encode_conditions(),
            "model": self.folder.resolve().name,
            **adapter,
            "pipeline": self.kind.__name__,
            "diffusers": diffusers.__version__,
            "version": __version__,
        }

    @cached_property
    def _digest(self) -> str:
        """SHA-256 of what it is made of; what else lies in the folder does not count."""
        parts = "".join(f"{name} {digest_of(path)}\n" for name, _, path in self._parts())
        return sha256(parts.encode()).hexdigest()

    def settings(self, case: Case, dtype: str, picture: Path | None) -> dict[str, Any]:
        """All that decides on a case's clip, as JSON holds it: of files and folders their SHA-256."""
        image = {} if picture is None else {"image": digest_of(picture)}
        return {
            "verb": "rival",
            "prompt": case.prompt,
            "seed": case.seed,
            **self.arguments,
            "fps": self.fps,
            "dtype": dtype,
            **image,
            "pipeline": self._digest,
        }


def find_rival(folder: Path, options: Mapping[str, Any], motion_adapter: Path | None = None) -> Rival:
    """The pipeline in a folder, whose weights are not read yet.

    Args:
        options: of its call, by diffusers' names; ``num_frames`` and ``fps`` are also those that it calls
            otherwise, and ``fps`` is that of the clips even if its call takes none.
        motion_adapter: makes AnimateDiff of the Stable Diffusion in the folder.

    Raises:
        InputError: there is no pipeline of diffusers, it makes no clips of a prompt or a picture, or takes
            not these options.
    """
    kind = _kind(folder, motion_adapter)
    parameters = _parameters(kind)
    arguments = dict(options)
    frames = next((name for name in _FRAMES if name in parameters), None)
    rate = next((name for name in _RATES if name in parameters), None)
    if frames is None or not {"prompt", "image"} & parameters.keys():
        raise InputError(
            f"{folder} is a {kind.__name__}, which makes no clips of a prompt or a picture"
            + ("; give it a --motion-adapter" if kind.__name__ == _IMAGE_MODEL else "")
        )
    if "num_frames" in arguments:
        arguments[frames] = arguments.pop("num_frames")
    fps = arguments.pop("fps", None)
    if fps is not None and fps == int(fps):
        fps = int(fps)  # which some pipelines count with
    if rate is not None:
        if fps is not None:
            arguments[rate] = fps
        fps = arguments.get(rate) or parameters[rate].default
    for name in arguments:
        if name not in parameters or name in _NOT_THE_CALLERS:
            takes = ", ".join(each for each in parameters if each not in _NOT_THE_CALLERS)
            raise InputError(f"{kind.__name__} has no argument {name}; choose from {takes}")
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and name not in {*_NOT_THE_CALLERS, *arguments}:
            raise InputError(f"{kind.__name__} needs {name!r} as well; give it with --set {name}=VALUE")
    return Rival(folder, kind, motion_adapter, arguments, fps or _USUAL_RATE)


def _kind(folder: Path, motion_adapter: Path | None) -> Any:
    if not (folder / INDEX).is_file():
        raise InputError(f"{folder} has no {INDEX}; give the folder of a whole pipeline that diffusers saved")
    name = read_json(folder / INDEX).get("_class_name")
    if name == "LumierePipeline":
        raise InputError(
            f"{folder} is a model of this package; make its clips with lumiere batch PROMPTS --model {folder}"
        )
    with quiet():  # the module is imported here
        kind = getattr(diffusers, "AnimateDiffPipeline" if motion_adapter else str(name), None)
    if not isinstance(kind, type) or not issubclass(kind, DiffusionPipeline):
        raise InputError(f"{folder} is a {name}, which diffusers {diffusers.__version__} does not know")
    if motion_adapter is not None:
        config = motion_adapter / "config.json"
        if not config.is_file() or read_json(config).get("_class_name") != "MotionAdapter":
            raise InputError(f"{motion_adapter} is no motion adapter; give the folder of a MotionAdapter")
        if name != _IMAGE_MODEL:
            raise InputError(f"{folder} is a {name}; a --motion-adapter goes with a {_IMAGE_MODEL}")
    return kind


def _parameters(kind: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(kind.__call__).parameters


def _pixels(made: Any, kind: Any) -> np.ndarray:
    """The frames of what a pipeline gave, uint8 t x h x w x 3."""
    clips = getattr(made, "frames", None)
    frames: np.ndarray = np.asarray(clips[0]) if clips is not None and len(clips) else np.empty(0)
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype.kind != "f":
        raise InputError(f"{kind.__name__} gives no frames, but a {type(made).__name__}")
    if not np.isfinite(frames).all():
        raise InputError(f"{kind.__name__} gives frames that are no numbers; try another --dtype")
    return (frames * 255).round().clip(0, 255).astype(np.uint8)


def parse_argument(text: str) -> tuple[str, Any]:
    """Name and value of ``NAME=VALUE``, the value as JSON has it, or else as text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--set is {text!r}; give NAME=VALUE, such as motion_bucket_id=40")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
