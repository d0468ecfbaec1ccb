"""The recogniser: a small convolutional network that classifies the object of an image among all objects.

Its input is a square crop around the foreground, so that small objects are recognised as well as large ones.
It was trained on blurred and noisy images too, so that a blurred clip is judged by what it shows
(see :mod:`lumiere.emoji.evaluation.train_recogniser`).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from lumiere.emoji.evaluation.figures import foreground
from lumiere.errors import InputError

SHIPPED = Path(__file__).with_name("recogniser.safetensors")
INPUT_SIZE = 64
_CROP_MARGIN = 1.12
_AT_ONCE = 32  # frames, which may be large
_UNUSED = "num_batches_tracked"  # counters of the norms, which nothing reads
_FORMAT = "lumiere-recogniser/1"


class _Convolution(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
        )


class _Residual(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class RecogniserNet(nn.Module):
    """Pictures of 64 x 64 in [0, 1] to logits; about 1 M parameters and 29 M multiplications a picture."""

    def __init__(self, classes: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.PixelUnshuffle(2),
            _Convolution(12, 40, 2),
            _Residual(_Convolution(40, 40)),
            _Convolution(40, 96, 2),
            _Residual(_Convolution(96, 96), _Convolution(96, 96)),
            _Convolution(96, 176, 2),
            _Residual(_Convolution(176, 176), _Convolution(176, 176)),
        )
        self.head = nn.Linear(176, classes)

    def features(self, pictures: Float[Tensor, "n 3 64 64"]) -> Float[Tensor, "n 176"]:
        x = ((pictures - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)
        return self.body(x).mean((2, 3))

    def forward(self, pictures: Float[Tensor, "n 3 64 64"]) -> Float[Tensor, "n classes"]:
        return self.head(self.features(pictures))


class Recogniser:
    """A trained net with the names of its objects.

    Attributes:
        labels: the objects' labels by code, in the order of the net's outputs.
        sha256: of the file that it was loaded from.
    """

    def __init__(self, net: RecogniserNet, labels: dict[str, str], sha256: str = ""):
        self.net = net.eval()
        self.labels = labels
        self.sha256 = sha256

    @classmethod
    def load(cls, path: Path | None = None) -> Recogniser:
        """Read the shipped recogniser, or another. Raises :class:`InputError` if the file is none."""
        path = path or SHIPPED
        try:
            with safe_open(path, "pt") as file:
                about = file.metadata() or {}
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
        except (OSError, SafetensorError) as error:
            raise InputError(
                f"{path} is not a recogniser ({error}); train one with "
                "python -m lumiere.emoji.evaluation.train_recogniser"
            ) from None
        if about.get("format") != _FORMAT:
            raise InputError(
                f"{path} is not a recogniser: its format is {about.get('format')}, not {_FORMAT}"
            )
        labels: dict[str, str] = json.loads(about["labels"])
        net = RecogniserNet(len(labels))
        counts = {name: buffer for name, buffer in net.state_dict().items() if name.endswith(_UNUSED)}
        try:
            net.load_state_dict({name: weight.float() for name, weight in weights.items()} | counts)
        except RuntimeError:
            raise InputError(f"{path} is not a recogniser: its weights are another net's") from None
        return cls(net, labels, hashlib.sha256(path.read_bytes()).hexdigest())

    def dumps(self) -> bytes:
        """The bytes of the file: float16 safetensors."""
        about = {"format": _FORMAT, "labels": json.dumps(self.labels, ensure_ascii=False)}
        weights = {
            name: weight.half().contiguous()
            for name, weight in self.net.state_dict().items()
            if not name.endswith(_UNUSED)
        }
        return save(weights, metadata=about)

    @torch.no_grad()
    def probabilities(self, frames: np.ndarray, count: int = 16) -> dict[str, float]:
        """Each object's probability by code, the mean over ``count`` frames spread over the clip.

        ``frames`` are uint8, t x h x w x 3.
        """
        chosen = frames[np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)]
        mean = self.net(object_crops(chosen)).softmax(1).mean(0)
        return dict(zip(self.labels, mean.tolist(), strict=True))

    @torch.no_grad()
    def features(self, frames: np.ndarray) -> np.ndarray:
        """What the net sees in each frame (uint8, t x h x w x 3) before it names it: float32, t x 176."""
        starts = range(0, len(frames), _AT_ONCE)
        parts = [self.net.features(object_crops(frames[start : start + _AT_ONCE])) for start in starts]
        return torch.cat(parts).numpy()


def ranking(probabilities: dict[str, float]) -> list[str]:
    """Codes, the most probable first."""
    return sorted(probabilities, key=probabilities.__getitem__, reverse=True)


def object_crops(frames: np.ndarray) -> Float[Tensor, "n 3 64 64"]:
    """The square around each frame's object, or the whole frame where nothing stands out; in [0, 1]."""
    centre, half = _squares(foreground(frames))
    rows = torch.zeros(len(frames), 2, 3)
    rows[:, 0, 0] = rows[:, 1, 1] = half
    rows[:, :, 2] = centre
    pictures = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255.0
    pixels = half.median().item() * frames.shape[1] / INPUT_SIZE
    if pixels > 1.5:
        pictures = F.avg_pool2d(pictures, round(pixels))
    grid = F.affine_grid(rows, [len(frames), 3, INPUT_SIZE, INPUT_SIZE], align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _squares(weights: np.ndarray) -> tuple[Tensor, Tensor]:
    """Centres (x, y) and half widths of squares around what has weight, in [-1, 1] over the frame."""
    centres, halves = [], []
    for weight in weights:
        spans = [span(weight.sum(axis)) for axis in (0, 1)]
        half = _CROP_MARGIN * max(high - low for low, high in spans) / 2
        if half < 0.08:
            spans, half = [(-1.0, 1.0)] * 2, 1.0
        centres.append([(low + high) / 2 for low, high in spans])
        halves.append(half)
    return torch.tensor(centres), torch.tensor(halves)


def span(profile: np.ndarray) -> tuple[float, float]:
    """Where all but the outer hundredths of a profile lie, from -1 to 1; 0 and 0 if it is empty."""
    total = profile.cumsum()
    if total[-1] <= 0:
        return 0.0, 0.0
    low, high = np.searchsorted(total, total[-1] * np.array([0.005, 0.995]))
    return 2 * low / len(profile) - 1, 2 * (high + 1) / len(profile) - 1
