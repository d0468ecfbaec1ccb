"""The configuration of a run: frozen dataclasses, read from TOML.

Every key has one place and one type; an unknown one is refused by name. The resolved configuration, defaults
and ``--set`` included, is saved with the weights.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import sys
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lumiere.errors import InputError
from lumiere.io.text import read_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Data:
    """Where samples come from. Patterns are shell globs of WebDataset shards (``data/emoji/clips-*.tar``)."""

    stills: tuple[str, ...] = ()
    clips: tuple[str, ...] = ()
    #: height and width of every picture, pixels; with ``buckets``, of stills and of samples
    size: tuple[int, int] = (128, 128)
    #: clips have several sizes, which their shards state; the samples of a step have one
    buckets: bool = False
    #: length of the windows cut from clips; shorter clips are left out
    frames: int = 80
    #: frames of the clip from one frame of a window to the next
    frame_stride: int = 1
    #: temporal stages: only clips whose caption this regular expression finds; all if empty
    captions: str = ""
    #: stages of single pictures: share of the samples that are frames of clips
    clip_share: float = 0.5
    #: stage temporal: share of the steps that see stills, as clips of one frame
    still_share: float = 0.0
    #: of one process
    batch_size: int = 32
    #: threads that read and decode ahead of the net
    workers: int = 1
    #: clips show objects before a plain background: some random masks are placed around what differs from it
    plain_background: bool = False
    #: folder for latents and text states computed once; none if empty
    cache: str = ""
    #: cache the latents of clips too (two bytes for each number of 80 frames)
    cache_clips: bool = False


@dataclass(frozen=True)
class Scenes:
    """Scenes composed on the training device, in place of shards."""

    #: folder of the sprites that scenes are composed of; shards are used if empty
    sprites: str = ""
    #: only sprites of these Unicode groups; all if empty
    groups: tuple[str, ...] = ()
    #: scenes drawn beforehand, each with a caption
    count: int = 20_000
    #: share of the scenes with several objects
    several: float = 0.09
    #: share of the objects that the caption names by a synonym of their label
    synonyms: float = 0.15
    #: the source that composes them: a name in the entry-point group ``lumiere.training_sources``
    source: str = "emoji"
    #: "grammar": few wordings, and mostly a background; "varied": as people write prompts
    captions: Literal["grammar", "varied"] = "grammar"
    #: draw each frame under the motion of any scene, so that words of motion say nothing about a picture;
    #: for single frames
    any_motion: bool = False


@dataclass(frozen=True)
class Optim:
    #: PyTorch's, fused; bitsandbytes' of that name, which keeps its state in 8 bits; or
    #: :class:`lumiere.train.muon.Muon`
    optimizer: Literal["AdamW", "AdamW8bit", "Muon"] = "AdamW"
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    warmup_steps: int = 100
    #: "cosine" falls over the whole run; "constant" holds, then falls over the last ``cooldown`` of it
    schedule: Literal["cosine", "constant"] = "constant"
    cooldown: float = 0.2
    #: batches of each process to a step
    accumulate: int = 1
    #: decay of the weights' moving average per update, and steps from one update to the next
    ema_decay: float = 0.999
    ema_every: int = 1


@dataclass(frozen=True)
class Run:
    """Length, intervals and place of a run. None of these changes the computation of a step, except that the
    learning rate schedule ends with the run."""

    out: str = ""
    #: the run ends at the first of these two that is not 0; at least one must be given
    max_steps: int = 0
    max_minutes: float = 0.0
    checkpoint_steps: int = 1000
    checkpoint_minutes: float = 15.0
    keep: int = 2
    sample_minutes: float = 30.0
    log_steps: int = 20
    #: accelerate's own if empty
    precision: Literal["", "no", "bf16"] = ""
    #: compute activations again in the backward pass, for less memory and more time
    gradient_checkpointing: bool = False
    #: accelerate's own if empty
    device: Literal["", "cpu"] = ""
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = ("tensorboard",)
    threads: int = 0


@dataclass(frozen=True)
class Objective:
    """See :func:`lumiere.diffusion.objective.training_loss`."""

    #: below 1, more of the training falls on noisy timesteps
    timestep_power: float = 1.0
    #: of one-step models, the share of the training that falls on pure noise
    pure_noise: float = 0.0
    #: share of captions replaced by the empty prompt, for classifier-free guidance
    caption_dropout: float = 0.1
    #: min-SNR weighting's gamma; 0 switches it off
    min_snr_gamma: float = 0.0
    #: for clips: the share of the noise's variance that all frames have in common
    shared_noise: float = 0.0
    #: for clips: how slowly the rest of it changes, in frames
    noise_smoothness: float = 0.0
    #: temporal stages: above 1, distil a teacher's guided prediction at this scale into one evaluation (Meng
    #: et al. 2023, arXiv 2210.03142); with [scenes], the teacher reads the captions in plain wording
    guidance_scale: float = 1.0
    guidance_rescale: float = 0.7
    #: bundle of the teacher, or the name of a shipped one; if empty, a copy of the initial net
    teacher: str = ""


@dataclass(frozen=True)
class Samples:
    """Samples that are drawn while training."""

    prompts: tuple[str, ...] = ()
    steps: int = 20
    guidance_scale: float = 4.0
    #: of clips; as many as data.frames if 0
    frames: int = 0
    seed: int = 0


@dataclass(frozen=True)
class CodecModel:
    """Arguments of :class:`lumiere.models.codec.PatchAutoencoder`. An empty or zero value is its None."""

    channels: int = 8
    widths: tuple[int, int] = (48, 96)
    blocks: int = 2
    decoder_widths: tuple[int, ...] = ()
    decoder_blocks: int = 0


@dataclass(frozen=True)
class CodecLoss:
    """L1 plus weighted terms: squared error, L1 of the finite differences, size of the code."""

    squared: float = 0.5
    gradient: float = 0.5
    code: float = 1e-4
    #: Gaussian noise on the code before decoding, in its standard deviations
    noise: float = 0.1
    #: weight of the difference between the latents of a warped picture and the warped latents, in their
    #: variance (EQ-VAE, arXiv 2502.09509); 0 warps nothing
    equivariance: float = 0.0
    #: share of a batch that is warped, decoded and compared with the warped pictures
    warped: float = 0.5
    #: side of the crops, pixels, a multiple of 8
    crop: int = 64


@dataclass(frozen=True)
class Text:
    """The text encoder, which is not trained."""

    #: "minilm", or the folder of a text encoder that was saved with a model, such as ``MODEL/text_encoder``
    encoder: str = "minilm"
    #: of "minilm": see :class:`lumiere.models.text.MiniLMTextEncoder`
    length: int = 24
    scale: float = 1.0


@dataclass(frozen=True)
class UNet:
    """Arguments of :class:`diffusers.UNet2DConditionModel` under its names; channels, grid and text width
    come from the codec and the text encoder. An empty or zero value is its None."""

    block_out_channels: tuple[int, ...] = (64, 160, 320)
    down_block_types: tuple[str, ...] = ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D")
    up_block_types: tuple[str, ...] = ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D")
    layers_per_block: int = 1
    #: heads at each level, in spite of its name
    attention_head_dim: tuple[int, ...] = (2, 5, 10)
    norm_num_groups: int = 16
    resnet_time_scale_shift: Literal["default", "scale_shift"] = "scale_shift"
    time_embedding_dim: int = 512
    #: "text" adds the pooled text to the time embedding
    addition_embed_type: Literal["", "text"] = "text"
    addition_embed_type_num_heads: int = 6


@dataclass(frozen=True)
class Inflation:
    """Arguments of :meth:`lumiere.models.stunet.STUNet.inflate`."""

    #: which resizes resample time, finest first; all if empty
    temporal_resample: tuple[bool, ...] = ()
    attention_blocks: int = 1


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters, which are trained instead of the temporal layers; see :mod:`lumiere.train.lora`."""

    #: which layers get adapters; none if empty
    layers: Literal["", "temporal", "spatial"] = ""
    rank: int = 16


