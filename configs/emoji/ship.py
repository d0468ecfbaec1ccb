"""Make the shipped bundle of finished runs: half precision, and the objects that the model has seen.

python configs/emoji/ship.py runs/emoji-conditioned/model runs/emoji-decoder/model \
    runs/emoji-warp/model data/emoji src/lumiere/emoji/weights/emoji
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from lumiere.diffusion.sampling import make_scheduler
from lumiere.emoji.data.npm import default_cache, fetch
from lumiere.emoji.data.shards import MANIFEST
from lumiere.emoji.data.sprites import NAMES, in_groups, read_index
from lumiere.emoji.vocabulary import write_words
from lumiere.io import bundle
from lumiere.models.codec import PatchAutoencoder
from lumiere.models.warping import WarpNet
from lumiere.pipelines.text_to_video import LumierePipeline


def main(model: Path, decoder: Path, warp_net: Path, data: Path, target: Path) -> None:
    parts = {
        "codec": PatchAutoencoder.from_pretrained(decoder),
        "warp_net": WarpNet.from_pretrained(warp_net),
    }
    pipe = LumierePipeline.from_pretrained(model, **parts)
    pipe.scheduler = make_scheduler("ddim", pipe.scheduler.config)
    pipe.register_to_config(
        steps=6,
        guidance=2.0,
        guidance_rescale=0.7,
        noise_smoothness=8.0,
        prompt_parser="emoji",
        moving_scale=0.8,
        upscaler="emoji-upscaler",
    )
    pipe.save_pretrained(target, dtype=torch.float16, max_shard_size="14MB")
    groups = json.loads((data / MANIFEST).read_text("utf-8"))["request"]["groups"]
    objects = {entry["code"]: entry["label"] for entry in in_groups(read_index(data / "sprites"), groups)}
    (target / bundle.OBJECTS).write_text(json.dumps(objects, indent=1, ensure_ascii=False) + "\n", "utf-8")
    write_words(target, fetch(NAMES, default_cache()), objects)
    bundle.write_manifest(target)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
