"""Spatial super-resolution (section 3.2 of arXiv 2401.12945): windows in time, tiles in space, one mechanism.

The clip is enlarged by interpolation, and a net that works on patches of pixels adds what interpolation
lacks: the residual is the sample that is denoised, the enlarged clip conditions the net. Frames are read and
written one by one, so that memory does not grow with the clip.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import ModelMixin, UNet2DConditionModel
from jaxtyping import Float
from torch import Tensor

from lumiere.diffusion.guidance import WindowDenoiser, classifier_free
from lumiere.diffusion.multidiffusion import multidiffusion
from lumiere.diffusion.noise import frame_noise
from lumiere.diffusion.parametrization import from_sample, scales, signal_power, to_sample
from lumiere.diffusion.sampling import evaluations, noise_schedule
from lumiere.diffusion.streaming import sample_stream
from lumiere.diffusion.windows import Windows, tiles, windows
from lumiere.errors import InputError
from lumiere.io.pixels import from_uint8, to_uint8
from lumiere.io.video import Clip, write_frames
from lumiere.io.video.clip import exact_rate
from lumiere.models.codec import PatchCodec
from lumiere.models.stunet import STUNet
from lumiere.pipelines.base import BundlePipeline
from lumiere.pipelines.inputs import check_seed
from lumiere.pipelines.memory import available_bytes
from lumiere.shapes import Context, Sample, Video, fold, unfold

#: the noise level 1 as the net's timestep embedding meets it
LEVELS = 1000
#: one of 255 in [-1, 1]
LEVEL = 1 / 127.5
LAST_TIMESTEP = noise_schedule().config.num_train_timesteps - 1
ROWS, COLUMNS = 3, 4
#: of the same size: the noise, the enlarged clip, the sample, the prediction, and the sum over tiles
WINDOWS_AT_ONCE = 5


def enlarge(video: Float[Tensor, "b 3 t h w"], height: int, width: int) -> Video:
    """Bicubic interpolation of every frame, clamped to [-1, 1]."""
    return _resize(video, height, width, mode="bicubic", align_corners=False).clamp(-1, 1)


def reduce(video: Float[Tensor, "b 3 t h w"], height: int, width: int) -> Video:
    """Every frame averaged over the area of each new pixel."""
    return _resize(video, height, width, mode="area")


def _resize(video: Tensor, height: int, width: int, **how: Any) -> Tensor:
    return unfold(F.interpolate(fold(video), (height, width), **how), len(video))


def predict_residual(
    net: STUNet | UNet2DConditionModel, x: Sample, t: Tensor, low: Sample, level: Float[Tensor, "b"]
) -> Sample:
    """What a super-resolution net predicts of the noisy residual ``x``; an image model, of one frame.

    At the last timestep ``x`` is pure noise, which says nothing of the residual. The net is not shown it,
    lest some of it come through and flicker.

    Args:
        low: the enlarged clip, as a sample.
        level: of the noise laid over the source, 0 to 1.
    """
    noise_alone = (t.expand(len(x)) == LAST_TIMESTEP).view(-1, 1, 1, 1, 1)
    given = torch.cat([torch.where(noise_alone, 0, x), low], dim=1).to(net.dtype)
    if isinstance(net, STUNet):
        context = given.new_zeros(len(x), 1, 1)
        return net(given, t, context, class_labels=LEVELS * level).sample.float()
    picture = given[:, :, 0].contiguous(memory_format=torch.channels_last)
    return net(picture, t, None, class_labels=LEVELS * level).sample.float()[:, :, None]


def predict_picture(
    net: STUNet, x: Sample, t: Tensor, context: Context, low: Float[Tensor, "#b c t h w"], level: float
) -> Sample:
    """What a stage of a cascade (DeepFloyd-IF) predicts of the noisy picture ``x``, given a text.

    Args:
        low: the enlarged clip, as a sample, with its own noise; one for all of ``x``.
        level: of that noise, 0 to 1.
    """
    given = torch.cat([x, low.to(x).expand_as(x)], dim=1).to(net.dtype)
    labels = torch.full((len(x),), LEVELS * level, device=x.device)
    # A learned variance comes after the prediction; no sampler here has a use for that.
    return net(given, t, context, class_labels=labels).sample[:, : x.shape[1]].float()


def within_range(
    noise: Sample, x: Sample, t: Tensor, alphas_cumprod: Float[Tensor, "n"]
) -> Float[Tensor, "b c t h w"]:
    """A prediction of the noise in ``x`` such that the picture under it is within [-1, 1]: static
    thresholding (Saharia et al. 2022, section 2.3)."""
    a, s = scales(signal_power(alphas_cumprod, t.long(), x))
    clean = to_sample(noise, x, a, s, "epsilon").clamp(-1, 1)
    return from_sample(clean, x, a, s, "epsilon")


def add_residual(low: Sample, residual: Sample) -> Sample:
    """The enlarged clip and what it lacks, less one level of 255 of it: in flat places, where a net is a
    little off, the colour stays exact and does not flicker."""
    return low + F.softshrink(residual, LEVEL)


class UpscalePipeline(BundlePipeline):
    """The components of a super-resolution model, and the calls that enlarge clips with them.

    Args:
        unet: a space-time net without text and without temporal resampling. It takes the noisy residual and
            the enlarged clip, both as samples of ``codec``, and the noise level as its class label.
        codec: pixels to patches.
        scheduler: any of diffusers'.
        text_encoder, image_noising_scheduler: of a stage of a cascade, such as DeepFloyd-IF's: its net is
            conditioned on a text, too, this scheduler adds noise to the enlarged clip, and the net denoises
            the picture itself.
        residual_std: the residual's standard deviation in training, pixels in [-1, 1].
        steps, window, overlap, tile, noise_level: defaults of a call.
        guidance: likewise; of no use without a text encoder.
    """

    model_cpu_offload_seq = "text_encoder->unet->codec"
    _optional_components: ClassVar = ["text_encoder", "image_noising_scheduler"]
    defaults = ("residual_std", "steps", "window", "overlap", "tile", "noise_level", "guidance")

    def __init__(
        self,
        unet: STUNet,
        codec: PatchCodec,
        scheduler: Any,
        text_encoder: ModelMixin | None = None,
        image_noising_scheduler: Any = None,
        residual_std: float = 0.1,
        steps: int = 2,
        window: int = 16,
        overlap: int = 2,
        tile: int = 640,
        noise_level: float = 0.0,
        guidance: float = 1.0,
    ):
        super().__init__()
        self.register_modules(
            unet=unet,
            codec=codec,
            scheduler=scheduler,
            text_encoder=text_encoder,
            image_noising_scheduler=image_noising_scheduler,
        )
        self.register_to_config(
            residual_std=residual_std,
            steps=steps,
            window=window,
            overlap=overlap,
            tile=tile,
            noise_level=noise_level,
            guidance=guidance,
        )

    def __call__(self, clip: Clip, size: int | tuple[int, int], **options: Any) -> Clip:
        """Enlarge a clip to ``size``: its longer side, or (height, width).

        Options are those of :meth:`stream`; the prompt, if none is given, is the clip's own.

        Raises:
            InputError: ``size`` is below the clip's, or an option out of its range.
        """
        height, width = target_size(clip.height, clip.width, size)
        options = self.said(clip.metadata) | options
        frames = self.stream(clip.frames, len(clip), (height, width), **options)
        return Clip(np.stack(list(frames)), clip.fps, self.note(clip.metadata, (height, width), options))

    def write(
        self,
        path: str | os.PathLike[str],
        frames: Iterable[np.ndarray],
        count: int,
        size: tuple[int, int],
        fps: float | Fraction,
        metadata: dict[str, Any],
        *,
        sound: Path | None = None,
        overwrite: bool = False,
        **options: Any,
    ) -> Path:
        """Enlarge ``count`` frames straight into a file, as :func:`lumiere.io.video.write_frames` writes it.

        Options are those of :meth:`stream`; it, too, says what frames and ``size`` are. The prompt, if none
        is given, is the metadata's.

        Raises:
            InputError: an option is out of its range, or the file cannot be written.
        """
        options = self.said(metadata) | options
        large = self.stream(frames, count, size, **options)
        note = self.note(metadata, size, options)
        return write_frames(path, large, count, size, exact_rate(fps), note, sound=sound, overwrite=overwrite)

    def said(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """The prompt that a clip was made of, if the model can read it."""
        known = self.text_encoder is not None and isinstance(metadata.get("prompt"), str)
        return {"prompt": metadata["prompt"]} if known else {}

    def note(
        self, metadata: dict[str, Any], size: tuple[int, int], options: dict[str, Any]
    ) -> dict[str, Any]:
        """The source's settings, and how it was enlarged: what was chosen, or else the model's."""
        chosen = {key: value for key, value in options.items() if value is not None}
        chosen["seed"] = check_seed(chosen.get("seed", 0))
        own = {"num_inference_steps": "steps", "window": "window", "overlap": "overlap"}
        used = {key: self.config[name] for key, name in own.items()} | chosen
        how = {"model": self.model_name, "width": size[1], "height": size[0], **used}
        return {**metadata, "upscaled": how}

    def stream(
        self,
        frames: Iterable[np.ndarray],
        count: int,
        size: tuple[int, int],
        *,
        prompt: str = "",
        negative_prompt: str = "",
        guidance_scale: float | None = None,
        seed: int | np.integer = 0,
        num_inference_steps: int | None = None,
        window: int | None = None,
        overlap: int | None = None,
        weights: str = "flat",
        tile: int | None = None,
        noise_level: float | None = None,
    ) -> Iterator[np.ndarray]:
        """Enlarge ``count`` frames, uint8 H x W x 3, as they come, to ``size`` (height, width).

        Memory grows with the window, the steps and the size, not with ``count``. A seed gives each frame the
        same noise whatever the windows and the tiles, also that which some schedulers add at each step.

        Args:
            prompt, negative_prompt, guidance_scale: as for
                :class:`~lumiere.pipelines.text_to_video.LumierePipeline`; for a model with a text encoder.
            window, overlap: of the windows in time, in frames. Default: the model's.
            weights: how predictions that overlap are averaged; one of ``lumiere.diffusion.windows.WEIGHTS``.
            tile: the longest side of tiles in space, in pixels; what is larger is cut into equal ones that
                overlap by an eighth of it. Default: the model's.
            noise_level: 0 to 1, of the noise that is added to the source before it is enlarged (in a cascade:
                afterwards), and that the net is conditioned on; hides artefacts of the source. Default: the
                model's.

        Raises:
            InputError: an option is out of its range; or (when it denoises) the sample is not finite.
        """
        seed = check_seed(seed)
        config = self.config
        steps = config["steps"] if num_inference_steps is None else num_inference_steps
        level = config["noise_level"] if noise_level is None else noise_level
        if not 0 <= level <= 1:
            raise InputError(f"noise level is {level}; give a number from 0 to 1")
        if (prompt or negative_prompt) and self.text_encoder is None:
            raise InputError(f"the prompt is {prompt or negative_prompt!r}, and this model reads none")
        time = windows(
            count,
            config["window"] if window is None else window,
            config["overlap"] if overlap is None else overlap,
        )
        self.check_memory(count, size, window)
        device, factor, std = self._execution_device, self.codec.factor, config["residual_std"]
        rows, columns = (-(-side // factor) for side in size)
        tile = config["tile"] if tile is None else tile
        places = tiles({ROWS: _tiles_along(rows, tile, factor), COLUMNS: _tiles_along(columns, tile, factor)})
        source = iter(frames)
        generator, over = (torch.Generator().manual_seed(2 * seed + i) for i in range(2))

        def read(first: int, end: int) -> tuple[Tensor, Tensor]:
            pictures = list(itertools.islice(source, end - first))
            if len(pictures) < end - first:
                raise InputError(f"there are {first + len(pictures)} frames; {count} were announced")
            given = from_uint8(np.stack(pictures), device)[None]
            noise = frame_noise(end - first, (self.codec.channels, rows, columns), generator)[None]
            return noise.to(device), self._sample(self._enlarged(given, size, level, over))

        guidance = config["guidance"] if guidance_scale is None else guidance_scale
        denoise = self._denoiser(prompt, negative_prompt, guidance, level)

        def window_denoise(x: Tensor, t: Tensor, low: Tensor) -> Tensor:
            return multidiffusion(denoise, places, low, processes=self.processes)(x, t)

        bars: list[Any] = []
        calls = evaluations(self.scheduler, steps)
        pieces = sample_stream(
            window_denoise,
            read,
            time,
            self.scheduler,
            steps,
            weights=weights,
            seed=2**62 + seed,
            callback=lambda: bars[0].update(),
        )

        def finished() -> Iterator[np.ndarray]:
            with self.progress_bar(total=calls * len(time.starts)) as bar:
                bars.append(bar)
                for made, low in pieces:
                    whole = add_residual(low, std * made) if self.image_noising_scheduler is None else made
                    yield from to_uint8(self._video(whole, size)[0])

        return finished()

    def check_memory(self, count: int, size: tuple[int, int], window: int | None = None) -> None:
        """Refuse sizes (height, width) that cannot be made, going by the tensors as large as a window alone.

        Raises:
            InputError: they take more than is free.
        """
        frames = min(count, self.config["window"] if window is None else window)
        needed = WINDOWS_AT_ONCE * 4 * 3 * frames * size[0] * size[1]
        free = available_bytes(self._execution_device)
        if needed > free:
            raise InputError(
                f"{frames} frames of {size[1]}x{size[0]} at a time need over {needed / 1e9:.2g} GB of memory"
                f" and {free / 1e9:.2g} GB are free; make them smaller, or the window shorter"
            )

    def _enlarged(
        self,
        video: Float[Tensor, "b 3 t h w"],
        size: tuple[int, int],
        level: float,
        generator: torch.Generator,
    ) -> Video:
        """The video enlarged, with noise of this level over it, as the model was trained on it."""

        def noise(like: Video) -> Video:
            return frame_noise(like.shape[2], (3, *like.shape[-2:]), generator)[None].to(like)

        noising = self.image_noising_scheduler
        if noising is None:
            return enlarge(video + level * noise(video) if level else video, *size)
        video = _resize(video, *size, mode="bilinear", align_corners=True)
        step = min(round(LEVELS * level), noising.config.num_train_timesteps - 1)
        return noising.add_noise(video, noise(video), torch.tensor([step]))

    def _denoise(self, x: Tensor, t: Tensor, low: Tensor, level: Tensor) -> Tensor:
        return predict_residual(self.unet, x, t, low, level)

    def _denoiser(self, prompt: str, negative: str, guidance: float, level: float) -> WindowDenoiser:
        device, net = self._execution_device, self.unet
        if self.text_encoder is None:
            return lambda x, t, low: self._denoise(x, t, low, torch.full((len(x),), level, device=device))
        context, uncond = (self.text_encoder([text]).to(device, net.dtype) for text in (prompt, negative))

        def predict(x: Tensor, t: Tensor, context: Tensor, low: Tensor) -> Tensor:
            return predict_picture(net, x, t, context, low, level)

        guided = classifier_free(predict, context, uncond, guidance)
        if self.scheduler.config.prediction_type != "epsilon":
            return guided

        def thresholded(x: Tensor, t: Tensor, low: Tensor) -> Tensor:
            return within_range(guided(x, t, low), x, t, self.scheduler.alphas_cumprod)

        return thresholded

    def _sample(self, video: Video) -> Sample:
        """Patches of a video, whose sides are filled up to whole patches."""
        rows, columns = (-side % self.codec.factor for side in video.shape[-2:])
        return self.codec.encode(F.pad(video, (0, columns, 0, rows, 0, 0), mode="replicate"))

    def _video(self, sample: Sample, size: tuple[int, int]) -> Video:
        return self.codec.decode(sample)[..., : size[0], : size[1]]


def _tiles_along(patches: int, tile: int, factor: int) -> Windows:
    if tile < 8 * factor:
        raise InputError(f"tile is {tile}; give at least {8 * factor}")
    longest = tile // factor
    overlap = longest // 8
    count = max(1, -(-(patches - overlap) // (longest - overlap)))
    size = -(-(patches + (count - 1) * overlap) // count)
    return windows(patches, size, overlap if count > 1 else 0)


def target_size(height: int, width: int, size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width of the result: ``size`` itself, or of the longer side, the shorter one in proportion.

    Raises:
        InputError: it is smaller than the source.
    """
    if isinstance(size, int):
        longer = max(height, width)
        size = (max(1, round(height * size / longer)), max(1, round(width * size / longer)))
    if size[0] < height or size[1] < width:
        raise InputError(
            f"the size {size[1]}x{size[0]} is below the source's {width}x{height}; give a larger one"
        )
    return size
