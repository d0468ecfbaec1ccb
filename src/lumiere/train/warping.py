"""The transport net's stage: it learns to find a clip's content again in what is given of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lumiere.diffusion.conditioning import fill_unknown, known_in_any_frame
from lumiere.diffusion.noise import Generators, clip_noise, rand
from lumiere.errors import InputError
from lumiere.models.codec import Codec
from lumiere.models.warping import WarpNet, warp, warp_known
from lumiere.shapes import Mask, Video
from lumiere.train.config import Soften, WarpConfig
from lumiere.train.dataset import window
from lumiere.train.draw import Draws, numbers
from lumiere.train.encode import fingerprint, to_video
from lumiere.train.masks import object_box, random_mask
from lumiere.train.sources.shards import Choice, open_pictures
from lumiere.train.stage import Stage, load_codec, load_part, sheet

#: pixels of the frame to one of the pictures on which displacements are judged
PIXELS = 4
#: how wide these are blurred, as shares of their side
BLURS = (0.0, 0.125, 0.25, 0.5)
SHOWN = 8


class WarpStage(Stage):
    unit = "clips"

    def __init__(self, config: WarpConfig, device: torch.device):
        super().__init__()
        self.config, self.device = config, device
        _, clips = open_pictures(config.data, clips_only=True)
        assert clips is not None
        self.clips, self.choice = clips, Choice(clips)
        self.codec = load_codec(config.codec).to(device).eval().requires_grad_(False)
        if config.init:
            net = load_part(config.init, "lumiere.models.warping", "WarpNet")
        else:
            net = WarpNet(widths=config.model.widths, matched=config.model.matched)
        if not 1 <= config.seen <= config.data.frames:
            raise InputError(f"seen is {config.seen}; give 1 to data.frames, which is {config.data.frames}")
        self.net = net.to(device).train()

    def frozen(self) -> dict[str, str]:
        return {"codec": fingerprint(self.codec)}

    def load(self, step: int, samples: range) -> Any:
        data, seen = self.config.data, self.config.seen
        size = self.choice.size(numbers("size", self.config.seed, step))
        pixels, given, firsts = [], [], []
        for n in samples:
            rng = numbers("sample", self.config.seed, n)
            i, position = self.choice.pick(rng, size)
            frames, _ = window(self.clips.read(i), data.frames, position, self.clips.name(i))
            box = partial(object_box, frames) if data.plain_background else lambda: None
            draw = partial(random_mask, rng, frames.shape[:3], box)
            mask = draw()
            while not mask.any() or mask.all():
                mask = draw()
            one = int(rng.choice(np.flatnonzero(~mask.all((1, 2)))))  # there is something to make in it
            firsts.append(int(np.clip(one - rng.integers(seen), 0, data.frames - seen)))
            pixels.append(torch.from_numpy(frames))
            given.append(torch.from_numpy(mask))
        return torch.stack(pixels), torch.stack(given), firsts

    def prepare(self, loaded: Any) -> tuple[Tensor, ...]:
        pixels, given, firsts = loaded
        video, given = to_video(pixels, self.device), given[:, None].to(self.device).float()
        parts = (fill_unknown(video, given), video, given, known_in_any_frame(given))
        seen = [slice(first, first + self.config.seen) for first in firsts]
        return tuple(
            torch.stack([clip[:, frames] for clip, frames in zip(each, seen, strict=True)]) for each in parts
        )

    def forward(self, nearest: Tensor, video: Tensor, given: Tensor, known: Tensor, draws: Draws) -> Tensor:
        made = self._made(nearest, video, given, known, draws.generators)
        warp_net = self.net(nearest, made, given, known).float()
        unknown = 1 - given
        error = ((warp_known(nearest, made, warp_net, known) - video).abs() * unknown).sum()
        return error / (3 * unknown.sum()).clamp(min=1) + misplaced(nearest, video, warp_net)

    @torch.no_grad()
    def _made(self, nearest: Video, video: Video, given: Mask, known: Mask, generator: Generators) -> Video:
        made = softened(self.codec, video, self.config.soften, generator).float()
        ghost = self.config.soften.ghost * _for_each(made, generator)
        made = made + ghost * known * (nearest - made)
        return torch.where(given > 0, video, made)

    def export(self, folder: Path) -> None:
        """Save the net."""
        self.net.save_pretrained(folder)

    @torch.no_grad()
    def draw_samples(self, folder: Path) -> None:
        """Frames as they are given, as a model would make them, and with what is given carried into them."""
        from PIL import Image

        nearest, video, given, known = self.prepare(self.load(0, range(1)))
        made = self._made(nearest, video, given, known, torch.Generator(self.device).manual_seed(0))
        rows = [nearest, made, self.net.restore(nearest, made, given, known), video]
        frames = torch.cat([row[0].transpose(0, 1)[:SHOWN] for row in rows])
        Image.fromarray(sheet(frames, min(SHOWN, video.shape[2]))).save(folder / "restored.png")


def softened(codec: Codec, video: Video, soften: Soften, generator: Generators) -> Video:
    """A clip as a model would make it: softer and spotted, by blur and by noise on its sample."""
    sample = codec.encode(video)
    blur, noise = (_for_each(sample, generator) for _ in range(2))
    mean = F.avg_pool3d(sample, (1, 3, 3), stride=1, padding=(0, 1, 1), count_include_pad=False)
    sample = sample + soften.blur * blur * (mean - sample)
    return codec.decode(sample + soften.noise * noise * clip_noise(sample, generator, 0.5))


def _for_each(clips: Tensor, generator: Generators) -> Tensor:
    """A number from 0 to 1 for each clip ``b c t h w``, shaped to be multiplied with it."""
    return rand(len(clips), generator).view(-1, 1, 1, 1, 1)


def misplaced(nearest: Video, video: Video, warp_net: Tensor) -> Tensor:
    """How far what is given, displaced, is from the video, seen more and less blurred.

    Blurred, what has gone far away shows at its old place, too. Without, nothing would pull it over plain
    ground.
    """
    before, after = (F.avg_pool3d(each, (1, PIXELS, PIXELS)) for each in (nearest, video))
    errors = [
        (warp(_blurred(before, width), warp_net) - _blurred(after, width)).abs().mean() for width in BLURS
    ]
    return torch.stack(errors).mean()


def _blurred(video: Video, width: float) -> Video:
    rows, columns = (round(side * width / 2) for side in video.shape[-2:])
    for padding in ((0, rows, 0), (0, 0, columns)):
        size = [1 + 2 * side for side in padding]
        video = F.avg_pool3d(video, size, stride=1, padding=padding, count_include_pad=False)
    return video
