"""Fitting a style: low-rank weights of the image model, trained on a few pictures.

A few pictures are soon learnt by heart, and all else that the model could draw forgotten. So a style is not
taught as new pictures, as DreamBooth and StyleDrop do, but as a way to redraw what the model draws. Each
reference is drawn by the model itself in the same place, more or less in its own look (SDEdit at several
strengths, Meng et al. 2022). Below ``REDRAWN`` of the noise schedule the net is shown these and the
references, and is to say the reference, whatever the prompt says; above it, where it is decided what is seen
and where, it is to say what it said before (prior preservation, Ruiz et al. 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from lumiere import __version__
from lumiere.conditions import ImageInput, read_cutout, read_picture
from lumiere.diffusion.guidance import classifier_free
from lumiere.diffusion.noise import rand, randn
from lumiere.diffusion.objective import draw_timesteps, drop_captions, training_loss
from lumiere.diffusion.sampling import sample
from lumiere.emoji.data.scenes import COLOURS
from lumiere.errors import InputError
from lumiere.io.video import resize
from lumiere.style import ADAPTER, FORMAT, PREFIX, Style, adapter, fingerprint

if TYPE_CHECKING:
    from lumiere.pipelines.text_to_video import LumierePipeline

STEPS, RANK = 400, 16
#: of the noise schedule: below it a style redraws
REDRAWN = 0.6
_THUMBNAIL = 256
_LEARNING_RATE = 2e-3
_BATCH = 16
_WRONG, _DROPPED = 0.5, 0.25
_VIEWS = 48
#: of the noise under which the model redraws a view: low ones keep its outlines, high ones lose its look
_STRENGTHS = (0.45, 0.6, 0.75)
_REDRAWING_STEPS = 16
#: share of what is shown in the model's own look, the rest being the references
_OWN = 0.65
#: of 255: a cut-out that differs less from a background cannot be seen on it
_CONTRAST = 32


def fit(
    pipe: LumierePipeline,
    references: Sequence[ImageInput],
    captions: Sequence[str],
    *,
    steps: int = STEPS,
    rank: int = RANK,
    seed: int = 0,
    name: str = "style",
    keep_partial: bool = False,
) -> Style:
    """Fit a style to one or a few pictures.

    A picture that is cut out, transparent around its object, is seen on backgrounds of many colours, each
    named after its caption; the style then leaves backgrounds as a prompt wants them.

    Args:
        references: pictures, as :func:`lumiere.conditions.read_picture` takes them, or, cut out, uint8
            h x w x 4.
        captions: what each shows, in the words that the model knows, without the style.
        steps: of 16 views each, and 8 for what is to stay.
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
        styled = pipe._encode(np.stack(views))[0].movedim(1, 0).float()
        wording, which = np.unique(said, return_inverse=True)
        context = pipe.text_encoder(wording.tolist()).to(device)[torch.from_numpy(which)]
        empty = pipe.text_encoder([""]).to(device)
        own = torch.cat(
            [
                _redrawn(pipe, latents, told, empty, strength, generator)
                for latents, told, strength in zip(
                    tqdm(styled.split(_BATCH), "redrawing", unit="batch", disable=None),
                    context.split(_BATCH),
                    cycle(_STRENGTHS),
                )
            ]
        )
    alphas_cumprod = pipe.scheduler.alphas_cumprod.to(device)

    done = 0
    with adapter(unet), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = _two_finest_levels(unet)
        unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=layers), adapter_name=ADAPTER)
        trained = [p for name, p in unet.named_parameters() if ".lora_" in name]
        for parameter in trained:
            parameter.data = parameter.data.float()  # half floats are too coarse for small steps
        optimizer = torch.optim.AdamW(trained, _LEARNING_RATE, weight_decay=0.0)
        try:
            for step in tqdm(range(steps), "fitting", unit="step", disable=None):
                for group in optimizer.param_groups:
                    group["lr"] = _LEARNING_RATE * min(1.0, (step + 1) / 10, 2 * (steps - step) / steps)
                chosen, other = torch.randint(
                    len(styled), (2, _BATCH), generator=generator, device=device
                ).unbind()
                wrong = rand(_BATCH, generator) < _WRONG
                told = torch.where(wrong[:, None, None], context[other], context[chosen])
                told = drop_captions(told, empty, _DROPPED, generator)
                loss = _redrawing_loss(pipe, own[chosen], styled[chosen], told, alphas_cumprod, generator)
                kept = chosen[: _BATCH // 2]
                loss = loss + _prior_loss(pipe, own[kept], context[kept], alphas_cumprod, generator)
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


def _redrawn(
    pipe: LumierePipeline,
    latents: Tensor,
    context: Tensor,
    empty: Tensor,
    strength: float,
    generator: torch.Generator,
) -> Tensor:
    """What samples show, as the image model draws it."""
    guided = classifier_free(
        pipe._denoise,
        context,
        empty,
        pipe.config["guidance"],
        rescale=pipe.config["guidance_rescale"],
    )
    noise = randn(latents.shape, generator, latents)
    steps = round(strength * _REDRAWING_STEPS)
    return sample(guided, noise, pipe.scheduler, steps, start=latents, strength=strength)


def _redrawing_loss(
    pipe: LumierePipeline,
    own: Tensor,
    styled: Tensor,
    context: Tensor,
    alphas_cumprod: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """How far from the styled samples the net ends that is shown them or the model's own."""
    shown = torch.where((rand(len(own), generator) < _OWN)[:, None, None, None], own, styled)
    t = draw_timesteps(len(shown), len(alphas_cumprod), generator, span=(0.0, REDRAWN))
    power = alphas_cumprod[t][:, None, None, None]
    a, s = power.sqrt(), (1 - power).sqrt()
    x = a * shown + s * randn(shown.shape, generator, shown)
    predicted = pipe._denoise(x, t, context)
    clean = {
        "sample": lambda: predicted,
        "epsilon": lambda: (x - s * predicted) / a,
        "v_prediction": lambda: a * x - s * predicted,
    }[pipe.scheduler.config.prediction_type]()
    return (clean - styled).square().mean()


def _prior_loss(
    pipe: LumierePipeline, own: Tensor, context: Tensor, alphas_cumprod: Tensor, generator: torch.Generator
) -> Tensor:
    """How far from what it said before the net is, where it is decided what is seen."""
    unet = pipe.unet.spatial

    def before(x: Tensor, t: Tensor) -> Tensor:
        unet.disable_adapters()
        said = pipe._denoise(x, t, context)
        unet.enable_adapters()
        return said

    return training_loss(
        lambda x, t: pipe._denoise(x, t, context),
        own,
        alphas_cumprod,
        generator,
        teacher=before,
        span=(REDRAWN, 1.0),
    )


def _two_finest_levels(unet: UNet2DConditionModel) -> list[str]:
    """Names of their linear layers and convolutions."""
    last = len(unet.up_blocks) - 1
    levels = ("down_blocks.0.", "down_blocks.1.", f"up_blocks.{last}.", f"up_blocks.{last - 1}.")
    finest = ("conv_in", *levels, "conv_out")
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
        shown = [(picture, caption)]
        if picture.shape[2] == 4:
            share = picture[..., 3:] / 255
            shown = [
                (
                    (share * picture[..., :3] + (1 - share) * np.array(colour)).round().astype(np.uint8),
                    f"{caption} on a {name} background",
                )
                for name, colour in _backgrounds(picture)
            ]
        for number in range(_VIEWS):
            before, words = shown[number % len(shown)]
            views.append(_view(before, side, rng))
            said.append(words)
    return views, said


def _backgrounds(cutout: np.ndarray) -> list[tuple[str, tuple[int, int, int]]]:
    """Names and colours of backgrounds on which it can be seen; all, if it can on none."""
    object_ = cutout[..., :3][cutout[..., 3] > 127]
    backgrounds = list(COLOURS.items())
    seen = [each for each in backgrounds if len(object_) and np.abs(object_ - each[1]).mean() >= _CONTRAST]
    return seen or backgrounds


def _view(picture: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """The picture a little larger or smaller, to one side, or mirrored, on the colour of its border."""
    height, width = picture.shape[:2]
    scale = side * rng.uniform(0.5, 1.1) / max(height, width)
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
