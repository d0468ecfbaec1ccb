"""Zero-shot UCF-101 (Soomro et al. 2012): prompts for its classes, and generated clips beside the real ones.

As Stable Video Diffusion describes it (Blattmann et al. 2023, arXiv 2311.15127, appendix E): as many clips of
each class as there are real ones, conditioned on the class's bare name, 16 frames of each, resized (bilinear,
antialiased) and cut in the middle to 320x240, I3D features by the TorchScript of Brooks et al. (2022). Others
write a sentence for each class (Ge et al. 2023, arXiv 2305.10474): give those as a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from lumiere.errors import InputError
from lumiere.io.bundle import read_json
from lumiere.io.text import read_text
from lumiere.metrics.clips import Source, find

CLASSES = 101
WIDTH, HEIGHT = 320, 240
#: the published number of generated clips: of Ge et al.; Blattmann et al. take as many as are real, 13,320
COUNT = 10_000
#: parts of the inception score
SPLITS = 10


def real_clips(folder: Path, listed: Path | None = None) -> dict[str, list[Source]]:
    """The real clips by class, a class being a sub-folder.

    Args:
        listed: a split's list, such as ucfTrainTestlist/trainlist01.txt: its clips alone.

    Raises:
        InputError: there are none, or some that are listed are missing.
    """
    by_class: dict[str, list[Source]] = {}
    for source in find([folder]):
        if "/" in source.name:
            by_class.setdefault(source.name.split("/")[-2], []).append(source)
    if listed is not None:
        by_class = _only(by_class, listed)
    if not by_class:
        raise InputError(f"{folder} has no sub-folders of clips, one a class; give the folder UCF-101")
    return by_class


def _only(by_class: Mapping[str, list[Source]], listed: Path) -> dict[str, list[Source]]:
    try:
        wanted = {line.split()[0] for line in read_text(listed).splitlines() if line.strip()}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{listed} cannot be read as a list of clips: {error}") from None
    there = {f"{name}/{source.path.name}": source for name, clips in by_class.items() for source in clips}
    if missing := sorted(wanted - there.keys()):
        raise InputError(
            f"{len(missing)} of {len(wanted)} clips in {listed} are missing, such as {missing[0]}"
        )
    kept: dict[str, list[Source]] = {}
    for key in sorted(wanted):
        kept.setdefault(key.split("/")[0], []).append(there[key])
    return kept


def shares(real: Mapping[str, int], count: int) -> dict[str, int]:
    """``count`` clips over the classes as the real ones are, by largest remainders.

    Raises:
        InputError: ``count`` is so small that a class would have none.
    """
    total = sum(real.values())
    given = {name: count * size // total for name, size in real.items()}
    by_rest = sorted(real, key=lambda name: -(count * real[name] % total))
    for name in by_rest[: count - sum(given.values())]:
        given[name] += 1
    if empty := sum(share == 0 for share in given.values()):
        raise InputError(f"{count} clips leave {empty} of {len(real)} classes without one; give more")
    return given


def prompt_lines(real: Mapping[str, int], count: int, sentences: Path | None = None) -> list[str]:
    """JSON Lines of ``clip`` (CLASS/0000.mp4) and ``prompt``: what to generate.

    Args:
        sentences: .json, a prompt for each class; without it, the class's bare name.

    Raises:
        InputError: classes have no sentence; the message lists them.
    """
    captions = read_json(sentences) if sentences else {name: name for name in real}
    if missing := sorted(name for name in real if not isinstance(captions.get(name), str)):
        raise InputError(
            f"{sentences} has no prompt for {len(missing)} of {len(real)} classes: {', '.join(missing)}"
        )
    return [
        json.dumps({"clip": f"{name}/{number:04d}.mp4", "prompt": captions[name]}, ensure_ascii=False)
        for name, size in sorted(shares(real, count).items())
        for number in range(size)
    ]


def departures(generated: int, classes: int) -> list[str]:
    """In what a run is not the published protocol."""
    found = []
    if generated < COUNT:
        found.append(f"{generated} generated clips; published figures are of {COUNT} or more")
    if classes != CLASSES:
        found.append(f"{classes} classes; UCF-101 has {CLASSES}")
    return found


def as_real(frames: np.ndarray) -> np.ndarray:
    """Frames (uint8, t x h x w x 3) in UCF-101's shape, 320x240: scaled to cover it, the middle kept."""
    height, width = frames.shape[1:3]
    if (height, width) == (HEIGHT, WIDTH):
        return frames
    scale = max(HEIGHT / height, WIDTH / width)
    size = max(HEIGHT, round(height * scale)), max(WIDTH, round(width * scale))
    pictures = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
    large = F.interpolate(pictures, size=size, mode="bilinear", antialias=True)
    top, left = (size[0] - HEIGHT) // 2, (size[1] - WIDTH) // 2
    cut = large[:, :, top : top + HEIGHT, left : left + WIDTH].round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(cut.permute(0, 2, 3, 1).numpy())
