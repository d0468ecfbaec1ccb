"""Fitting a style: low-rank weights, trained on a few pictures, as in StyleDrop (Sohn et al. 2023).

They are at the image model's finest level alone, which draws outlines, fillings and shades. The levels that
decide what is seen, and where, are not touched; fitted with them, a model forgets what it could draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from lumiere import __version__
from lumiere.conditions import Picture, read_cutout, read_picture
from lumiere.data.compose import COLOURS
from lumiere.diffusion.objective import drop_captions, training_loss
from lumiere.errors import InputError
from lumiere.style import ADAPTER, FORMAT, PREFIX, Style, adapter, fingerprint
from lumiere.video import resize

if TYPE_CHECKING:
    from lumiere.pipeline import LumierePipeline

STEPS, RANK = 400, 32
_THUMBNAIL = 256
_LEARNING_RATE = 4e-3
_BATCH = 16
_DROPPED = 0.1
_VIEWS = 48


def fit(
    pipe: LumierePipeline,
    references: Sequence[Picture],
    captions: Sequence[str],
    *,
    steps: int = STEPS,
    rank: int = RANK,
    seed: int = 0,
    name: str = "style",
    keep_partial: bool = False,
) -> Style:
    """Fit a style to one or a few pictures, by the image model's own training loss.

    A picture that is cut out, transparent around its object, is seen on backgrounds of many colours, each
    named after its caption; the style then leaves backgrounds as a prompt wants them.

    Args:
        references: pictures, as :func:`lumiere.conditions.read_picture` takes them, or, cut out, uint8
            h x w x 4.
        captions: what each shows, in the words that the model knows, without the style.
        steps: of 16 views each.
        rank: of the weights' change in each layer.
        name: of the style.
        keep_partial: whether an interruption ends the fitting early, with what was fitted; its ``about`` says
            after how many steps.

    Raises:
        InputError: there is no reference, or not one caption for each; ``steps`` or ``rank`` is below 1; or
            what is fitted holds no numbers any more.
    """
    from peft import LoraConfig, get_peft_model_state_dict

    if not references:
        raise InputError("there is no reference; give one picture or more")
    if len(captions) != len(references):
        raise InputError(
            f"there are {len(captions)} captions for {len(references)} references; give one each"
        )
    for what, value in (("steps", steps), ("rank", rank)):
        if value < 1:
            raise InputError(f"{what} is {value}; give 1 or more")
    unet, device = pipe.unet.spatial, pipe._execution_device
    about = {
        "format": FORMAT,
        "model": pipe.model_name,
        "image_model": fingerprint(unet),
        "captions": list(captions),
        "rank": rank,
        "seed": seed,
        "version": __version__,
    }
    pictures = [read_cutout(each) for each in references]
    rng, generator = np.random.default_rng(seed), torch.Generator(device).manual_seed(seed)
    views, said = _views(pictures, captions, pipe.config["size"], rng)
    with torch.no_grad():
        latents = pipe._encode(np.stack(views))[0].movedim(1, 0).float()
        wording, which = np.unique(said, return_inverse=True)
        context = pipe.text_encoder(wording.tolist()).to(device)[torch.from_numpy(which)]
        empty = pipe.text_encoder([""]).to(device)
    alphas_cumprod = pipe.scheduler.alphas_cumprod.to(device)

    def denoise(told: Tensor, x: Tensor, t: Tensor) -> Tensor:
        predicted: Tensor = unet(x.to(unet.dtype), t, told.to(unet.dtype), return_dict=False)[0]
        return predicted

    done = 0
    with adapter(unet), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet.add_adapter(
            LoraConfig(r=rank, lora_alpha=rank, target_modules=_finest(unet)), adapter_name=ADAPTER
        )
        trained = [p for name, p in unet.named_parameters() if ".lora_" in name]
        for parameter in trained:
            parameter.data = parameter.data.float()  # half floats are too coarse for small steps
        optimizer = torch.optim.AdamW(trained, _LEARNING_RATE, weight_decay=0.0)
        try:
            for step in tqdm(range(steps), "fitting", unit="step", disable=None):
                for group in optimizer.param_groups:
                    group["lr"] = _LEARNING_RATE * min(1.0, (step + 1) / 10, 2 * (steps - step) / steps)
                chosen = torch.randint(len(latents), (_BATCH,), generator=generator, device=device)
                told = drop_captions(context[chosen], empty, _DROPPED, generator)
                loss = training_loss(
                    partial(denoise, told),
                    latents[chosen],
                    alphas_cumprod,
                    generator,
                    prediction_type=pipe.scheduler.config.prediction_type,
                )
                if not loss.isfinite():
                    raise InputError(f"the loss is {loss.item()} at step {step}; give the model in float32")
                loss.backward()
                nn.utils.clip_grad_norm_(trained, 1.0)
                optimizer.step()
                optimizer.zero_grad()
                done = step + 1
        except KeyboardInterrupt:
            if not (keep_partial and done):
                raise
        state = get_peft_model_state_dict(unet, adapter_name=ADAPTER)
        lora = {f"{PREFIX}.{name}": weight.detach().cpu().clone() for name, weight in state.items()}
    thumbnails = [_thumbnail(picture) for picture in pictures]
    return Style(lora, {}, {**about, "steps": done}, thumbnails, name)


def _finest(unet: UNet2DConditionModel) -> list[str]:
    """Names of the linear layers and convolutions of the image model's finest level."""
    last = len(unet.up_blocks) - 1
    finest = ("conv_in", "down_blocks.0.", f"up_blocks.{last}.", "conv_out")
    return [
        name
        for name, module in unet.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and name.startswith(finest)
    ]


def _views(
    pictures: Sequence[np.ndarray], captions: Sequence[str], side: int, rng: np.random.Generator
) -> tuple[list[np.ndarray], list[str]]:
    """Square views of the pictures, uint8 side x side x 3, and the caption of each."""
    views, said = [], []
    for picture, caption in zip(pictures, captions, strict=True):
        for number in range(_VIEWS):
            if picture.shape[2] == 4:
                name, colour = list(COLOURS.items())[number % len(COLOURS)]
                share = picture[..., 3:] / 255
                shown = (share * picture[..., :3] + (1 - share) * np.array(colour)).round().astype(np.uint8)
                caption_of_view = f"{caption} on a {name} background"
            else:
                shown, caption_of_view = picture, caption
            views.append(_view(shown, side, rng))
            said.append(caption_of_view)
    return views, said


def _view(picture: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """The picture a little larger or smaller, to one side, or mirrored, on the colour of its border."""
    height, width = picture.shape[:2]
    scale = side * rng.uniform(0.75, 1.1) / max(height, width)
    height, width = max(1, round(height * scale)), max(1, round(width * scale))
    resized = resize(picture[None], height, width)[0]
    ring = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    canvas = Image.new("RGB", (side, side), tuple(np.median(ring, axis=0).astype(int).tolist()))
    left, top = (
        (side - length) // 2 + int(rng.integers(-(abs(side - length) // 3), abs(side - length) // 3 + 1))
        for length in (width, height)
    )
    canvas.paste(Image.fromarray(resized), (left, top))
    view = np.asarray(canvas)
    return view[:, ::-1] if rng.random() < 0.5 else view


def _thumbnail(picture: np.ndarray) -> np.ndarray:
    image = Image.fromarray(picture)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return read_picture(image)
