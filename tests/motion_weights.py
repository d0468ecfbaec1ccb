"""Tiny random motion modules and a tiny ModelScope, in the layouts that they are published in."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DDIMScheduler, MotionAdapter, TextToVideoSDPipeline, UNet3DConditionModel
from safetensors.torch import save_file

from families import latent_pipeline, random_model

#: by name: family of the image model, middle module, positions
ADAPTERS = {
    "v1": ("sd1", False, 24),
    "v2": ("sd1", True, 32),
    "v3": ("sd1", False, 32),
    "sdxl": ("sdxl", False, 32),
    "lcm": ("sd1", True, 64),
}
WIDTHS = {"sd1": (8, 16, 16, 16), "sdxl": (8, 16, 16)}


def make_adapter(name: str) -> MotionAdapter:
    family, middle, positions = ADAPTERS[name]
    return random_model(
        MotionAdapter,
        block_out_channels=WIDTHS[family],
        motion_norm_num_groups=4,
        motion_max_seq_length=positions,
        use_motion_mid_block=middle,
    )


def original_names(
    adapter: MotionAdapter, prefix: str = "", positions: bool = True
) -> dict[str, torch.Tensor]:
    """The weights under AnimateDiff's own names, as ``scripts/convert_animatediff*.py`` of diffusers reads
    them."""
    named = {}
    for name, weight in adapter.state_dict().items():
        new = name.replace(".norm1", ".norms.0").replace(".norm2", ".norms.1").replace(".norm3", ".ff_norm")
        new = new.replace(".attn1", ".attention_blocks.0").replace(".attn2", ".attention_blocks.1")
        parts = new.split(".")
        at = parts.index("motion_modules") + 2
        new = prefix + ".".join([*parts[:at], "temporal_transformer", *parts[at:]])
        if not new.endswith("pos_embed.pe"):
            named[new] = weight.contiguous()
        elif positions:
            for block in (0, 1):
                named[new.replace("pos_embed.pe", f"attention_blocks.{block}.pos_encoder.pe")] = (
                    weight.clone()
                )
    return named


def save_original(name: str, path: Path, prefix: str = "", dtype: torch.dtype = torch.float32) -> Path:
    state = original_names(make_adapter(name), prefix, positions=name != "lcm")
    save_file({key: each.to(dtype) for key, each in state.items()}, path)
    return path


def make_modelscope() -> TextToVideoSDPipeline:
    """diffusers' own pipeline, with the text encoder and the VAE of a Stable Diffusion 2.x."""
    image = latent_pipeline("sd2")
    unet = random_model(
        UNet3DConditionModel,
        sample_size=4,
        block_out_channels=(8, 16, 16, 16),
        norm_num_groups=4,
        cross_attention_dim=12,
        attention_head_dim=4,
    )
    schedule = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    return TextToVideoSDPipeline(
        vae=image.vae,
        text_encoder=image.text_encoder,
        tokenizer=image.tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(**schedule, clip_sample=False),
    )


def save_hotshot(path: Path) -> Path:
    """Hotshot-XL's layout: no module around the transformer, and other names for it and its positions."""
    state = original_names(make_adapter("sdxl"))
    named = {
        key.replace("motion_modules", "temporal_attentions").replace(".temporal_transformer", ""): each
        for key, each in state.items()
    }
    save_file({key.replace(".pe", ".positional_encoding"): each for key, each in named.items()}, path)
    return path
