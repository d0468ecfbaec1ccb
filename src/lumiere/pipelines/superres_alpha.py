"""Super-resolution of clips with alpha: the matte is enlarged as the picture is, so that edges agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import UInt8

from lumiere.io.video.transparent import fill_hidden
from lumiere.pipelines.superres import UpscalePipeline


def upscale_transparent(
    pipe: UpscalePipeline,
    frames: UInt8[np.ndarray, "t h w 4"],
    size: tuple[int, int],
    metadata: dict[str, Any],
    **options: Any,
) -> tuple[UInt8[np.ndarray, "t H W 4"], dict[str, Any]]:
    """Enlarge frames with alpha, not premultiplied, to ``size`` (height, width); and the settings to note.

    The colours that no one sees are replaced by those of their surroundings, and the matte is enlarged as a
    gray clip by the same net, which takes as long again.

    Args:
        metadata: the source's settings.
        options: of :meth:`~lumiere.pipelines.superres.UpscalePipeline.stream`.

    Raises:
        InputError: as ``stream``.
    """
    options = pipe.said(metadata) | options
    count = len(frames)
    colours = np.stack(list(pipe.stream(fill_hidden(frames)[..., :3], count, size, **options)))
    words = ("prompt", "negative_prompt", "guidance_scale")
    unsaid = {name: value for name, value in options.items() if name not in words}
    gray = pipe.stream(np.repeat(frames[..., 3:], 3, axis=-1), count, size, **unsaid)
    alpha = [each.mean(-1, keepdims=True).round().astype(np.uint8) for each in gray]
    return np.concatenate([colours, np.stack(alpha)], axis=-1), pipe.note(metadata, size, options)
