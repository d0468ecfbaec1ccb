"""Nets that turn a clip into a row of numbers, from a local path of the user's.

No pickle is loaded: a file must be a TorchScript archive, a folder of transformers must hold safetensors.
"""

from __future__ import annotations

import hashlib
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from lumiere.errors import InputError
from lumiere.io.bundle import read_json, sha256
from lumiere.metrics.clips import frames_of

#: the kind of the features of a recogniser, whose distances never bear the name FVD
RECOGNISER = "recogniser"
FRAMES = 16
_NET_SIDE = 224

#: frames (uint8, t x h x w x 3) -> features of the clip (d), and its class probabilities (k) or None
Extract = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]


@dataclass(frozen=True)
class Features:
    """A feature network, and everything needed to reproduce its features.

    Attributes:
        kind: ``recogniser``, ``torchscript``, ``torchscript classifier`` or ``videomae``.
        sha256: of its weights.
        preprocessing: in words.
        frames, stride: how many frames it sees, evenly over the clip, or its first ones, a stride apart.
    """

    kind: str
    name: str
    sha256: str
    preprocessing: str
    frames: int
    stride: int | None
    extract: Extract

    def __call__(self, frames: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray | None]:
        """Features (d) and class probabilities (k, or None) of a clip: uint8, t x h x w x 3.

        Raises:
            InputError: the clip, called ``name``, is too short, or the net cannot take it.
        """
        return self.extract(frames_of(frames, self.frames, self.stride, name))

    @property
    def about(self) -> dict[str, Any]:
        """What is written beside every number."""
        return {key: value for key, value in vars(self).items() if key != "extract"}


def load_features(
    path: Path, frames: int = FRAMES, stride: int | None = None, device: str = "cpu"
) -> Features:
    """The features of a TorchScript file, or of a folder of VideoMAE.

    Raises:
        InputError: there is nothing at the path, or it is neither.
    """
    if path.is_dir():
        return _videomae(path, frames, stride, device)
    return _torchscript(path, frames, stride, device)


