"""Does a clip show what its prompt says? Asked of a recogniser, or of CLIP or X-CLIP in a local folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lumiere.errors import InputError
from lumiere.metrics.clips import frames_of
from lumiere.metrics.features import local_config, middle_square, picture_scaling
from lumiere.metrics.recogniser import Recogniser

#: frames (uint8, t x h x w x 3), their prompt and the clip's name to a number
Alignment = Callable[[np.ndarray, str, str], float]


def object_of(prompt: str, labels: Mapping[str, str]) -> str | None:
    """The code of the one object that a composed prompt names; None for no object, or several."""
    words, found = prompt.casefold(), []
    for code, label in sorted(labels.items(), key=lambda item: -len(item[1])):
        shortened, count = re.subn(rf"\b{re.escape(label.casefold())}\b", "\0", words)
        if count:
            words = shortened
            found += [code] * count
    return found[0] if len(found) == 1 else None


def object_probability(recogniser: Recogniser, frames: np.ndarray, prompt: str) -> float | None:
    """The probability, 0 to 1, that the recogniser gives the object which a composed prompt names.

    None where it names no object of the recogniser's, or more than one.
    """
    code = object_of(prompt, recogniser.labels)
    return None if code is None else recogniser.probabilities(frames)[code]


def load_text_model(folder: Path, device: str = "cpu") -> Alignment:
    """Cosine similarity, -1 to 1, of prompt and clip, by CLIP or X-CLIP from a folder of transformers.

    Of CLIP it is the mean over 16 frames (CLIPSIM, Wu et al. 2021). X-CLIP sees as many frames as it was made
    for, together.

    Raises:
        InputError: the folder holds neither, or pickled weights.
    """
    from transformers import AutoTokenizer, CLIPModel, XCLIPModel

    kind = local_config(folder, {"clip", "xclip"})["model_type"]
    net: Any = (CLIPModel if kind == "clip" else XCLIPModel).from_pretrained(
        folder, local_files_only=True, use_safetensors=True
    )
    net = net.eval().to(device)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} has no tokenizer: {str(error).splitlines()[0]}") from None
    count = net.config.vision_config.num_frames if kind == "xclip" else 16
    side, length = net.config.vision_config.image_size, net.config.text_config.max_position_embeddings
    pixels = picture_scaling(folder)

    @torch.no_grad()
    def align(frames: np.ndarray, prompt: str, name: str) -> float:
        chosen = frames_of(frames, min(count, len(frames)) if kind == "clip" else count, None, name)
        pictures = pixels(middle_square(chosen, side)).to(device)
        words = tokenizer([prompt], truncation=True, max_length=length, return_tensors="pt").to(device)
        if kind == "clip":
            logits = net(pixel_values=pictures, **words).logits_per_image
        else:
            logits = net(pixel_values=pictures[None], **words).logits_per_video
        return float((logits / net.logit_scale.exp()).mean())

    return align
