"""The stages, by their configurations."""

from __future__ import annotations

import torch

from lumiere.train.codec import CodecStage
from lumiere.train.conditioned import ConditionedStage
from lumiere.train.config import (
    CodecConfig,
    ConditionedConfig,
    Config,
    ImageConfig,
    SuperResolutionConfig,
    SynonymConfig,
    TemporalConfig,
    WarpConfig,
)
from lumiere.train.image import ImageStage
from lumiere.train.stage import Stage
from lumiere.train.superres import SuperResolutionStage
from lumiere.train.synonyms import SynonymStage
from lumiere.train.temporal import TemporalStage
from lumiere.train.warping import WarpStage


def build(config: Config, device: torch.device, builds_cache: bool = True) -> Stage:
    """The stage that ``config`` describes, its weights drawn from the seed or read from ``init``."""
    match config:
        case CodecConfig():
            return CodecStage(config, device)
        case SynonymConfig():
            return SynonymStage(config, device, builds_cache)
        case ImageConfig():
            return ImageStage(config, device, builds_cache)
        case ConditionedConfig():
            return ConditionedStage(config, device, builds_cache)
        case TemporalConfig():
            return TemporalStage(config, device, builds_cache)
        case WarpConfig():
            return WarpStage(config, device)
        case SuperResolutionConfig():
            return SuperResolutionStage(config, device)
