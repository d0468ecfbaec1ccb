"""Nodes of Lumiere for ComfyUI (V3 API). IMAGE is b h w c in 0 to 1, the frames of a clip along b."""

from __future__ import annotations

from typing import Any

import comfy.utils
import numpy as np
import torch
from comfy_api.latest import ComfyExtension, io

from lumiere import Clip, LumierePipeline, Style, UpscalePipeline, conditions, xt_slice

Model, Condition, StyleWeights = (io.Custom(f"LUMIERE_{name}") for name in ("MODEL", "CONDITION", "STYLE"))
KINDS = ("first frame", "cinemagraph", "inpaint", "continue")
LARGEST_SEED = 2**53


def frames_of(images: torch.Tensor) -> np.ndarray:
    """IMAGE as frames: uint8, t h w 3."""
    return (images[..., :3] * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()


def images_of(frames: np.ndarray) -> torch.Tensor:
    """Frames as IMAGE: float32."""
    return torch.from_numpy(np.ascontiguousarray(frames)).float() / 255


def sampled(model: Any, prompt: str, steps: int, style: Any = None, **options: Any) -> io.NodeOutput:
    """A clip by one call of the pipeline, its steps shown and cancelled by ComfyUI; 0 is the model's own."""
    bar = comfy.utils.ProgressBar(steps or model.config["steps"])

    def on_step_end(pipe: Any, step: int, t: Any, tensors: Any) -> None:
        bar.update_absolute(step + 1)

    weights, alpha = style or (None, None)
    given = {name: value for name, value in {**options, "num_inference_steps": steps}.items() if value}
    given |= {"seed": options["seed"], "style": weights, "alpha": alpha}
    clip = model(prompt, **given, callback_on_step_end=on_step_end)
    return io.NodeOutput(images_of(clip.frames), float(clip.fps))


def sampling_inputs() -> list[Any]:
    return [
        io.Int.Input("seed", default=0, min=0, max=LARGEST_SEED, control_after_generate=True),
        io.Int.Input("steps", default=0, min=0, max=1000, tooltip="Denoising steps; 0: the model's."),
        io.Float.Input(
            "guidance", default=0.0, min=0.0, max=100.0, step=0.1, tooltip="Guidance scale; 0: the model's."
        ),
        io.String.Input("negative_prompt", default="", multiline=True),
        StyleWeights.Input("style", optional=True),
    ]


def schema(name: str, title: str, inputs: list[Any], outputs: list[Any]) -> io.Schema:
    return io.Schema(
        node_id=f"Lumiere{name}", display_name=title, category="lumiere", inputs=inputs, outputs=outputs
    )


def clip_outputs() -> list[Any]:
    return [io.Image.Output(display_name="images"), io.Float.Output(display_name="fps")]


class LoadModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [
            io.String.Input("model", default="emoji", tooltip="Shipped model, or a model's folder."),
            io.Combo.Input("dtype", options=["float32", "bfloat16", "float16"]),
            io.String.Input("device", default="cpu", tooltip="cpu, cuda, cuda:1, mps, ..."),
        ]
        return schema("LoadModel", "Load Lumiere model", inputs, [Model.Output()])

    @classmethod
    def execute(cls, model: str, dtype: str, device: str) -> io.NodeOutput:
        return io.NodeOutput(LumierePipeline.from_pretrained(model, getattr(torch, dtype)).to(device))


class Generate(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [
            Model.Input("model"),
            io.String.Input("prompt", multiline=True),
            io.Int.Input("frames", default=0, min=0, max=100_000, tooltip="0: the model's."),
            io.Boolean.Input("loop", default=False, tooltip="A seamless loop."),
            Condition.Input("condition", optional=True),
            *sampling_inputs(),
        ]
        return schema("Generate", "Generate clip (Lumiere)", inputs, clip_outputs())

    @classmethod
    def execute(
        cls, model: Any, prompt: str, frames: int, loop: bool, seed: int, steps: int, guidance: float,
        negative_prompt: str, condition: Any = None, style: Any = None,
    ) -> io.NodeOutput:  # fmt: skip
        return sampled(
            model, prompt, steps, style, num_frames=frames, loop=loop, seed=seed, condition=condition,
            guidance_scale=guidance, negative_prompt=negative_prompt,
        )  # fmt: skip


class ConditionOf(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [
            io.Combo.Input("kind", options=list(KINDS)),
            io.Image.Input("images", tooltip="A picture, or the frames of a video."),
            io.Mask.Input("mask", optional=True, tooltip="White: what moves, or is generated."),
        ]
        return schema("Condition", "Condition (Lumiere)", inputs, [Condition.Output()])

    @classmethod
    def validate_inputs(cls, kind: str, **others: Any) -> bool | str:
        return kind in KINDS or f"kind is {kind!r}; give one of {', '.join(KINDS)}"

    @classmethod
    def execute(cls, kind: str, images: torch.Tensor, mask: torch.Tensor | None = None) -> io.NodeOutput:
        frames = frames_of(images)
        if kind == "first frame":
            return io.NodeOutput(conditions.from_image(frames[0]))
        if kind == "continue":
            return io.NodeOutput(conditions.continue_from(frames, known=min(16, len(frames))))
        if mask is None:
            raise ValueError(f"{kind} needs a mask; connect one, white where the clip is generated")
        region = mask.cpu().numpy() if len(mask) > 1 else mask[0].cpu().numpy()
        if kind == "inpaint":
            return io.NodeOutput(conditions.inpaint(frames, mask=region))
        return io.NodeOutput(conditions.cinemagraph(frames[0], region=region))


class Edit(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [
            Model.Input("model"),
            io.Image.Input("images"),
            io.String.Input("prompt", multiline=True),
            io.Float.Input("strength", default=0.7, min=0.01, max=1.0, step=0.01),
            *sampling_inputs(),
        ]
        return schema("Edit", "Edit clip (Lumiere)", inputs, clip_outputs())

    @classmethod
    def execute(
        cls, model: Any, images: torch.Tensor, prompt: str, strength: float, seed: int, steps: int,
        guidance: float, negative_prompt: str, style: Any = None,
    ) -> io.NodeOutput:  # fmt: skip
        return sampled(
            model, prompt, steps, style, video=Clip(frames_of(images), model.config["fps"]), seed=seed,
            strength=strength, guidance_scale=guidance, negative_prompt=negative_prompt,
        )  # fmt: skip


class LoadStyle(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [
            io.String.Input("path", tooltip="A folder of `lumiere style fit`, or a LoRA."),
            io.Float.Input("alpha", default=1.0, min=0.0, max=1.0, step=0.05),
        ]
        return schema("LoadStyle", "Load style (Lumiere)", inputs, [StyleWeights.Output()])

    @classmethod
    def execute(cls, path: str, alpha: float) -> io.NodeOutput:
        return io.NodeOutput((Style.from_pretrained(path), alpha))


class Upscale(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [
            io.Image.Input("images"),
            io.Int.Input("size", default=512, min=16, max=4096, tooltip="Longer side in pixels."),
            io.String.Input("model", default="emoji-upscaler"),
            io.String.Input("device", default="cpu", tooltip="cpu, cuda, cuda:1, mps, ..."),
        ]
        return schema(
            "Upscale", "Upscale by MultiDiffusion (Lumiere)", inputs, [io.Image.Output(display_name="images")]
        )

    @classmethod
    def execute(cls, images: torch.Tensor, size: int, model: str, device: str) -> io.NodeOutput:
        upscaler = UpscalePipeline.from_pretrained(model).to(device)
        return io.NodeOutput(images_of(upscaler(Clip(frames_of(images), 16), size).frames))


class Slice(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [
            io.Image.Input("images"),
            io.Int.Input("row", default=-1, min=-1, max=16384, tooltip="-1: the middle row."),
        ]
        return schema("XTSlice", "x-t slice (Lumiere)", inputs, [io.Image.Output(display_name="slice")])

    @classmethod
    def execute(cls, images: torch.Tensor, row: int) -> io.NodeOutput:
        clip = Clip(frames_of(images), 16)
        return io.NodeOutput(images_of(xt_slice(clip, row=None if row < 0 else row)[None]))


class Lumiere(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [LoadModel, Generate, ConditionOf, Edit, LoadStyle, Upscale, Slice]


async def comfy_entrypoint() -> Lumiere:
    return Lumiere()
