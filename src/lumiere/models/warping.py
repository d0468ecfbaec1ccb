"""The warp net: it warps known pixels into a generated clip.

A codec and a small net lose detail of the known pixels. The warp net compares the generated clip with the
known pixels and predicts, for each position, where in them its content lies, and how much of that to take:
the flow and occlusion map of image animation (Siarohin et al. 2019). It is not in the Lumiere paper.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils.accelerate_utils import apply_forward_hook
from jaxtyping import Float
from torch import Tensor, nn

from lumiere.models.norm import GroupNorm
from lumiere.shapes import Displacement, Mask, Video, fold, unfold

PATCH = 4
#: the largest correction of a matched position, as a share of the frame
REACH = 0.1
#: a warped mask above this is known pixels only; below, a mixture with unknown ones
WHOLE = 0.99
#: subtracted from the similarity to positions that are not known
UNLIKE = 1e4


class _Block(nn.Module):
    """A residual block; with ``over_time`` it also looks at the frames before and after."""

    def __init__(self, channels: int, over_time: bool = False):
        super().__init__()
        self.norm = GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.time = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0)) if over_time else None
        _zero(self.conv2)
        if self.time is not None:
            _zero(self.time)

    def forward(self, x: Float[Tensor, "bt c h w"], clips: int = 1) -> Float[Tensor, "bt c h w"]:
        x = x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x)))))
        return x if self.time is None else x + fold(self.time(F.silu(unfold(x, clips))))


class WarpNet(ModelMixin, ConfigMixin):
    """Matches positions of a generated clip to known ones, and refines the flow by a small U-Net.

    Args:
        widths: channels of each level of the U-Net, the finest first; multiples of 8. The two coarsest look
            over time.
        matched: channels of the features that are compared, on a grid of 8 x 8 pixels.
    """

    frames_at_once = 16

    @register_to_config
    def __init__(self, widths: Sequence[int] = (48, 96, 128), matched: int = 96):
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(3 * PATCH**2, matched // 2, 3, padding=1),
            _Block(matched // 2),
            nn.Conv2d(matched // 2, matched, 3, stride=2, padding=1),
            _Block(matched),
            _Block(matched),
            GroupNorm(8, matched),
            nn.Conv2d(matched, matched, 1),
        )
        #: logarithms of the weights of similarity and of distance
        self.likeness = nn.Parameter(torch.tensor(3.0))
        self.nearness = nn.Parameter(torch.tensor(3.0))

        # The matched pixels, the known clip, the generated one, the mask, and the displacement
        seen = (3 * 3 + 1) * PATCH**2 + 2
        self.inputs = nn.Conv2d(seen, widths[0], 3, padding=1)
        coarse = len(widths) - 2
        self.down = nn.ModuleList(_Block(width, level >= coarse) for level, width in enumerate(widths))
        self.shrink = nn.ModuleList(
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in itertools.pairwise(widths)
        )
        self.mid = _Block(widths[-1], True)
        self.grow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in itertools.pairwise(widths))
        self.up = nn.ModuleList(_Block(width, level >= coarse) for level, width in enumerate(widths[:-1]))
        self.detail = nn.Sequential(GroupNorm(8, widths[0]), nn.SiLU(), nn.Conv2d(widths[0], 3, 3, padding=1))
        _zero(self.detail[-1])

    def forward(self, nearest: Video, made: Video, given: Mask, known: Mask) -> Displacement:
        """The displacement (x, y) to where each place's content is in ``nearest``, as shares of the frame's
        width and height, and the share to take of it, 0 to 1; on a grid of 4 x 4 pixels.

        Args:
            nearest: the known pixels, see ``lumiere.diffusion.conditioning.fill_unknown``; in [-1, 1].
            made: the generated clip; in [-1, 1].
            given: 1 where ``made`` holds known pixels.
            known: 1 where ``nearest`` is known in any frame.
        """
        clips = len(made)
        patches = [F.pixel_unshuffle(fold(each), PATCH) for each in (nearest, made, given)]
        parts = [each.split(self.frames_at_once) for each in (*patches[:2], fold(known))]
        flow = torch.cat([self._match(*part) for part in zip(*parts, strict=True)])
        flow = F.interpolate(flow, size=patches[0].shape[-2:], mode="bilinear", align_corners=False)
        found = _warp(patches[0].float(), flow)
        detail = self._refine(torch.cat([found.to(made), *patches, flow.to(made)], 1), clips)
        flow = flow + REACH * torch.tanh(detail[:, :2].float())
        return unfold(torch.cat([flow, detail[:, 2:].sigmoid()], 1), clips)

    def _match(self, nearest: Tensor, made: Tensor, known: Tensor) -> Float[Tensor, "bt 2 h w"]:
        """The displacement of each position of ``made``: the mean over known ones, weighted by similarity."""
        looks = F.normalize(self.look(torch.cat([nearest, made])))
        height, width = looks.shape[-2:]
        there, here = looks.flatten(2).transpose(1, 2).chunk(2)
        rows, columns = ((torch.arange(side, device=looks.device) + 0.5) / side for side in (height, width))
        places = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).flatten(0, 1)
        far = (places[:, None] - places).square().sum(-1)
        alike = (here @ there.transpose(1, 2)) * self.likeness.exp() - far * self.nearness.exp()
        unknown = 1 - F.adaptive_max_pool2d(known, (height, width)).flatten(1)[:, None]
        with torch.autocast(alike.device.type, enabled=False):  # half a pixel would be lost
            flow = (alike.float() - UNLIKE * unknown).softmax(-1) @ places - places
        return flow.transpose(1, 2).unflatten(2, (height, width))

    def _refine(self, x: Tensor, clips: int) -> Tensor:
        x = self.inputs(x)
        skips = []
        for level, block in enumerate(self.down):
            x = block(x, clips)
            if level < len(self.shrink):
                skips.append(x)
                x = self.shrink[level](x)
        x = self.mid(x, clips)
        for level in reversed(range(len(self.up))):
            x = F.interpolate(self.grow[level](x), size=skips[level].shape[-2:]) + skips[level]
            x = self.up[level](x, clips)
        return self.detail(x)

    @torch.no_grad()
    @apply_forward_hook  # CPU offload moves the module here too, not in forward alone
    def restore(self, nearest: Video, made: Video, given: Mask, known: Mask) -> Video:
        """``made``, with known pixels warped into it."""
        return warp_known(nearest, made, self(nearest, made, given, known), known)


def _zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def warp_known(nearest: Video, made: Video, displacement: Displacement, known: Mask) -> Video:
    """``made``, blended with the warped ``nearest`` by the displacement's share, where that is known."""
    share = unfold(_on_pixels(displacement[:, 2:], made), len(made)).to(made)
    found, whole = warp(torch.cat([nearest, known], 1), displacement).split([3, 1], 1)
    return made + share * (whole > WHOLE) * (found - made)


def warp(video: Float[Tensor, "b c t H W"], displacement: Displacement) -> Float[Tensor, "b c t H W"]:
    """The video or mask, each pixel read at its displacement; beyond an edge, the edge's pixels."""
    warped = _warp(fold(video).float(), _on_pixels(displacement[:, :2], video))
    return unfold(warped, len(video)).to(video)


def _warp(frames: Float[Tensor, "bt c h w"], flow: Float[Tensor, "bt 2 h w"]) -> Float[Tensor, "bt c h w"]:
    straight = torch.eye(2, 3, device=frames.device).expand(len(frames), -1, -1)
    grid = F.affine_grid(straight, list(frames.shape), align_corners=False) + 2 * flow.movedim(1, -1)
    return F.grid_sample(frames, grid, padding_mode="border", align_corners=False)


def _on_pixels(values: Float[Tensor, "b n t h w"], like: Tensor) -> Float[Tensor, "bt n H W"]:
    return F.interpolate(fold(values).float(), size=like.shape[-2:], mode="bilinear", align_corners=False)