@dataclass(frozen=True)
class Upscaler:
    """The super-resolution net: a ``UNet2DConditionModel`` without attention, on patches of pixels."""

    patch: int = 4
    block_out_channels: tuple[int, ...] = (64, 96, 128)
    layers_per_block: int = 1
    norm_num_groups: int = 16


@dataclass(frozen=True)
class Degrade:
    """How the low-resolution input of super-resolution is made from a picture."""

    #: side of the crops, pixels; every factor must divide it
    crop: int = 96
    #: factors by which crops are reduced, with equal probability
    factors: tuple[int, ...] = (2, 4, 8)
    #: largest standard deviation of the noise on the reduced picture; pixels are in [-1, 1]
    noise: float = 0.2
    #: share of the crops without noise
    clean: float = 0.5
    #: standard deviation of the residual (picture minus interpolation), which the net's sample is divided by
    residual_std: float = 0.15


@dataclass(frozen=True)
class CodecConfig:
    name: str
    stage: Literal["codec"] = "codec"
    seed: int = 0
    init: str = ""
    #: folder of a codec whose encoder is kept frozen, with all nets that use it; a new decoder of [model] is
    #: trained
    encoder: str = ""
    data: Data = field(default_factory=Data)
    model: CodecModel = field(default_factory=CodecModel)
    loss: CodecLoss = field(default_factory=CodecLoss)
    optim: Optim = field(default_factory=Optim)
    run: Run = field(default_factory=Run)


