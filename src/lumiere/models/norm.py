"""Group normalisation that is as fast in half precision on a CPU as it should be."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GroupNorm(nn.GroupNorm):
    """The same. Of a channels_last picture in half precision on a CPU, PyTorch 2.13's own takes several times
    as long as of a contiguous one, copied there and back."""

    def forward(self, x: Tensor) -> Tensor:
        """Like :class:`torch.nn.GroupNorm`'s, up to rounding; the result has the layout of ``x``."""
        slow = x.device.type == "cpu" and x.element_size() == 2 and not x.is_contiguous()
        if not (slow and x.ndim == 4):
            return super().forward(x)
        return super().forward(x.contiguous()).contiguous(memory_format=torch.channels_last)


def use_fast_norms(net: nn.Module) -> None:
    """Let every :class:`torch.nn.GroupNorm` in ``net`` be the one of this module, weights and all."""
    for module in net.modules():
        if type(module) is nn.GroupNorm:
            module.__class__ = GroupNorm
