"""Judges of styles, trained on real pictures.

One classifies the styles, the model's own among them. The other names objects in all of these styles, since
a recogniser of the model's own style knows no line art.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lumiere.emoji.data import styles as drawn
from lumiere.emoji.data.scenes import STYLE_BACKGROUNDS, Sprite
from lumiere.emoji.evaluation.recogniser import Recogniser, object_crops, ranking
from lumiere.emoji.evaluation.train_recogniser import train
from lumiere.errors import InputError
from lumiere.io.files import replacing
from lumiere.pipelines.text_to_video import LumierePipeline
from lumiere.style import Style
from lumiere.train.style import fit

#: the model's own, among the styles
OWN = "own"
#: pictures that a style is fitted to
REFERENCES = 6
JUDGE_STEPS = 2000
_FRAMES_OF_A_SPRITE = 8
_JUDGED = 16


@dataclass(frozen=True)
class StyleJudges:
    """The styles, what they are fitted to, and the judges.

    Attributes:
        drawings: by style and code, uint8 h x w x 4, premultiplied.
        references: codes of the objects that styles are fitted to, and no prompt asks for.
        folder: keeps styles and judges.
    """

    drawings: Mapping[str, Mapping[str, np.ndarray]]
    references: Sequence[str]
    labels: Mapping[str, str]
    style_judge: Recogniser
    object_judge: Recogniser
    folder: Path

    def style(self, name: str, pipe: LumierePipeline) -> Style:
        """The style, fitted if it is not there yet."""
        folder = self.folder / name
        if not folder.exists():
            pictures = [_plain(self.drawings[name][code]) for code in self.references]
            captions = [self.labels[code] for code in self.references]
            fit(pipe, pictures, captions, backgrounds=STYLE_BACKGROUNDS).save_pretrained(folder)
        return Style.from_pretrained(folder)

    def shares(self, frames: np.ndarray) -> dict[str, float]:
        """The share of frames that the judge says are in each style."""
        chosen = frames[np.linspace(0, len(frames) - 1, _JUDGED).round().astype(int)]
        with torch.no_grad():
            said = self.style_judge.net(object_crops(chosen)).argmax(1)
        return {
            name: float((said == number).float().mean())
            for number, name in enumerate(self.style_judge.labels)
        }

    def among_five(self, frames: np.ndarray, code: str) -> bool:
        """Whether the object is among the first five that the judge names."""
        return code in ranking(self.object_judge.probabilities(frames))[:5]


def open_wardrobe(
    styles: Path, sprites: Mapping[str, Sprite], labels: Mapping[str, str], out: Path
) -> StyleJudges:
    """Read the drawings, and train the judges, some ten minutes of one core, if ``out`` has none.

    Raises:
        InputError: ``styles`` is none that `lumiere data styles` wrote, or has too few of the objects.
    """
    names = {label.replace(" ", "-"): code for code, label in labels.items()}
    drawings = {
        style: {
            names[name]: _premultiplied(each) for name, each in drawn.load(styles, style, list(names)).items()
        }
        for style in drawn.STYLES
    }
    shared = sorted(set.intersection(*(set(each) for each in drawings.values())))
    if len(shared) <= REFERENCES:
        raise InputError(
            f"{styles} has {len(shared)} of the model's objects; more than {REFERENCES} are needed"
        )
    picked = np.random.default_rng(0).choice(shared, REFERENCES, replace=False)
    own = {code: _some(sprites[code].frames) for code in labels}

    def of_styles() -> Recogniser:
        looks = {OWN: np.concatenate(list(own.values()))}
        looks |= {style: np.stack(list(each.values())) for style, each in drawings.items()}
        return _judge(looks, {name: name for name in looks})

    def of_objects() -> Recogniser:
        looks = {
            code: np.concatenate([frames, *(each[code][None] for each in drawings.values() if code in each)])
            for code, frames in own.items()
        }
        return _judge(looks, labels)

    return StyleJudges(
        drawings,
        [str(code) for code in picked],
        labels,
        _kept(out / "style-judge.safetensors", of_styles),
        _kept(out / "object-judge.safetensors", of_objects),
        out,
    )


def _judge(looks: Mapping[str, np.ndarray], labels: Mapping[str, str]) -> Recogniser:
    sprites = [Sprite(code, labels[code], (), "", frames) for code, frames in looks.items()]
    return train(sprites, JUDGE_STEPS, stride=1)


def _kept(path: Path, make: Callable[[], Recogniser]) -> Recogniser:
    if not path.exists():
        judge = make()
        with replacing(path) as part:
            part.write_bytes(judge.dumps())
    return Recogniser.load(path)


def _some(frames: np.ndarray) -> np.ndarray:
    return frames[np.linspace(0, len(frames) - 1, _FRAMES_OF_A_SPRITE).round().astype(int)]


def _premultiplied(rgba: np.ndarray) -> np.ndarray:
    rgba = rgba if rgba.shape[2] == 4 else np.dstack([rgba, np.full(rgba.shape[:2], 255, np.uint8)])
    colours = rgba[..., :3].astype(np.float32) * (rgba[..., 3:] / 255)
    return np.dstack([colours.round().astype(np.uint8), rgba[..., 3]])


def _plain(premultiplied: np.ndarray) -> np.ndarray:
    alpha = np.maximum(premultiplied[..., 3:], 1) / 255
    colours = (premultiplied[..., :3] / alpha).round().clip(0, 255).astype(np.uint8)
    return np.dstack([colours, premultiplied[..., 3]])