@dataclass(frozen=True)
class ImageConfig:
    name: str
    #: folder of the codec
    codec: str
    stage: Literal["image"] = "image"
    seed: int = 0
    init: str = ""
    data: Data = field(default_factory=Data)
    scenes: Scenes = field(default_factory=Scenes)
    text: Text = field(default_factory=Text)
    model: UNet = field(default_factory=UNet)
    objective: Objective = field(default_factory=Objective)
    optim: Optim = field(default_factory=Optim)
    samples: Samples = field(default_factory=Samples)
    run: Run = field(default_factory=Run)


@dataclass(frozen=True)
class SynonymConfig(ImageConfig):
    """Distils the image model of ``init`` so that synonyms in a caption act as labels do; see
    :mod:`lumiere.train.synonyms`."""

    stage: Literal["image-synonyms"] = "image-synonyms"  # type: ignore[assignment]


@dataclass(frozen=True)
class TemporalConfig:
    name: str
    #: folder of a bundle, as ``lumiere inflate`` writes one, or the name of a shipped one, to train further;
    #: replaces ``codec``, ``image``, ``init``, [text] and [model]
    bundle: str = ""
    codec: str = ""
    #: folder of the trained image model, or of a space-time net to take its image model from
    image: str = ""
    stage: Literal["temporal"] = "temporal"
    seed: int = 0
    init: str = ""
    #: train the image model's layers too
    train_image: bool = False
    data: Data = field(default_factory=Data)
    scenes: Scenes = field(default_factory=Scenes)
    text: Text = field(default_factory=Text)
    model: Inflation = field(default_factory=Inflation)
    lora: Lora = field(default_factory=Lora)
    objective: Objective = field(default_factory=Objective)
    optim: Optim = field(default_factory=Optim)
    samples: Samples = field(default_factory=Samples)
    run: Run = field(default_factory=Run)


@dataclass(frozen=True)
class SuperResolutionConfig:
    name: str
    stage: Literal["superres"] = "superres"
    seed: int = 0
    #: folder of the trained image model, which is then inflated; trained itself if empty
    image: str = ""
    init: str = ""
    data: Data = field(default_factory=Data)
    model: Upscaler = field(default_factory=Upscaler)
    degrade: Degrade = field(default_factory=Degrade)
    objective: Objective = field(default_factory=Objective)
    optim: Optim = field(default_factory=Optim)
    samples: Samples = field(default_factory=Samples)
    run: Run = field(default_factory=Run)


@dataclass(frozen=True)
class ConditionedConfig(TemporalConfig):
    """Temporal layers that are conditioned on known pixels; see :mod:`lumiere.train.masks`."""

    stage: Literal["conditioned"] = "conditioned"  # type: ignore[assignment]
    #: above 0, temporal super-resolution: every so many frames of a window are known, from the first on
    keyframe_interval: int = 0
    #: share of the steps without a condition: text to video
    unconditioned_share: float = 0.15


@dataclass(frozen=True)
class WarpModel:
    """See :class:`lumiere.models.warping.WarpNet`."""

    widths: tuple[int, ...] = (48, 96, 128)
    matched: int = 96


