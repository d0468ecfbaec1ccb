"""The temporal stage: the image model is inflated, and the temporal layers are trained on clips."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lumiere.diffusion.guidance import classifier_free
from lumiere.diffusion.objective import drop_captions, drop_pairs
from lumiere.diffusion.sampling import Denoiser
from lumiere.errors import InputError
from lumiere.models.stunet import STUNet
from lumiere.train.base_model import read_base_model
from lumiere.train.config import TemporalConfig
from lumiere.train.distributed import precision_of
from lumiere.train.draw import Draws, sample_rngs
from lumiere.train.encode import Encoder, fingerprint
from lumiere.train.lora import add_lora, merged, save_lora
from lumiere.train.sources.registry import clip_source
from lumiere.train.stage import Stage, denoising_loss

SHOWN = 2
#: folder of the LoRA adapters, beside that of the bundle
LORA = "lora"


class TemporalStage(Stage):
    unit = "clips"

    def __init__(self, config: TemporalConfig, device: torch.device, builds_cache: bool = True):
        super().__init__()
        self.config, self.device = config, device
        self.base = read_base_model(config)
        parts = self.base.parts
        self.encode = Encoder(parts["codec"], parts["text_encoder"], device, precision_of(config.run))
        self.source = clip_source(config, self.encode, builds_cache)
        self.draws_together = self.source.draws_together
        self.prompts = list(config.samples.prompts) or self.source.prompts(SHOWN)
        self.alphas_cumprod = self.base.alphas_cumprod().to(device)
        self.net = self.base.net(self.condition_channels())
        frozen = {"codec": self.encode.codec, "text": self.encode.text}
        if config.train_image:
            self.net.spatial.requires_grad_(True)
        else:
            frozen["image"] = self.net.spatial
        if config.lora.layers:
            frozen["temporal"] = self.net.temporal
        self._frozen = {name: fingerprint(part) for name, part in frozen.items()}
        if config.lora.layers:
            add_lora(self.net, config.lora)
        # Backward through frozen spatial layers crashes in channels-last memory (torch 2.13, CPU).
        layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        self.net.to(device, memory_format=layout).train()
        self.teacher: Any = None
        if config.objective.guidance_scale > 1:
            teacher = self._read_teacher()
            self.teacher = teacher.forward  # no submodule, which would train
            self._frozen["teacher"] = fingerprint(teacher)

    def _read_teacher(self) -> Any:
        if not (folder := self.config.objective.teacher):
            return copy.deepcopy(self.net).requires_grad_(False).eval()
        from lumiere.pipelines.text_to_video import LumierePipeline

        pipeline = LumierePipeline.from_pretrained(folder)
        net = pipeline.unet
        theirs, own = (each.config.condition_channels for each in (net, self.net))
        if theirs != own:
            raise InputError(
                f"objective.teacher is {folder}, a model with {theirs} condition channels; this one has "
                f"{own}: give one with as many"
            )
        own_kind = self.base.parts["scheduler"].config.prediction_type
        if (
            pipeline.scheduler.config.prediction_type != own_kind
            or fingerprint(pipeline.codec) != self._frozen["codec"]
            or fingerprint(pipeline.text_encoder) != self._frozen["text"]
        ):
            raise InputError(
                f"objective.teacher is {folder}, a model with another codec, text encoder or prediction type "
                "than this one's; give one that was trained with the same"
            )
        return net.to(self.device).requires_grad_(False).eval()

    def condition_channels(self) -> int:
        """Channels of the condition that the net takes beside the latents."""
        return 0

    def frozen(self) -> dict[str, str]:
        return self._frozen

    def load(self, step: int, samples: range) -> Any:
        return self.source.draw(step, samples, sample_rngs(self.config.seed, samples))

    def prepare(self, loaded: Any) -> tuple[Tensor, ...]:
        batch = self.source.prepare(loaded)
        return batch.latents, self.context(loaded), batch.first_frames

    def context(self, drawn: Any) -> Tensor:
        """Text states for the net ``b l d``; with a teacher ``b l 2d``, the teacher's beside the net's."""
        context = self.source.context(drawn)
        if self.teacher is None:
            return context
        plain = self.source.plain_context(drawn)
        return torch.cat([context, context if plain is None else plain], dim=2)

    def forward(self, latents: Tensor, context: Tensor, first_frames: Tensor, draws: Draws) -> Tensor:
        return self.loss(latents, context, draws, first_frame=first_frames)

    def loss(
        self,
        latents: Tensor,
        context: Tensor,
        draws: Draws,
        weight: Tensor | None = None,
        **conditions: Tensor,
    ) -> Tensor:
        """The objective on these latents; ``conditions`` are further arguments of the net."""
        objective = self.config.objective
        dropout = self.encode.empty, objective.caption_dropout, draws.generators
        teacher = None
        if self.teacher is None:
            context = drop_captions(context, *dropout)
        else:
            context, plain = drop_pairs(context, *dropout)
            teacher = self._guided(plain, conditions)
        return denoising_loss(
            objective,
            lambda x, t: self.net(x, t, context, return_dict=False, **conditions)[0],
            latents,
            self.alphas_cumprod,
            draws,
            teacher=teacher,
            shared_noise=objective.shared_noise,
            noise_smoothness=objective.noise_smoothness,
            weight=weight,
            prediction_type=self.base.parts["scheduler"].config.prediction_type,
        )

    def _guided(self, context: Tensor, conditions: dict[str, Tensor]) -> Denoiser:
        """The guided prediction of the teacher."""
        objective = self.config.objective
        twice = {name: torch.cat([each] * 2) for name, each in conditions.items()}

        def denoise(x: Tensor, t: Tensor, context: Tensor) -> Tensor:
            prediction: Tensor = self.teacher(x, torch.cat([t, t]), context, return_dict=False, **twice)[0]
            return prediction[:, : x.shape[1]].float()

        scale, rescale = objective.guidance_scale, objective.guidance_rescale
        return classifier_free(denoise, context, self.encode.empty, scale, rescale=rescale)

    def _pipeline(self, net: STUNet) -> Any:
        data = self.config.data
        rate = self.source.fps
        return self.base.pipeline(
            net,
            size=max(data.size),
            frames=data.frames,
            shared_noise=self.config.objective.shared_noise,
            noise_smoothness=self.config.objective.noise_smoothness,
            **({} if self.teacher is None else {"guidance": 1.0}),
            **({} if rate is None else {"fps": rate / data.frame_stride if data.frame_stride > 1 else rate}),
        )

    def export(self, folder: Path) -> None:
        """Save the bundle, with LoRA adapters merged; the adapters are also saved in a folder beside it."""
        layers = self.config.lora.layers
        pipeline = self._pipeline(merged(self.net) if layers else self.net)
        pipeline.save_pretrained(folder)
        if layers:
            save_lora(self.net, layers, folder.parent / LORA)

    def draw_samples(self, folder: Path) -> None:
        """Write a clip for each prompt, sampled through the pipeline."""
        options, data = self.config.samples, self.config.data
        pipeline = self._pipeline(self.net)
        pipeline.set_progress_bar_config(disable=True)
        for n, prompt in enumerate(self.prompts):
            clip = pipeline(
                prompt,
                num_frames=options.frames or data.frames,
                height=data.size[0],
                width=data.size[1],
                num_inference_steps=options.steps,
                guidance_scale=options.guidance_scale,
                seed=options.seed,
            )
            clip.save(folder / f"{n:02d}.mp4")
        (folder / "prompts.txt").write_text("\n".join(self.prompts) + "\n", encoding="utf-8")
