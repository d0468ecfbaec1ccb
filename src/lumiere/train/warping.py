"""The warp net's stage: it is trained to warp known pixels of a clip to where they belong in other frames."""

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
from lumiere.io.pixels import from_uint8
from lumiere.models.codec import Codec
from lumiere.models.warping import WarpNet, warp, warp_known
from lumiere.shapes import Mask, Video
from lumiere.train.config import Soften, WarpConfig
from lumiere.train.dataset import window
from lumiere.train.draw import Draws, numbers
from lumiere.train.encode import fingerprint
from lumiere.train.masks import object_box, random_mask
from lumiere.train.sources.shards import Choice, open_pictures
from lumiere.train.stage import Stage, load_codec, load_part, sheet

#: factor by which frames are reduced to compare displacements
PIXELS = 4
#: widths of the blurs, as shares of the side
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
        pixels, known, firsts = [], [], []
        for n in samples:
            rng = numbers("sample", self.config.seed, n)
            i, position = self.choice.pick(rng, size)
            frames, _ = window(self.clips.read(i), data.frames, position, self.clips.name(i))
            box = partial(object_box, frames) if data.plain_background else lambda: None
            draw = partial(random_mask, rng, frames.shape[:3], box)
            mask = draw()
            while not mask.any() or mask.all():
                mask = draw()
            one = int(rng.choice(np.flatnonzero(~mask.all((1, 2)))))  # which has unknown pixels
            firsts.append(int(np.clip(one - rng.integers(seen), 0, data.frames - seen)))
            pixels.append(torch.from_numpy(frames))
            known.append(torch.from_numpy(mask))
        return torch.stack(pixels), torch.stack(known), firsts

    def prepare(self, loaded: Any) -> tuple[Tensor, ...]:
        pixels, known, firsts = loaded
        video, known = from_uint8(pixels, self.device), known[:, None].to(self.device).float()
        parts = (fill_unknown(video, known), video, known, known_in_any_frame(known))
        seen = [slice(first, first + self.config.seen) for first in firsts]
        return tuple(
            torch.stack([clip[:, frames] for clip, frames in zip(each, seen, strict=True)]) for each in parts
        )

    def forward(self, nearest: Tensor, video: Tensor, known: Tensor, in_any: Tensor, draws: Draws) -> Tensor:
        generated = self._generated(nearest, video, known, in_any, draws.generators)
        flow = self.net(nearest, generated, known, in_any).float()
        unknown = 1 - known
        error = ((warp_known(nearest, generated, flow, in_any) - video).abs() * unknown).sum()
        return error / (3 * unknown.sum()).clamp(min=1) + misplaced(nearest, video, flow)

    @torch.no_grad()
    def _generated(
        self, nearest: Video, video: Video, known: Mask, in_any: Mask, generator: Generators
    ) -> Video:
        """The clip as a model would generate it, with the known pixels put back."""
        made = softened(self.codec, video, self.config.soften, generator).float()
        ghost = self.config.soften.ghost * _for_each(made, generator)
        made = made + ghost * in_any * (nearest - made)
        return torch.where(known > 0, video, made)

    def export(self, folder: Path) -> None:
        """Save the net."""
        self.net.save_pretrained(folder)

    @torch.no_grad()
    def draw_samples(self, folder: Path) -> None:
        """One sheet: rows of the filled input, the softened clip, the net's output, and the clip itself."""
        from PIL import Image

        nearest, video, known, in_any = self.prepare(self.load(0, range(1)))
        made = self._generated(nearest, video, known, in_any, torch.Generator(self.device).manual_seed(0))
        rows = [nearest, made, self.net.restore(nearest, made, known, in_any), video]
        frames = torch.cat([row[0].transpose(0, 1)[:SHOWN] for row in rows])
        Image.fromarray(sheet(frames, min(SHOWN, video.shape[2]))).save(folder / "restored.png")


def softened(codec: Codec, video: Video, soften: Soften, generator: Generators) -> Video:
    """Imitate a generated clip: decode the latents with blur and noise on them."""
    sample = codec.encode(video)
    blur, noise = (_for_each(sample, generator) for _ in range(2))
    mean = F.avg_pool3d(sample, (1, 3, 3), stride=1, padding=(0, 1, 1), count_include_pad=False)
    sample = sample + soften.blur * blur * (mean - sample)
    return codec.decode(sample + soften.noise * noise * clip_noise(sample, generator, 0.5))


def _for_each(clips: Tensor, generator: Generators) -> Tensor:
    """Uniform numbers from 0 to 1, one for each clip ``b c t h w``, shaped ``b 1 1 1 1``."""
    return rand(len(clips), generator).view(-1, 1, 1, 1, 1)


def misplaced(nearest: Video, video: Video, flow: Tensor) -> Tensor:
    """L1 between the warped known pixels and the video, mean over several widths of blur.

    Blur gives large displacements a gradient: sharp pictures have none over a plain background.
    """
    before, after = (F.avg_pool3d(each, (1, PIXELS, PIXELS)) for each in (nearest, video))
    errors = [(warp(_blurred(before, width), flow) - _blurred(after, width)).abs().mean() for width in BLURS]
    return torch.stack(errors).mean()


def _blurred(video: Video, width: float) -> Video:
    rows, columns = (round(side * width / 2) for side in video.shape[-2:])
    for padding in ((0, rows, 0), (0, 0, columns)):
        size = [1 + 2 * side for side in padding]
        video = F.avg_pool3d(video, size, stride=1, padding=padding, count_include_pad=False)
    return video
