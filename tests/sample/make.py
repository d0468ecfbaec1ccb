"""Compose the sample again from the sprites that `lumiere data emoji` prepared: python make.py DIR/sprites"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np

from lumiere.emoji.data.scenes import Sprite, own_tags
from lumiere.emoji.data.shards import Composer, Shard
from lumiere.emoji.data.sprites import load_sprites

CODES = ["1f408-200d-2b1b", "1f427", "1f680", "1f98b", "2764", "2b50"]


def main(sprites: Path, here: Path) -> None:
    index = json.loads((sprites / "sprites.json").read_text("utf-8"))
    everything = [
        Sprite(e["code"], e["label"], tuple(e["tags"]), e["group"], np.empty(0)) for e in index["sprites"]
    ]
    index["sprites"] = [entry for entry in index["sprites"] if entry["code"] in CODES]
    (here / "sprites").mkdir(exist_ok=True)
    (here / "sprites" / "sprites.json").write_text(json.dumps(index, indent=1) + "\n", "utf-8")
    for code in CODES:
        shutil.copy(sprites / f"{code}.mp4", here / "sprites")

    composer = Composer(load_sprites(here / "sprites"))
    composer.synonyms = own_tags(everything)
    (here / "clips.tar").write_bytes(composer.shard(Shard("clips", False, 0, 8, seed=0)))
    (here / "stills.tar").write_bytes(composer.shard(Shard("stills", False, 0, 24, seed=0)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent)
