"""The Space-Time U-Net (section 3.1 of arXiv 2401.12945): a pretrained 2-D U-Net whose own blocks, unchanged,
alternate with temporal ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from accelerate import init_empty_weights
from diffusers import ConfigMixin, ModelMixin, UNet2DConditionModel
from diffusers.configuration_utils import register_to_config
from diffusers.utils import BaseOutput
from jaxtyping import Float
from torch import Tensor, nn

from lumiere.errors import InputError
from lumiere.models.adopted import adopted_layers
from lumiere.models.blocks import (
    FrameConditions,
    attend,
    layer_blocks,
    repeat_for_frames,
    repeat_last,
    resize,
    run_layer,
)
from lumiere.models.layers import Design, PaperLayers, TemporalLayers
from lumiere.models.norm import use_fast_norms
from lumiere.models.temporal import in_slices
from lumiere.models.text.pooled import size_ids, split_pooled
from lumiere.shapes import Context, FrameContext, Sample, fold, unfold

BLOCKS = (
    "CrossAttnDownBlock2D",
    "CrossAttnUpBlock2D",
    "DownBlock2D",
    "ResnetDownsampleBlock2D",
    "ResnetUpsampleBlock2D",
    "SimpleCrossAttnDownBlock2D",
    "SimpleCrossAttnUpBlock2D",
    "UNetMidBlock2D",
    "UNetMidBlock2DCrossAttn",
    "UNetMidBlock2DSimpleCrossAttn",
    "UpBlock2D",
)


@dataclass
class STUNetOutput(BaseOutput):
    """``sample``: the prediction for every frame, ``b c t h w``."""

    sample: Tensor


class STUNet(ModelMixin, ConfigMixin):
    """A text-to-video denoiser over all frames of a clip at once.

    Every spatial layer block (a resnet with its transformer, if it has one) is followed by a temporal block:
    a factorised space-time convolution at all levels but the coarsest, attention along the frames at the
    coarsest. Every spatial resize is followed by the same resize of the frames. The image model stays whole
    under ``spatial``, frozen and in evaluation mode; ``temporal`` holds the layers that train.

    At initialisation a clip of equal frames gives the image model's output in every frame; without temporal
    resampling any clip does. With ``frame_position`` and ``placed_modulation`` off, the net has the paper's
    layers alone.

    Args:
        spatial_config: configuration of the image model, a ``UNet2DConditionModel``.
        temporal_resample: for each spatial resize, from the finest, whether frames are halved and doubled
            with it. None: with all. The paper does not say how often its model does.
        attention_blocks: attention layers stacked after each spatial layer block of the coarsest level; 0 for
            convolution there too, as super-resolution uses.
        condition_channels: channels of the ``condition`` argument of :meth:`forward`, 0 for none; the weights
            of the layer that reads them start at zero.
        codec_factor: pixels per side of one position of a sample; for an image model that takes the size of
            its picture (Stable Diffusion XL).
        frame_stride: distance of neighbouring frames in ``frame_position``; above 1 for a model of keyframes.
        frame_position: whether each frame's index modulates the temporal blocks
            (:class:`~lumiere.models.extras.FramePosition`); not in the paper.
        text_pooling: whether the words of the prompt take part in that
            (:class:`~lumiere.models.extras.TextPooling`); not in the paper. Unused without
            ``frame_position``, and for an image model without attention to text.
        placed_modulation: whether the modulation of the attention blocks varies over the picture
            (:class:`~lumiere.models.extras.PlacedModulation`); not in the paper.
        adopted: temporal layers that were trained elsewhere instead of the paper's, without resampling unless
            ``temporal_resample`` says so: ``kind`` and the arguments of a class of
            :mod:`lumiere.models.adopted`. The four options of the paper's blocks are then unused.

    Attributes:
        max_frames: longest clip that the temporal layers take; None for any.

    On a CPU without gradients, ``net.to(memory_format=torch.channels_last)`` is faster.

    Raises:
        InputError: for an image model with blocks of unknown types, or options that do not fit it.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules: ClassVar = ["ResnetBlock2D", "Transformer2DModel", "TemporalConvBlock"]

    @register_to_config
    def __init__(
        self,
        spatial_config: dict[str, Any],
        temporal_resample: Sequence[bool] | None = None,
        attention_blocks: int = 1,
        condition_channels: int = 0,
        codec_factor: int = 8,
        frame_stride: int = 1,
        frame_position: bool = True,
        text_pooling: bool = True,
        placed_modulation: bool = True,
        adopted: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        unet = UNet2DConditionModel.from_config(spatial_config)
        _check_walkable(unet)
        resizes = len(unet.down_blocks) - 1
        if temporal_resample is not None and len(temporal_resample) != resizes:
            raise InputError(f"temporal_resample has {len(temporal_resample)} values; it needs {resizes}")
        if attention_blocks < 0:
            raise InputError(f"attention_blocks is {attention_blocks}; it must be at least 0")
        if condition_channels < 0:
            raise InputError(f"condition_channels is {condition_channels}; it must be at least 0")

        if temporal_resample is None:
            temporal_resample = [adopted is None] * resizes
        self.temporal_resample = list(temporal_resample)
        self.temporal_factor = 2 ** sum(self.temporal_resample)
        self.gradient_checkpointing = False
        self._design: Design = (
            PaperLayers(attention_blocks, frame_position, text_pooling, placed_modulation)
            if adopted is None
            else adopted_layers(adopted)
        )
        self.max_frames: int | None = getattr(self._design, "max_frames", None)
        self._assemble(unet)

    def _assemble(self, unet: UNet2DConditionModel) -> None:
        use_fast_norms(unet)
        self.spatial = unet.requires_grad_(False).eval()
        self.temporal = TemporalLayers(
            unet, self.temporal_resample, self.config.condition_channels, self._design
        )
        self.temporal.to(unet.device, unet.dtype)

    @classmethod
    def inflate(
        cls,
        unet2d: UNet2DConditionModel,
        *,
        temporal_resample: Sequence[bool] | None = None,
        attention_blocks: int = 1,
        condition_channels: int = 0,
        codec_factor: int = 8,
        frame_stride: int = 1,
        frame_position: bool = True,
        text_pooling: bool = True,
        placed_modulation: bool = True,
        adopted: Mapping[str, Any] | None = None,
    ) -> STUNet:
        """Inflate an image model (section 3.1). The net holds ``unet2d`` itself and freezes it; no weight is
        copied. Options and errors are those of the class."""
        spatial_config = {key: value for key, value in unet2d.config.items() if not key.startswith("_")}
        with init_empty_weights():
            net = cls(
                spatial_config=spatial_config,
                temporal_resample=temporal_resample,
                attention_blocks=attention_blocks,
                condition_channels=condition_channels,
                codec_factor=codec_factor,
                frame_stride=frame_stride,
                frame_position=frame_position,
                text_pooling=text_pooling,
                placed_modulation=placed_modulation,
                adopted=adopted,
            )
        net._assemble(unet2d)
        return net

    def temporal_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters that train."""
        return self.temporal.parameters()

    def temporal_state_dict(self) -> dict[str, Tensor]:
        """The entries of ``state_dict`` that training changes, under the same names."""
        return {name: value for name, value in self.state_dict().items() if name.startswith("temporal.")}

    def to(self, *args: Any, memory_format: torch.memory_format | None = None, **kwargs: Any) -> STUNet:
        """As ``torch.nn.Module.to``; ``memory_format`` is for the weights that it exists for, those of four
        axes: a net of ModelScope's layers has others."""
        super().to(*args, **kwargs)
        if memory_format is not None:
            for tensor in (*self.parameters(), *self.buffers()):
                if tensor.ndim == 4:
                    tensor.data = tensor.data.contiguous(memory_format=memory_format)
        return self

    def train(self, mode: bool = True) -> STUNet:
        """Switch the temporal layers; the frozen image model stays in evaluation mode."""
        super().train(mode)
        self.spatial.eval()
        return self

    def forward(
        self,
        sample: Sample | Float[Tensor, "b c h w"],
        timestep: Tensor | float | int,
        encoder_hidden_states: Context | FrameContext,
        class_labels: Tensor | None = None,
        timestep_cond: Tensor | None = None,
        added_cond_kwargs: dict[str, Tensor] | None = None,
        first_frame: Tensor | int = 0,
        condition: Float[Tensor, "b given t h w"] | None = None,
        return_dict: bool = True,
    ) -> STUNetOutput | tuple[Tensor]:
        """Predict for every frame at once.

        Args:
            sample: noisy clips, ``b c t h w``; any number of frames, any size that the image model takes.
                Pictures, ``b c h w``, go through the image model alone.
            timestep: one for all clips, or ``(b,)``.
            encoder_hidden_states: a text context per clip, ``b l d``, or per frame, ``b t l d``. Where frames
                are halved, each that is left keeps its own.
            class_labels, timestep_cond, added_cond_kwargs: per clip, as the image model takes them. Without
                ``added_cond_kwargs``, Stable Diffusion XL's pooled text is the context's last position
                (:mod:`lumiere.models.text.pooled`), and its sizes are the sample's.
            first_frame: index of the first frame, for a window of a longer clip; for all, or ``(b,)``.
            condition: the encoded condition, ``b d t h w`` with ``d = condition_channels``, see
                :mod:`lumiere.diffusion.conditioning`. None and zeros mean no condition.
            return_dict: whether the result is an :class:`STUNetOutput` or a tuple.

        Raises:
            InputError: channels or batch sizes do not fit.
        """
        self._check(sample, encoder_hidden_states, condition)
        unet: Any = self.spatial
        temporal: Any = self.temporal

        # Pictures: the image model alone
        added = added_cond_kwargs or {}
        if sample.ndim == 4:
            if self._text_brings_more(added):
                encoder_hidden_states, added = self._added(encoder_hidden_states, sample)
            more = {"class_labels": class_labels, "timestep_cond": timestep_cond, "added_cond_kwargs": added}
            predicted = unet(sample, timestep, encoder_hidden_states, **more).sample
            return STUNetOutput(sample=predicted) if return_dict else (predicted,)

        # Length, and the conditions of each frame
        clips, frames = len(sample), sample.shape[2]
        padding = -frames % self.temporal_factor
        if self.max_frames is not None and frames + padding > self.max_frames:
            raise InputError(
                f"the clip has {frames} frames; the temporal layers take up to {self.max_frames}, longer"
                " clips in windows"
            )
        given = timestep, class_labels, timestep_cond
        conditions = self._conditions(sample, encoder_hidden_states, given, added, first_frame, padding)
        layer = partial(self._layer, conditions)

        # In: frames join the batch, the last one repeated up to a length that resampling divides
        x = fold(repeat_last(sample, padding))
        x = unet.conv_in(2 * x - 1 if unet.config.center_input_sample else x)
        if condition is not None:
            x = x + temporal.condition(fold(repeat_last(condition, padding)))
        if temporal.first is not None:
            x = temporal.first(x, conditions.placed(x))

        # Down: skips keep each level's own size and number of frames
        skips = [x]
        for space, time in zip(unet.down_blocks, temporal.down, strict=True):
            for parts in layer_blocks(space, time):
                x = layer(x, *parts)
                skips.append(x)
            for downsample in space.downsamplers or []:
                x = resize(downsample, x, conditions)
                x = time.resample(x, clips) if time.resample else x
                skips.append(x)

        # Middle
        space, time = unet.mid_block, temporal.mid
        x = layer(x, space.resnets[0], None, None, time.blocks[0])
        for attention, inner, resnet, block in zip(
            space.attentions,
            time.inner_layers(len(space.attentions)),
            space.resnets[1:],
            time.blocks[1:],
            strict=True,
        ):
            x = attend(attention, x, conditions.context(x)) if attention else x
            x = inner(x, conditions.placed(x)) if inner else x
            x = layer(x, resnet, None, None, block)

        # Up
        for space, time in zip(unet.up_blocks, temporal.up, strict=True):
            for parts in layer_blocks(space, time):
                x = layer(x, *parts, skips.pop())
            for upsample in space.upsamplers or []:
                x = resize(upsample, x, conditions, skips[-1].shape[-2:])
                x = time.resample(x, clips) if time.resample else x

        # Out: frames leave the batch, and the repeated ones the clip
        x = unfold(in_slices(self._out, x), clips)[:, :, :frames]
        return STUNetOutput(sample=x) if return_dict else (x,)

    def _check(self, sample: Tensor, context: Tensor, condition: Tensor | None) -> None:
        """Raises :class:`InputError` for channels or batch sizes that do not fit."""
        channels, wanted = sample.shape[1], self.spatial.config.in_channels
        if channels != wanted:
            raise InputError(f"sample has {channels} channels; the net takes {wanted}")
        if len(context) != len(sample):
            raise InputError(f"there are {len(context)} text contexts for {len(sample)} clips")
        if context.ndim == 4 and context.shape[1:2] != sample.shape[2:-2]:
            lengths = sample.shape[2] if sample.ndim == 5 else "no"
            raise InputError(f"there are text contexts for {context.shape[1]} frames; a clip has {lengths}")
        taken = self.config.condition_channels
        if condition is not None and condition.shape[1] != taken:
            raise InputError(f"the condition has {condition.shape[1]} channels; the net takes {taken}")

    def _text_brings_more(self, added: dict[str, Tensor]) -> bool:
        return self.spatial.config.addition_embed_type == "text_time" and not added

    def _conditions(
        self,
        sample: Tensor,
        text: Tensor,
        given: tuple[Any, Any, Any],
        added: dict[str, Tensor],
        first_frame: Tensor | int,
        padding: int,
    ) -> FrameConditions:
        """Embedding and context: one per clip, or, of text that changes, one per frame.

        Args:
            given: time step, class labels and condition of the time step, per clip.
            padding: how many times the last frame is repeated.
        """
        clips, frames, pictures = len(sample), sample.shape[2] + padding, sample
        by_frame = text.ndim == 4
        if by_frame:
            text = torch.cat([text, text[:, -1:].expand(-1, padding, -1, -1)], 1).flatten(0, 1)
            pictures = sample[:, :, 0].repeat_interleave(frames, 0)
            given = tuple(repeat_for_frames(each, frames) for each in given)
            added = {name: repeat_for_frames(each, frames) for name, each in added.items()}
        if self._text_brings_more(added):
            text, added = self._added(text, pictures)
        timestep, class_labels, timestep_cond = given
        emb = self._embed(pictures, timestep, text, class_labels, timestep_cond, added)
        context = self.spatial.process_encoder_hidden_states(text, added)
        if by_frame:
            emb, context = (each.unflatten(0, (clips, frames)) for each in (emb, context))
        return FrameConditions(emb, context, self._placed(emb, context, first_frame, frames))

    def _placed(self, emb: Tensor, context: Tensor, first_frame: Tensor | int, frames: int) -> Tensor:
        """The temporal blocks' embedding, ``b t e``: the clip's, with each frame's place if that is on."""
        if self.temporal.position is None:
            return emb if emb.ndim == 3 else emb[:, None].expand(-1, frames, -1)
        first = torch.as_tensor(first_frame, device=emb.device).view(-1, 1)
        places = self.config.frame_stride * (first + torch.arange(frames, device=emb.device))
        return self.temporal.position(emb, context, places)

    def _out(self, x: Tensor) -> Tensor:
        unet = self.spatial
        return unet.conv_out(unet.conv_act(unet.conv_norm_out(x)) if unet.conv_norm_out else x)

    def _added(self, context: Tensor, sample: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The context without its last position, and Stable Diffusion XL's ``added_cond_kwargs``."""
        config = self.spatial.config
        height, width = (self.config.codec_factor * side for side in sample.shape[-2:])
        sizes = size_ids(height, width, like=context)
        pooled = (
            config.projection_class_embeddings_input_dim - sizes.shape[1] * config.addition_time_embed_dim
        )
        context, text = split_pooled(context, pooled)
        return context, {"text_embeds": text, "time_ids": sizes}

    def _embed(
        self,
        sample: Tensor,
        timestep: Tensor | float | int,
        context: Tensor,
        class_labels: Tensor | None,
        timestep_cond: Tensor | None,
        added: dict[str, Tensor],
    ) -> Tensor:
        """The image model's own embedding of time, class and pooled text, ``(b, e)``."""
        unet = self.spatial
        emb = unet.time_embedding(unet.get_time_embed(sample=sample, timestep=timestep), timestep_cond)
        class_emb = unet.get_class_embed(sample=sample, class_labels=class_labels)
        if class_emb is not None:
            concat = unet.config.class_embeddings_concat
            emb = torch.cat([emb, class_emb], dim=-1) if concat else emb + class_emb
        aug_emb = unet.get_aug_embed(emb=emb, encoder_hidden_states=context, added_cond_kwargs=added)
        emb = emb if aug_emb is None else emb + aug_emb
        return unet.time_embed_act(emb) if unet.time_embed_act is not None else emb

    def _layer(self, conditions: FrameConditions, x: Tensor, *parts: Any) -> Tensor:
        """A spatial layer block and its temporal layers, as :func:`lumiere.models.blocks.run_layer`."""
        run = partial(run_layer, conditions)
        # Tensors with gradients are arguments: recomputation must not find them in a cache.
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(run, x, conditions.placed(x), *parts)
        return run(x, conditions.placed(x), *parts)


def _check_walkable(unet: UNet2DConditionModel) -> None:
    """Raises :class:`InputError` for an image model whose blocks :meth:`STUNet.forward` does not know."""
    config = unet.config
    types = {*config.down_block_types, config.mid_block_type, *config.up_block_types}
    if unknown := types.difference(BLOCKS):
        names = ", ".join(map(str, sorted(unknown, key=str)))
        known = ", ".join(BLOCKS)
        raise InputError(f"the image model has blocks {names}; those that can be inflated are {known}")
    if config.dual_cross_attention:
        raise InputError(
            "the image model has dual_cross_attention; one that attends to one text can be inflated"
        )
    if config.addition_embed_type == "image_hint":
        raise InputError("the image model takes a picture as a hint; one that takes text can be inflated")