@dataclass(frozen=True)
class Soften:
    """How a real clip is made to look like a generated one. Strengths are uniform from 0 to these."""

    #: share by which each place of the latents is replaced by the mean of its neighbours
    blur: float = 1.0
    #: standard deviation of noise on the latents
    noise: float = 0.9
    #: opacity of the known pixels at their original place, as if they had not moved
    ghost: float = 0.3


@dataclass(frozen=True)
class WarpConfig:
    """Warps known pixels into the generated clip; see :mod:`lumiere.train.warping`."""

    name: str
    #: folder of the codec
    codec: str
    stage: Literal["warp"] = "warp"
    seed: int = 0
    init: str = ""
    #: frames of a clip that the net sees at once
    seen: int = 16
    data: Data = field(default_factory=Data)
    model: WarpModel = field(default_factory=WarpModel)
    soften: Soften = field(default_factory=Soften)
    optim: Optim = field(default_factory=Optim)
    run: Run = field(default_factory=Run)


Config = CodecConfig | ImageConfig | ConditionedConfig | TemporalConfig | WarpConfig | SuperResolutionConfig
STAGES: dict[str, type[Config]] = {
    "codec": CodecConfig,
    "image": ImageConfig,
    "image-synonyms": SynonymConfig,
    "temporal": TemporalConfig,
    "conditioned": ConditionedConfig,
    "warp": WarpConfig,
    "superres": SuperResolutionConfig,
}


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a run's configuration. ``overrides`` are ``section.key=value``, the value as TOML writes it.

    Raises :class:`InputError` for a missing or unreadable file, an unknown key, a value of the wrong type or
    out of range.
    """
    try:
        table = tomllib.loads(read_text(Path(path)))
    except OSError as error:
        raise InputError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not TOML: {error}") from error
    for override in overrides:
        _override(table, override)
    stage = table.get("stage")
    if stage not in STAGES:
        raise InputError(f"{path} has stage = {stage!r}; it must be one of {', '.join(STAGES)}")
    config: Config = parse(STAGES[stage], table)
    _check(config)
    return config


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """All keys with their values, ``{"optim.lr": 0.001, ...}``, tuples as lists."""
    pairs: dict[str, Any] = {}
    for spec in dataclasses.fields(config):
        value = getattr(config, spec.name)
        if dataclasses.is_dataclass(value):
            pairs |= flat(value, f"{prefix}{spec.name}.")
        else:
            pairs[prefix + spec.name] = list(value) if isinstance(value, tuple) else value
    return pairs


def dump(config: Config) -> str:
    """The configuration as TOML that :func:`load` reads, defaults written out."""
    lines: list[str] = []
    section = ""
    for key, value in sorted(flat(config).items(), key=lambda pair: "." in pair[0]):
        head, _, name = key.rpartition(".")
        if head != section:
            section = head
            lines += ["", f"[{section}]"]
        lines.append(f"{name} = {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def defaults(config: Config) -> dict[str, Any]:
    """:func:`flat` values of all keys of its stage that have a default."""
    needed: dict[str, Any] = {
        spec.name: ""
        for spec in dataclasses.fields(config)
        if spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING
    }
    return flat(type(config)(**needed))


def parse(cls: type, table: Mapping[str, Any], prefix: str = "") -> Any:
    """A dataclass from a table, nested ones from nested tables."""
    hints = typing.get_type_hints(cls)
    for key in table:
        if key not in hints:
            raise InputError(f'unknown key "{prefix}{key}"; {_nearest(key, prefix, hints)}')
    values = {}
    for spec in dataclasses.fields(cls):
        where, hint = prefix + spec.name, hints[spec.name]
        if spec.name not in table:
            if spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
                raise InputError(f'the key "{where}" is missing; this stage needs it')
        elif dataclasses.is_dataclass(hint):
            section = table[spec.name]
            if not isinstance(section, Mapping):
                raise InputError(f'"{where}" is {section!r}; it must be a section [{where}]')
            values[spec.name] = parse(typing.cast(type, hint), section, where + ".")
        else:
            values[spec.name] = _value(hint, table[spec.name], where)
    return cls(**values)


def _nearest(key: str, prefix: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if near:
        return f'did you mean "{prefix}{near[0]}"?'
    return f"there are {', '.join(prefix + name for name in known)}"


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value in options:
            return value
        raise InputError(f'"{where}" is {value!r}; it must be one of {", ".join(map(repr, options))}')
    if origin is tuple:
        if isinstance(value, list):
            kinds = [options[0]] * len(value) if options[-1] is Ellipsis else options
            if len(kinds) == len(value):
                return tuple(_value(kind, item, where) for kind, item in zip(kinds, value, strict=True))
        raise InputError(
            f'"{where}" is {value!r}; it must be a list{_length(options)} of {_names(options[0])}'
        )
    if hint is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is float and not math.isfinite(value):
        raise InputError(f'"{where}" is {value}; it must be a finite number')
    if type(value) is int and abs(value) > LARGEST:
        raise InputError(f'"{where}" is {value}; it must be from {-LARGEST} to {LARGEST}')
    if type(value) is not hint:
        raise InputError(f'"{where}" is {value!r}; it must be of type {hint.__name__}')
    return value


def _names(hint: Any) -> str:
    return " or ".join(map(repr, typing.get_args(hint))) or hint.__name__


def _length(options: tuple[Any, ...]) -> str:
    return "" if options[-1] is Ellipsis else f" of {len(options)}"


def _override(table: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    *sections, key = path.strip().split(".")
    if not equals or not key:
        raise InputError(f"--set {override} is not key=value, such as --set optim.lr=1e-4")
    try:
        value = tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        value = text
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise InputError(f'--set {override}: "{section}" is a value, not a section')
    table[key] = value


def _check(config: Config) -> None:
    values = flat(config)
    for key in POSITIVE & values.keys():
        wrong = values[key] if isinstance(values[key], list) else [values[key]]
        if any(number <= 0 for number in wrong):
            raise InputError(f'"{key}" is {values[key]}; it must be above 0')
    if any(beta >= 1 for beta in values.get("optim.betas", [])):
        raise InputError(f'"optim.betas" is {values["optim.betas"]}; each must be from 0 to below 1')
    for key, (low, high) in RANGES.items():
        given = values.get(key, [])
        if any(not low <= number <= high for number in (given if isinstance(given, list) else [given])):
            raise InputError(f'"{key}" is {given}; it must be from {low} to {high}')
    if config.run.max_steps <= 0 and config.run.max_minutes <= 0:
        raise InputError('neither "run.max_steps" nor "run.max_minutes" is above 0; set one of them')
    _check_stills(config)
    if isinstance(config, ImageConfig | TemporalConfig):
        text = config.text
        if text.encoder != "minilm" and text != Text(text.encoder):
            raise InputError(
                f'"text.encoder" is {text.encoder!r}, and "text.length" or "text.scale" is given; an encoder '
                "that was saved has its own: leave them out"
            )
    if isinstance(config, TemporalConfig):
        _check_base_model(config)
        if config.scenes.any_motion:
            raise InputError(
                f'"scenes.any_motion" is true, which is for stages of single pictures, not {config.stage}'
            )
    if isinstance(config, ConditionedConfig) and config.keyframe_interval and config.scenes.sprites:
        raise InputError(
            f'"keyframe_interval" is {config.keyframe_interval}, and "scenes.sprites" is given; keyframes '
            'are taken from the clips of shards: name them with "data.clips"'
        )
    if isinstance(config, CodecConfig):
        model, crop = config.model, config.loss.crop
        if crop % 8 or crop > min(config.data.size):
            raise InputError(f'"loss.crop" is {crop}; it must be a multiple of 8 within "data.size"')
        if len(model.decoder_widths) not in (0, 2) or model.decoder_blocks < 0:
            raise InputError(
                f'"model.decoder_widths" is {list(model.decoder_widths)} and "model.decoder_blocks" '
                f"{model.decoder_blocks}; give two widths, or none, and 0 blocks or more"
            )
        if config.init and config.encoder:
            raise InputError('both "init" and "encoder" name a codec; give one of them')
    if isinstance(config, SuperResolutionConfig):
        crop, patch = config.degrade.crop, config.model.patch
        if not config.degrade.factors:
            raise InputError('"degrade.factors" is []; give at least one, such as [2, 4, 8]')
        wrong = [each for each in (*config.degrade.factors, patch) if crop % each]
        if wrong or crop > min(config.data.size):
            raise InputError(
                f'"degrade.crop" is {crop}; it must be within "data.size" and a multiple of "model.patch" '
                'and of each of "degrade.factors"'
            )
    if isinstance(config, ImageConfig):
        levels = len(config.model.block_out_channels)
        for key in ("down_block_types", "up_block_types", "attention_head_dim"):
            if (count := len(getattr(config.model, key))) != levels:
                raise InputError(
                    f'"model.{key}" has {count} entries; it must have as many as '
                    f'"model.block_out_channels", {levels}'
                )


def _check_base_model(config: TemporalConfig) -> None:
    if config.objective.teacher and config.objective.guidance_scale == 1:
        raise InputError(
            f'"objective.teacher" is {config.objective.teacher!r}, and "objective.guidance_scale" 1; the '
            "guided prediction of a teacher is distilled: give a scale above 1"
        )
    if config.lora.layers and config.train_image:
        raise InputError(
            f'"train_image" is true and "lora.layers" {config.lora.layers!r}; adapters train alone: '
            "leave one of them out"
        )
    if config.bundle:
        known = defaults(config)
        for key, value in flat(config).items():
            if key.split(".")[0] in ("codec", "image", "init", "text", "model") and value != known[key]:
                raise InputError(
                    f'both "bundle" and "{key}" are given; a bundle has its own: leave one of them out'
                )
        return
    for key in ("codec", "image"):
        if not getattr(config, key):
            raise InputError(f'the key "{key}" is missing; give "codec" and "image", or a "bundle"')
    if config.lora.layers and not config.init:
        raise InputError(
            f'"lora.layers" is {config.lora.layers!r}, and adapters need trained layers; name the '
            'space-time net with "init", or the "bundle"'
        )


def _check_stills(config: Config) -> None:
    share = config.data.still_share
    if share and config.stage != "temporal":
        raise InputError(
            f'"data.still_share" is {share}, which is for the stage temporal, not {config.stage}'
        )
    if share and not config.data.stills:
        raise InputError(f'"data.still_share" is {share}, and "data.stills" names no shards; give some')


_ABOVE_ZERO = {
    "data": "size frames frame_stride batch_size workers",
    "optim": "lr accumulate ema_every clip_norm",
    "run": "keep log_steps checkpoint_steps",
    "objective": "timestep_power",
    "samples": "steps",
    "text": "length scale",
    "loss": "crop",
    "degrade": "crop factors residual_std",
    "lora": "rank",
    "scenes": "count",
    "model": "block_out_channels layers_per_block attention_head_dim norm_num_groups channels widths patch "
    "decoder_widths",
}
POSITIVE = {f"{section}.{key}" for section, keys in _ABOVE_ZERO.items() for key in keys.split()}
#: of whole numbers
LARGEST = 2**63 - 1
#: what a number, or each one of a list, may be
RANGES = {
    "data.frames": (1, 10_000),
    "data.size": (1, 8192),
    "optim.lr": (0.0, 1000.0),
    "optim.betas": (0.0, 1.0),
    "optim.weight_decay": (0.0, 1000.0),
    "optim.accumulate": (1, 10**6),
    "run.threads": (0, 4096),
    "run.max_steps": (0, 10**9),
    "run.max_minutes": (0.0, 1e9),
    "data.clip_share": (0.0, 1.0),
    "data.still_share": (0.0, 1.0),
    "samples.frames": (0, 10**6),
    "keyframe_interval": (0, 10**6),
    "unconditioned_share": (0.0, 1.0),
    "optim.ema_decay": (0.0, 1.0),
    "optim.cooldown": (0.0, 1.0),
    "optim.warmup_steps": (0, 10**9),
    "objective.caption_dropout": (0.0, 1.0),
    "objective.shared_noise": (0.0, 1.0),
    "objective.noise_smoothness": (0.0, 1000.0),
    "objective.guidance_scale": (1.0, 100.0),
    "objective.guidance_rescale": (0.0, 1.0),
    "scenes.several": (0.0, 1.0),
    "scenes.synonyms": (0.0, 1.0),
    "objective.pure_noise": (0.0, 1.0),
    "objective.min_snr_gamma": (0.0, 1e9),
    "loss.noise": (0.0, 10.0),
    "loss.equivariance": (0.0, 100.0),
    "loss.warped": (0.0, 1.0),
    "degrade.noise": (0.0, 1.0),
    "degrade.clean": (0.0, 1.0),
}