def load_classifier(path: Path, frames: int, stride: int | None, device: str = "cpu") -> Features:
    """A TorchScript file whose output for a clip is its classes, such as C3D; its features are that output.

    Raises:
        InputError: there is none at the path.
    """
    net = _torchscript(path, frames, stride, device)

    def extract(clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        output, classes = net.extract(clip)
        return output, probabilities_of(output) if classes is None else classes

    return replace(net, kind="torchscript classifier", extract=extract)


def _torchscript(path: Path, frames: int, stride: int | None, device: str) -> Features:
    """A net of clips (1 x 3 x t x h x w). One whose ``forward`` takes ``rescale``, ``resize`` and
    ``return_features``, as the I3D of StyleGAN-V does, gets pixels from 0 to 255 and does the rest itself;
    any other gets the middle square in 224x224 pixels from -1 to 1, and must return features."""
    net = load_torchscript(path, device)
    names = {argument.name for argument in net.forward.schema.arguments}
    does_it_itself = {"rescale", "resize", "return_features"} <= names
    if does_it_itself:
        words = "pixels 0 to 255, unscaled; rescaled and resized by the net itself"
    else:
        words = f"middle square, resized to {_NET_SIDE}x{_NET_SIDE} (bilinear, antialiased), pixels -1 to 1"

    @torch.no_grad()
    def run(clip: np.ndarray, **options: bool) -> np.ndarray:
        if does_it_itself:
            video = torch.from_numpy(clip).permute(3, 0, 1, 2).float()
        else:
            video = middle_square(clip, _NET_SIDE).movedim(0, 1) / 127.5 - 1
        try:
            found = net(video[None].to(device), **options)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise InputError(
                f"{path} cannot take {len(clip)} frames of {clip.shape[1:3]}: {reason}"
            ) from None
        if not isinstance(found, torch.Tensor) or found.shape[0] != 1:
            raise InputError(f"{path} returns no row of features a clip; FVD needs a net that does")
        return found.float().flatten().cpu().numpy()

    def extract(clip: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        if not does_it_itself:
            return run(clip), None
        options = {"rescale": True, "resize": True}
        return run(clip, **options, return_features=True), probabilities_of(
            run(clip, **options, return_features=False)
        )

    return Features("torchscript", path.name, sha256(path), words, frames, stride, extract)


def load_torchscript(path: Path, device: str = "cpu") -> Any:
    """A TorchScript module, by ``torch.jit.load`` and nothing else.

    Raises:
        InputError: the file is missing, or no TorchScript archive, such as a pickled checkpoint.
    """
    if not path.is_file():
        raise InputError(f"no features at {path}; give a TorchScript file or a folder of VideoMAE")
    names = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
    if not any("/code/" in name for name in names) or not any(
        name.endswith("constants.pkl") for name in names
    ):
        raise InputError(f"{path} is no TorchScript archive; a pickled checkpoint is never loaded")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            net = torch.jit.load(path, map_location=device).eval()
    except RuntimeError as error:
        raise InputError(f"{path} is a damaged TorchScript archive: {str(error).splitlines()[0]}") from None
    if not hasattr(net, "forward"):
        raise InputError(f"{path} is TorchScript without a forward method; give a whole net")
    return net


def probabilities_of(output: np.ndarray) -> np.ndarray:
    """Class probabilities: the output itself where it is such, else its softmax."""
    if (output >= 0).all() and abs(float(output.sum()) - 1) < 1e-3:
        return output
    shifted = np.exp(output - output.max())
    return np.asarray(shifted / shifted.sum())


def _videomae(folder: Path, frames: int, stride: int | None, device: str) -> Features:
    from transformers import VideoMAEForVideoClassification, VideoMAEModel

    config = local_config(folder, {"videomae"})
    classifies = "VideoMAEForVideoClassification" in (config.get("architectures") or ())
    net: Any = (VideoMAEForVideoClassification if classifies else VideoMAEModel).from_pretrained(
        folder, local_files_only=True, use_safetensors=True
    )
    net = net.eval().to(device)
    needed, side = net.config.num_frames, net.config.image_size
    if frames != needed:
        raise InputError(f"{folder} takes {needed} frames; the features are asked for {frames}")
    pixels = picture_scaling(folder)

    @torch.no_grad()
    def extract(clip: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        video = pixels(middle_square(clip, side)).to(device)
        base = net.videomae if classifies else net
        tokens = base(video[None]).last_hidden_state
        features = tokens.mean(1)[0].cpu().numpy()
        return features, net(video[None]).logits.softmax(1)[0].cpu().numpy() if classifies else None

    words = (
        f"middle square, resized to {side}x{side} (bilinear, antialiased), the folder's mean and deviation; "
        "mean of all tokens"
    )
    return Features("videomae", folder.name, folder_sha256(folder), words, frames, stride, extract)


def local_config(folder: Path, kinds: set[str]) -> dict[str, Any]:
    """The configuration of a folder of transformers.

    Raises:
        InputError: it is of another kind than ``kinds``, or has no safetensors.
    """
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder} has no config.json; give a folder that transformers saved")
    config = read_json(folder / "config.json")
    if config.get("model_type") not in kinds:
        raise InputError(f"{folder} holds a {config.get('model_type')}; give {' or '.join(sorted(kinds))}")
    if not list(folder.glob("*.safetensors")):
        raise InputError(f"{folder} holds no safetensors; other weights, which are pickles, are never loaded")
    return config


def folder_sha256(folder: Path) -> str:
    """Of a folder's configuration and weights."""
    files = sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")])
    return hashlib.sha256("".join(sha256(file) for file in files).encode()).hexdigest()


def picture_scaling(folder: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    """Pixels (t x 3 x h x w, 0 to 255) to what the folder's preprocessor_config.json says.

    Raises:
        InputError: the folder has none.
    """
    preprocessor = read_json(folder / "preprocessor_config.json")
    mean, std = (torch.tensor(preprocessor[key])[:, None, None] for key in ("image_mean", "image_std"))
    return lambda pictures: (pictures / 255 - mean) / std


def middle_square(frames: np.ndarray, side: int) -> torch.Tensor:
    """The middle square of frames (uint8, t x h x w x 3), resized: t x 3 x side x side, 0 to 255."""
    height, width = frames.shape[1:3]
    whole = min(height, width)
    top, left = (height - whole) // 2, (width - whole) // 2
    pictures = torch.from_numpy(frames[:, top : top + whole, left : left + whole]).permute(0, 3, 1, 2).float()
    return F.interpolate(pictures, size=(side, side), mode="bilinear", antialias=True)
