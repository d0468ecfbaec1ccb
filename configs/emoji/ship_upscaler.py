"""Make the shipped super-resolution bundle of a finished run, in half precision.

python configs/emoji/ship_upscaler.py runs/emoji-upscaler/model src/lumiere/emoji/weights/emoji-upscaler
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from lumiere.pipelines.superres import UpscalePipeline


def main(model: Path, target: Path) -> None:
    pipe = UpscalePipeline.from_pretrained(model)
    pipe.register_to_config(steps=1, window=16, overlap=2, noise_level=0.0)
    pipe.save_pretrained(target, dtype=torch.float16, max_shard_size="14MB")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
