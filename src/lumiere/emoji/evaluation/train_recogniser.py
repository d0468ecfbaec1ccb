"""Train the recogniser: ``python -m lumiere.emoji.evaluation.train_recogniser DATA --out FILE``.

With the defaults this is how the shipped one was made; ``lumiere evaluate emoji --real-only --data DATA
--prompts 270`` then makes the ``real.jsonl`` that lies beside it.

Pictures are composed while training, as scenes are: a sprite at a random moment, size, place and angle on a
random background; then softened, made noisy and shifted in colour, since it is to judge generated clips.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from lumiere.emoji.data.scenes import COLOURS, Sprite
from lumiere.emoji.evaluation.recogniser import INPUT_SIZE, SHIPPED, Recogniser, RecogniserNet

_FRAME_STRIDE = 3
_PEAK_RATE = 2.5e-3
_PALETTE = torch.tensor(list(COLOURS.values())) / 255.0


class Pictures:
    """Random labelled pictures of sprites."""

    def __init__(self, sprites: Sequence[Sprite], seed: int = 0, stride: int = _FRAME_STRIDE):
        self.generator = torch.Generator().manual_seed(seed)
        layers = [_halved(sprite.frames[::stride]) for sprite in sprites]
        self.layers = torch.cat(layers)
        counts = torch.tensor([len(layer) for layer in layers])
        self.counts, self.firsts = counts, counts.cumsum(0) - counts
        self.boxes = torch.cat([_boxes(layer[:, 3]) for layer in layers])
        self.queue = torch.empty(0, dtype=torch.long)

    def _rand(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.generator)

    def _sign(self, *shape: int) -> Tensor:
        return self._rand(*shape, low=-1.0)

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Pictures, n x 3 x 64 x 64 in [0, 1], and their classes; each class comes equally often."""
        while len(self.queue) < size:
            self.queue = torch.cat([self.queue, torch.randperm(len(self.counts), generator=self.generator)])
        classes, self.queue = self.queue[:size], self.queue[size:]
        index = self.firsts[classes] + (self._rand(size) * self.counts[classes]).long()
        layer = F.grid_sample(self.layers[index] / 255.0, self._grid(index), align_corners=False)
        pictures = layer[:, :3] + self._backgrounds(size) * (1 - layer[:, 3:])
        return self._degraded(pictures), classes

    def _grid(self, index: Tensor) -> Tensor:
        """Most objects fill the picture, as in the cuts that the recogniser is shown; some do not."""
        n = len(index)
        centre, half = self.boxes[index, :2], self.boxes[index, 2]
        cut = self._rand(n) < 0.7
        fill = torch.where(cut, self._rand(n, low=0.78, high=1.02), self._rand(n, low=0.45, high=0.95))
        scale = torch.where(cut, half / fill, 1 / fill)
        spread = torch.where(cut, 0.12, 0.3)
        centre = (
            torch.where(cut[:, None], centre, 0.0) + (spread * scale * self._rand(n) * self._sign(2, n)).T
        )
        angle = torch.where(self._rand(n) < 0.3, 2 * math.pi * self._rand(n), 0.1 * self._sign(n))
        cos, sin = scale * angle.cos(), scale * angle.sin()
        rows = torch.stack([cos, sin, centre[:, 0], -sin, cos, centre[:, 1]], -1).view(n, 2, 3)
        return F.affine_grid(rows, [n, 4, INPUT_SIZE, INPUT_SIZE], align_corners=False)

    def _backgrounds(self, n: int) -> Tensor:
        first, last = (
            _PALETTE[torch.randint(len(_PALETTE), (n,), generator=self.generator)] for _ in range(2)
        )
        ramp = torch.linspace(0, 1, INPUT_SIZE)[None, :, None].expand(n, -1, INPUT_SIZE)
        period = self._rand(n, 1, 1, low=0.1, high=0.3)
        stripes = (ramp.transpose(1, 2) / period % 1 > 0.5).float()
        checks = (stripes - (ramp / period % 1 > 0.5).float()).abs()
        kind = self._rand(n, 1, 1)
        share = torch.where(kind < 0.8, 0.0, torch.where(kind < 0.88, ramp, checks))
        share = torch.where(kind > 0.94, stripes, share)[:, None]
        colour = first[:, :, None, None] * (1 - share) + last[:, :, None, None] * share
        return colour + 0.04 * self._sign(n, 3, 1, 1)

    def _degraded(self, pictures: Tensor) -> Tensor:
        """As a codec or a model might leave them: softened in half of the cases, noisy, off in colour."""
        n = len(pictures)
        order = torch.randperm(n, generator=self.generator)
        for part in order[: n // 2].chunk(3):
            small = int(torch.randint(22, 48, (), generator=self.generator))
            soft = F.interpolate(pictures[part], size=small, mode="bilinear", antialias=True)
            pictures[part] = F.interpolate(soft, size=INPUT_SIZE, mode="bilinear")
        noise = torch.randn(pictures.shape, generator=self.generator) * self._rand(n, 1, 1, 1) ** 2 * 0.06
        gain = 1 + 0.12 * self._sign(n, 1, 1, 1) + 0.05 * self._sign(n, 3, 1, 1)
        offset = 0.06 * self._sign(n, 1, 1, 1)
        return ((pictures - 0.5) * gain + 0.5 + offset + noise).clamp(0, 1)


def _halved(frames: np.ndarray) -> Tensor:
    layers = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
    return F.avg_pool2d(layers, frames.shape[1] // INPUT_SIZE).round().byte()


def _boxes(alpha: Tensor) -> Tensor:
    """Centre x, y and half width of the square around what is opaque, in [-1, 1]: t x 3."""
    boxes = []
    for frame in alpha > 32:
        spans = []
        for axis in (0, 1):
            places = frame.any(axis).nonzero().flatten()
            ends = (int(places[0]), int(places[-1]) + 1) if len(places) else (0, len(frame))
            spans.append([2 * end / len(frame) - 1 for end in ends])
        half = max(high - low for low, high in spans) / 2
        boxes.append([*((low + high) / 2 for low, high in spans), half])
    return torch.tensor(boxes)


def train(
    sprites: Sequence[Sprite],
    steps: int,
    batch_size: int = 64,
    seed: int = 0,
    stride: int = _FRAME_STRIDE,
) -> Recogniser:
    """A recogniser of ``sprites``, after ``steps`` batches; AdamW, one cycle of the learning rate.

    Args:
        stride: from one frame of a sprite that is shown to the next.
    """
    torch.manual_seed(seed)
    pictures = Pictures(sprites, seed, stride)
    net = RecogniserNet(len(sprites)).train()
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}], lr=_PEAK_RATE
    )
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, _PEAK_RATE, total_steps=steps, pct_start=0.15)
    right = 0.0
    with tqdm(range(steps), "recogniser", unit="step", mininterval=2) as bar:
        for _ in bar:
            x, classes = pictures.batch(batch_size)
            logits = net(x)
            loss = F.cross_entropy(logits, classes, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
            right += 0.02 * ((logits.argmax(1) == classes).float().mean().item() - right)
            bar.set_postfix(loss=f"{loss.item():.2f}", right=f"{right:.2f}")
    return Recogniser(net, {sprite.code: sprite.label for sprite in sprites})


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=SHIPPED, show_default=True)
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=2200,
    show_default=True,
    help="Batches of 64; 2200 take some ten minutes of one core.",
)
def main(data: Path, out: Path, steps: int) -> None:
    """Train the recogniser on the sprites in DATA, which `lumiere data emoji --out DATA` made."""
    from lumiere.data.files import write_whole
    from lumiere.emoji.data.sprites import load_sprites

    write_whole(out, train(load_sprites(data), steps).dumps())


if __name__ == "__main__":
    main()
