"""Make docs/gallery.md and its clips with the shipped models:  python scripts/gallery.py DATA STYLES

DATA is what `lumiere data emoji` made and STYLES what `lumiere data styles` made: they give the pictures and
the video that a user would have. Every clip is made by the command that stands under it.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from lumiere.emoji.data.scenes import CLIP_FRAMES, FPS, Background, Scene, Sprite, render
from lumiere.emoji.data.sprites import load_sprites
from lumiere.io.sheet import contact_sheet
from lumiere.io.video import Clip, save_picture

GALLERY = Path(__file__).resolve().parent.parent / "docs" / "gallery"
REFERENCES = ("crab", "elephant", "fish", "fox", "monkey-face", "cat-face")
COMMANDS = {
    "Text to video": 'generate "a frog growing on a purple background" --seed 7',
    "Several objects": 'generate "a lion to the left of an owl on a purple background" --seed 1',
    "A loop": 'loop "an owl on a yellow background" --seed 1',
    "Image to video": 'animate panda.png "a panda moving left on a green background" --seed 1',
    "A transition": 'transition panda.png panda-small.png "a panda shrinking on a green background" --seed 1',
    "A cinemagraph": 'cinemagraph panda.png "a panda on a green background" --box 20,16,108,112 --seed 1',
    "Inpainting": 'inpaint lion.webp "a crab on a blue background" --box 24,24,104,104 --seed 1',
    "Outpainting": 'outpaint lion.webp "a lion on a blue background" --canvas 192x128 --seed 1',
    "Extension": 'extend lion.webp "a lion moving left on a blue background" --frames 160 --seed 1',
    "Editing": 'edit lion.webp "a panda moving right on a blue background" --strength 0.9 --seed 1',
    "A style": 'generate "a whale on a yellow background" --style flat --alpha 0.6 --seed 3',
    "Restyling": 'edit lion.webp "a lion on a blue background" --style flat --alpha 0.6 --seed 1',
    "Larger": 'generate "a frog growing on a purple background" --size 256 --seed 7',
}
HEAD = """# Gallery
An example of each application of the paper, by the shipped models. The page is written by
`python scripts/gallery.py data/emoji data/styles`. Inputs are composed from the training data's drawings; the
style is fitted to six flat pictures (Fluent Emoji flat, MIT):

![Inputs](gallery/inputs.png)

"""


def main(data: Path, styles: Path) -> None:
    GALLERY.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        page = _page(data, styles, Path(folder))
    GALLERY.with_suffix(".md").write_text(page, "utf-8")


def _page(data: Path, styles: Path, work: Path) -> str:
    _inputs({sprite.label: sprite for sprite in load_sprites(data)}, styles, work)
    references = [f"{name}.png" for name in REFERENCES]
    _lumiere(work, ["style", "fit", *references, "--out", "flat", "--overwrite"])
    page = HEAD
    for number, (title, command) in enumerate(COMMANDS.items(), 1):
        name = f"{number:02d}.webp"
        _lumiere(work, [*shlex.split(command), "--out", str(GALLERY / name), "--overwrite"])
        page += f"## {title}\n![{title}](gallery/{name})\n\n```bash\nlumiere {command}\n```\n\n"
    return page.rstrip() + "\n"


def _inputs(sprites: dict[str, Sprite], styles: Path, work: Path) -> None:
    """Two stills, a clip and the references; and a sheet of them."""
    panda, lion = sprites["panda"], sprites["lion"]

    def scene(sprite: Sprite, motion: str, colour: str, size: float) -> np.ndarray:
        shown = Scene((sprite.code,), "alone", Background("solid", (colour,)), motion, size, (0.0, 0.0))
        return render(shown, {sprite.code: sprite}, CLIP_FRAMES)

    large, small = (scene(panda, "none", "green", size) for size in (0.85, 0.5))
    save_picture(large[0], work / "panda.png", overwrite=True)
    save_picture(small[40], work / "panda-small.png", overwrite=True)
    source = Clip(scene(lion, "right", "blue", 0.7), FPS)
    source.save(work / "lion.webp", overwrite=True)
    for name in REFERENCES:
        (work / f"{name}.png").write_bytes((styles / "flat" / f"{name}.png").read_bytes())
    shown = [Image.open(work / f"{name}.png").convert("RGBA") for name in REFERENCES]
    drawings = np.stack(
        [
            np.asarray(Image.alpha_composite(Image.new("RGBA", each.size, "white"), each).convert("RGB"))
            for each in shown
        ]
    )
    stills = np.stack([large[0], small[40]])
    rows = [Clip(stills, 1), source, Clip(drawings, 1)]
    labels = ["panda.png and panda-small.png", "lion.webp", "references of the style flat"]
    save_picture(contact_sheet(rows, labels=labels), GALLERY / "inputs.png", overwrite=True)


def _lumiere(work: Path, arguments: list[str]) -> None:
    print("lumiere", shlex.join(arguments), flush=True)
    subprocess.run([sys.executable, "-m", "lumiere", *arguments], cwd=work, check=True)


if __name__ == "__main__":
    main(*(Path(argument).resolve() for argument in sys.argv[1:]))
