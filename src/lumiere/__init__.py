"""Lumiere: text-to-video with a Space-Time U-Net.

The public names, each imported when it is first asked for, so that ``import lumiere`` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lumiere.conditions import Condition
    from lumiere.errors import InputError
    from lumiere.io.video import Clip, read_metadata
    from lumiere.metrics.slice_motion import slice_figures
    from lumiere.metrics.xt_slice import xt_slice
    from lumiere.models.codec import PatchAutoencoder, PatchCodec
    from lumiere.models.stunet import STUNet
    from lumiere.models.text import MiniLMTextEncoder
    from lumiere.pipelines.superres import UpscalePipeline
    from lumiere.pipelines.text_to_video import LumierePipeline
    from lumiere.style import Style

__all__ = [
    "Clip",
    "Condition",
    "InputError",
    "LumierePipeline",
    "MiniLMTextEncoder",
    "PatchAutoencoder",
    "PatchCodec",
    "STUNet",
    "Style",
    "UpscalePipeline",
    "read_metadata",
    "slice_figures",
    "xt_slice",
]

# A bundle's model_index.json names its parts as attributes of this package.
_HOMES = {
    "Clip": "lumiere.io.video",
    "Condition": "lumiere.conditions",
    "InputError": "lumiere.errors",
    "LumierePipeline": "lumiere.pipelines.text_to_video",
    "MiniLMTextEncoder": "lumiere.models.text",
    "PatchAutoencoder": "lumiere.models.codec",
    "PatchCodec": "lumiere.models.codec",
    "STUNet": "lumiere.models.stunet",
    "Style": "lumiere.style",
    "UpscalePipeline": "lumiere.pipelines.superres",
    "read_metadata": "lumiere.io.video",
    "slice_figures": "lumiere.metrics.slice_motion",
    "xt_slice": "lumiere.metrics.xt_slice",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("lumiere-video")
    if name not in _HOMES:
        raise AttributeError(f"module 'lumiere' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
