"""Fit a style: a LoRA of the image model, trained on a few pictures.

A model that is trained on a few pictures as DreamBooth and StyleDrop do overfits to them and forgets other
objects. So a style is trained as image-to-image translation instead. The model redraws each reference in its
own look (SDEdit at several strengths, Meng et al. 2022). Below ``REDRAWN`` of the noise schedule the net
denoises these and the references, and the target is the reference, whatever the prompt; above it, where
content and layout are decided, the target is the net's prediction without the LoRA (prior preservation, Ruiz
et al. 2023).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from torch import Tensor, nn

from lumiere import __version__
from lumiere.diffusion.guidance import classifier_free
from lumiere.diffusion.noise import rand, randn
from lumiere.diffusion.objective import draw_timesteps, drop_captions, training_loss
from lumiere.diffusion.parametrization import add_noise, scales, signal_power, to_sample
from lumiere.diffusion.sampling import sample
from lumiere.errors import InputError
from lumiere.io.pictures import ImageInput, read_cutout, read_picture
from lumiere.io.video import resize
from lumiere.style import ADAPTER, FORMAT, PREFIX, Style, adapter, fingerprint

if TYPE_CHECKING:
    from lumiere.pipelines.text_to_video import LumierePipeline

#: words to append to a caption, and the colour of the background, RGB
Background = tuple[str, tuple[int, int, int]]
BACKGROUNDS: Sequence[Background] = (("", (245, 245, 245)), ("", (128, 128, 128)), ("", (16, 16, 16)))
STEPS, RANK = 400, 16
#: share of the noise schedule, from the clean end, in which a style is trained
REDRAWN = 0.6
_THUMBNAIL = 256
_LEARNING_RATE = 2e-3
_BATCH = 16
_WRONG, _DROPPED = 0.5, 0.25
_VIEWS = 48
#: SDEdit strengths of redrawn views: low ones keep outlines, high ones lose the look of the reference
_STRENGTHS = (0.45, 0.6, 0.75)
_REDRAWING_STEPS = 16
#: share of the inputs that are redrawn views; the others are the references
_OWN = 0.65
#: pixels
SMALLEST = 16
#: least mean difference of a cut-out from its background, of 255
_CONTRAST = 32


def check_references(pictures: Sequence[np.ndarray]) -> None:
    """Raise :class:`InputError` for a picture, h x w x channels, that is too small to show a style."""
    for number, picture in enumerate(pictures, 1):
        height, width = picture.shape[:2]
        if min(height, width) < SMALLEST:
            raise InputError(
                f"reference {number} is {width}x{height} pixels; give at least {SMALLEST}x{SMALLEST}"
            )


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
    backgrounds: Sequence[Background] = BACKGROUNDS,
) -> Style:
    """Fit a style to one or a few pictures.

    A picture that is cut out, transparent around its object, is shown on ``backgrounds`` of several colours,
    so that the style does not include a background.

    Args:
        references: pictures, as :func:`lumiere.conditions.read_picture` takes them, or, cut out, uint8
            h x w x 4.
        captions: a prompt for each picture, without the style.
        steps: training steps, of 16 views each, 8 of which are also used for prior preservation.
        rank: of the LoRA.
        name: of the style.
        keep_partial: whether an interruption ends the fitting early and returns the style so far; ``steps``
            of its ``about`` is the number of steps done.
        backgrounds: for cut-out pictures: words to append to the caption, and the colour, RGB. A model whose
            captions name the background needs its own words here.

    Raises:
        InputError: there is no reference, or not one caption for each, or one is too small; ``steps`` or
            ``rank`` is below 1; or the loss is not finite.
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
    check_references(pictures)
    rng, generator = np.random.default_rng(seed), torch.Generator(device).manual_seed(seed)
    views, texts = _views(pictures, captions, pipe.config["size"], rng, backgrounds)
    with torch.no_grad(), _progress_of(pipe, "redrawing", "batch"):
        styled = pipe.encode_video(np.stack(views))[0].movedim(1, 0).float()
        wordings, which = np.unique(texts, return_inverse=True)
        context = pipe.text_encoder(wordings.tolist()).to(device)[torch.from_numpy(which)]
        empty = pipe.text_encoder([""]).to(device)
        own = torch.cat(
            [
                _redrawn(pipe, latents, states, empty, strength, generator)
                for latents, states, strength in zip(
                    pipe.progress_bar(styled.split(_BATCH)),
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
            for step in pipe.progress_bar(range(steps)):
                for group in optimizer.param_groups:
                    group["lr"] = _LEARNING_RATE * min(1.0, (step + 1) / 10, 2 * (steps - step) / steps)
                chosen, other = torch.randint(
                    len(styled), (2, _BATCH), generator=generator, device=device
                ).unbind()
                wrong = rand(_BATCH, generator) < _WRONG
                states = torch.where(wrong[:, None, None], context[other], context[chosen])
                states = drop_captions(states, empty, _DROPPED, generator)
                loss = _redrawing_loss(pipe, own[chosen], styled[chosen], states, alphas_cumprod, generator)
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


@contextmanager
def _progress_of(pipe: LumierePipeline, stage: str, unit: str) -> Iterator[None]:
    """Name what the pipeline's progress bar counts meanwhile."""
    before = getattr(pipe, "_progress_bar_config", {})
    pipe.set_progress_bar_config(**before | {"desc": stage, "unit": unit})
    try:
        yield
    finally:
        pipe.set_progress_bar_config(**before)


def _redrawn(
    pipe: LumierePipeline,
    latents: Tensor,
    context: Tensor,
    empty: Tensor,
    strength: float,
    generator: torch.Generator,
) -> Tensor:
    """SDEdit: the latents as the image model redraws them at ``strength``."""
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
    """Mean squared error of clean latents predicted from noisy ``own`` or ``styled``, against ``styled``."""
    shown = torch.where((rand(len(own), generator) < _OWN)[:, None, None, None], own, styled)
    t = draw_timesteps(len(shown), len(alphas_cumprod), generator, span=(0.0, REDRAWN))
    a, s = scales(signal_power(alphas_cumprod, t, shown))
    x = add_noise(shown, randn(shown.shape, generator, shown), a, s)
    predicted = pipe._denoise(x, t, context)
    clean = to_sample(predicted, x, a, s, pipe.scheduler.config.prediction_type)
    return (clean - styled).square().mean()


def _prior_loss(
    pipe: LumierePipeline, own: Tensor, context: Tensor, alphas_cumprod: Tensor, generator: torch.Generator
) -> Tensor:
    """Prior preservation: the loss against the prediction without the LoRA, above ``REDRAWN``."""
    unet = pipe.unet.spatial

    def without_lora(x: Tensor, t: Tensor) -> Tensor:
        unet.disable_adapters()
        prediction = pipe._denoise(x, t, context)
        unet.enable_adapters()
        return prediction

    return training_loss(
        lambda x, t: pipe._denoise(x, t, context),
        own,
        alphas_cumprod,
        generator,
        teacher=without_lora,
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
    pictures: Sequence[np.ndarray],
    captions: Sequence[str],
    side: int,
    rng: np.random.Generator,
    backgrounds: Sequence[Background],
) -> tuple[list[np.ndarray], list[str]]:
    """Square views of the pictures, uint8 side x side x 3, and the caption of each."""
    views, texts = [], []
    for picture, caption in zip(pictures, captions, strict=True):
        shown = [(picture, caption)]
        if picture.shape[2] == 4:
            share = picture[..., 3:] / 255
            shown = [
                (
                    (share * picture[..., :3] + (1 - share) * np.array(colour)).round().astype(np.uint8),
                    caption + suffix,
                )
                for suffix, colour in _contrasting(picture, backgrounds)
            ]
        for number in range(_VIEWS):
            before, words = shown[number % len(shown)]
            views.append(_view(before, side, rng))
            texts.append(words)
    return views, texts


def _contrasting(cutout: np.ndarray, backgrounds: Sequence[Background]) -> Sequence[Background]:
    """The backgrounds from which the cut-out differs visibly; all, if it differs from none."""
    object_ = cutout[..., :3][cutout[..., 3] > 127]
    seen = [each for each in backgrounds if len(object_) and np.abs(object_ - each[1]).mean() >= _CONTRAST]
    return seen or backgrounds


def _view(picture: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """The picture randomly scaled, shifted and mirrored, on a canvas of the median colour of its border."""
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
