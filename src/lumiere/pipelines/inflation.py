"""An image model inflated: its parts put into a pipeline that makes clips, or one that enlarges them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers

from lumiere.diffusion.sampling import altered, check_scheduler, make_scheduler
from lumiere.errors import InputError
from lumiere.io.checkpoints.adopted import AdoptedWeights
from lumiere.io.checkpoints.folder import read_folder
from lumiere.io.checkpoints.image_model import ZERO_TERMINAL_SNR, ImageModel
from lumiere.io.checkpoints.single_file import read_single_file
from lumiere.models.stunet import STUNet
from lumiere.pipelines.base import BundlePipeline, quiet
from lumiere.pipelines.superres import UpscalePipeline
from lumiere.pipelines.text_to_video import LumierePipeline

#: the noise that diffusers' own super-resolution pipeline lays over its picture, 0 to 1
NOISE_LEVEL = 0.25
#: steps of a super-resolution stage
ENLARGING_STEPS = 20
#: settings of a text-to-video model whose temporal layers are the project's own
OWN_SETTINGS = {"frames": 80, "fps": 16}


def read_image_model(path: Path, prediction_type: str | None = None) -> ImageModel:
    """Read a folder that diffusers saved, or a single file.

    Args:
        prediction_type: of a single file that does not say it; see
            :func:`lumiere.io.checkpoints.single_file.read_single_file`.

    Raises:
        InputError: there is nothing there, or nothing that can be inflated.
    """
    if path.is_dir():
        if prediction_type is not None:
            raise InputError(
                f"the prediction type is {prediction_type!r}, but {path} has a scheduler that says it;"
                " leave it out"
            )
        with quiet():
            return read_folder(path)
    if not path.is_file():
        raise InputError(
            f"no checkpoint at {path}; give a folder that diffusers saved, or a .safetensors file"
        )
    with quiet():
        return read_single_file(path, prediction_type)


def inflate(
    model: ImageModel,
    *,
    size: int | None = None,
    fps: int | None = None,
    frames: int | None = None,
    motion: AdoptedWeights | None = None,
    temporal_resample: bool = False,
    zero_terminal_snr: bool = False,
) -> BundlePipeline:
    """Inflate an image model (section 3.1 of arXiv 2401.12945); its parts are taken over, not copied.

    A text-to-image model becomes a :class:`~lumiere.pipelines.text_to_video.LumierePipeline`; one that is
    conditioned on an enlarged low-resolution image, an :class:`~lumiere.pipelines.superres.UpscalePipeline`.
    The noise schedule is its own; the sampler on it is DPM-Solver++. Temporal weights that were trained
    elsewhere bring their schedule and, if they are distilled, their sampler.

    Args:
        size: height and width of its pictures, in pixels. Default: those of the image model.
        fps, frames: of the clips that it is to be trained on. Default: 16 and 80, or what temporal weights
            were trained on.
        motion: temporal weights for the image model. Default: its own if it has some (ModelScope), or else
            fresh layers.
        temporal_resample: whether frames are halved and doubled with every spatial resize, for temporal
            weights that were trained without: a start for training. Fresh layers always do.
        zero_terminal_snr: whether the image model was trained to pure noise (Lin et al. 2023), which its
            checkpoint does not say.

    Raises:
        InputError: the net needs other conditioning than a text or a low-resolution picture, cannot be
            inflated, or the temporal weights do not fit it; or its scheduler is of EDM or flow matching, or
            has zero terminal SNR, at which the noise that it predicts says nothing of a picture.
    """
    if model.adopted is not None and motion is not None:
        raise InputError(f"{model.name} has temporal layers of its own; leave out {motion.source}")
    adopted = motion or model.adopted
    if adopted is None and temporal_resample:
        raise InputError(
            "temporal_resample is for temporal weights that were trained without it; fresh layers always"
            " resample"
        )
    own_size = model.unet.config.sample_size
    if size is None and not isinstance(own_size, int):
        raise InputError(f"{model.name} does not say of what size its pictures are; say it (--size)")
    factor = model.codec.factor
    size = size or own_size * factor
    if size % factor:
        raise InputError(f"size is {size}; this model makes multiples of {factor}")
    # A learned variance is not the samplers' to use.
    check_scheduler(model.scheduler)
    config = altered(
        model.scheduler.config,
        {"variance_type": None} | (ZERO_TERMINAL_SNR if zero_terminal_snr else {}),
    )
    if config.get("rescale_betas_zero_snr") and config["prediction_type"] == "epsilon":
        raise InputError(
            f"{model.name} has zero terminal SNR and predicts the noise, which pure noise says nothing more "
            "of; it must predict v or the sample (prediction_type)"
        )

    channels = model.unet.config.in_channels
    if channels == 2 * model.codec.channels and model.image_noising_scheduler is not None:
        if adopted is not None:
            raise InputError(
                f"{model.name} enlarges pictures; {adopted.source} is for a model that makes them from text"
            )
        _check_conditioning(model, allowed="class_embed_type")
        resizes = len(model.unet.config.block_out_channels) - 1
        net = STUNet.inflate(model.unet, temporal_resample=[False] * resizes, attention_blocks=0)
        return UpscalePipeline(
            net,
            model.codec,
            # Where what is predicted is kept within its range, a quantile of it has nothing to add.
            make_scheduler("dpm++", altered(config, {"thresholding": False})),
            model.text_encoder,
            model.image_noising_scheduler,
            steps=ENLARGING_STEPS,
            tile=max(size, 8 * factor),
            noise_level=NOISE_LEVEL,
            guidance=model.guidance,
        )
    if channels != model.codec.channels:
        raise InputError(
            f"the UNet of {model.name} takes {channels} channels and its pictures have"
            f" {model.codec.channels}: it is conditioned on a picture, too, as for inpainting; give one"
            " that takes text alone"
        )
    _check_conditioning(model)
    settings = {"guidance": model.guidance, **(adopted.settings if adopted else OWN_SETTINGS)}
    settings |= {name: each for name, each in (("fps", fps), ("frames", frames)) if each is not None}
    return LumierePipeline(
        _space_time_net(model, adopted, settings["frames"], temporal_resample).eval(),
        model.codec,
        model.text_encoder,
        _scheduler(config, adopted),
        size=size,
        # With zero terminal SNR guidance overexposes without it.
        guidance_rescale=0.7 if config.get("rescale_betas_zero_snr") else 0.0,
        **settings,
    )


def _space_time_net(
    model: ImageModel, adopted: AdoptedWeights | None, frames: int, temporal_resample: bool
) -> STUNet:
    """The net of an image model, with the temporal weights ``adopted``, or fresh ones."""
    factor = model.codec.factor
    if adopted is None:
        return STUNet.inflate(model.unet, codec_factor=factor)
    config, resample = dict(adopted.config), None
    if temporal_resample:
        resample = [True] * (len(model.unet.config.block_out_channels) - 1)
    if frames > (positions := config.get("positions", frames)):
        if resample is None:
            raise InputError(
                f"frames is {frames}; {adopted.source} has {positions} positions: give up to as many. Longer"
                " clips are made in windows; for training, with temporal_resample, positions are stretched"
            )
        multiple = 2 ** len(resample)
        config["frames"] = -(-frames // multiple) * multiple
    net = STUNet.inflate(model.unet, codec_factor=factor, temporal_resample=resample, adopted=config)
    adopted.give_to(net)
    return net


def _scheduler(config: dict[str, Any], adopted: AdoptedWeights | None) -> Any:
    """The sampler on a noise schedule, or on that of temporal weights, which may have a sampler, too."""
    if adopted is None or adopted.sampler is None:
        return make_scheduler("dpm++", altered(config, adopted.schedule if adopted else {}))
    kind, options = adopted.sampler
    return getattr(diffusers, kind).from_config(altered(config, {**adopted.schedule, **options}))


def _check_conditioning(model: ImageModel, allowed: str | None = None) -> None:
    """Raises :class:`InputError` for a net that needs conditioning which the text encoder does not give."""
    config = model.unet.config
    known = {
        "class_embed_type": (None,),
        "num_class_embeds": (None,),
        "time_cond_proj_dim": (None,),
        "encoder_hid_dim_type": (None, "text_proj"),
        "addition_embed_type": (None, "text", "text_time"),
    }
    for setting, values in known.items():
        if setting != allowed and config[setting] not in values:
            raise InputError(
                f"the UNet of {model.name} has {setting} {config[setting]!r}: it needs more than a text;"
                " give one that takes text alone"
            )
    width = config.encoder_hid_dim or config.cross_attention_dim
    takes = {width} if isinstance(width, int) else set(width)
    if takes != {model.text_encoder.dim}:
        raise InputError(
            f"the UNet of {model.name} takes text of width {', '.join(map(str, sorted(takes)))}; its text"
            f" encoder's is {model.text_encoder.dim}"
        )
