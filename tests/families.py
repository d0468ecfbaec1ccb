"""Tiny random image models of every family, saved by diffusers' own pipelines in the layout it publishes."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    EulerDiscreteScheduler,
    IFPipeline,
    IFSuperResolutionPipeline,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizerFast,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from lumiere.io.checkpoints.single_file import clip_tokenizer_of, published_configuration

CASCADE = {
    "sample_size": 8,
    "out_channels": 6,
    "layers_per_block": 1,
    "block_out_channels": [32, 64],
    "down_block_types": ["ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"],
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "up_block_types": ["SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"],
    "cross_attention_dim": 32,
    "encoder_hid_dim": 12,
    "encoder_hid_dim_type": "text_proj",
    "attention_head_dim": 8,
    "addition_embed_type": "text",
    "addition_embed_type_num_heads": 2,
    "cross_attention_norm": "group_norm",
    "resnet_time_scale_shift": "scale_shift",
    "act_fn": "gelu",
}
UNETS = {
    "if-1": {**CASCADE, "in_channels": 3},
    # as scripts/convert_if.py of diffusers configures the second stage
    "if-2": {
        **CASCADE,
        "in_channels": 6,
        "layers_per_block": [1, 2],
        "class_embed_type": "timestep",
        "time_embedding_act_fn": "gelu",
        "time_embedding_dim": 32,
        "resnet_skip_time_act": True,
        "resnet_out_scale_factor": 1.414,
        "mid_block_scale_factor": 1.414,
        "only_cross_attention": [True, False],
    },
}
LATENT = {"sd1": "sd1", "sd2": "sd2", "sd2-v": "sd2", "sdxl": "sdxl"}
TEXT_WIDTHS = {"sd1": [8], "sd2": [12], "sdxl": [8, 12]}
FAMILIES = [*LATENT, *UNETS]


def tiny_configuration(family: str) -> dict:
    """The published configuration of a family, as narrow as can be."""
    published = copy.deepcopy(published_configuration(family))
    heads = 2 if family == "sd1" else [1, 2, 2, 2][: len(published["unet"]["block_out_channels"])]
    published["unet"] |= {
        "block_out_channels": [8, 16, 16, 16][: len(published["unet"]["block_out_channels"])]
    }
    published["unet"] |= {"norm_num_groups": 4, "sample_size": 4, "attention_head_dim": heads}
    if family == "sdxl":
        published["unet"] |= {
            "transformer_layers_per_block": [1, 1, 2],
            "addition_time_embed_dim": 4,
            "projection_class_embeddings_input_dim": TEXT_WIDTHS["sdxl"][1] + 6 * 4,
        }
    published["vae"] |= {"block_out_channels": [4, 4, 8, 8], "norm_num_groups": 2, "layers_per_block": 1}
    widths = TEXT_WIDTHS[family]
    published["unet"]["cross_attention_dim"] = sum(widths)
    for text, width in zip(published["text_encoders"], widths, strict=True):
        text |= {
            "hidden_size": width,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "projection_dim": width,
        }
        text |= {"num_attention_heads": 2, "vocab_size": 514}
    published["pad_token_ids"] = [0 if pad == 0 else 513 for pad in published["pad_token_ids"]]
    return published


def random_model(kind, *args, **config):
    """With weights of some size everywhere: a fresh UNet's, say, make next to nothing of a text."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = kind(*args, **config)
        for parameter in model.parameters():
            parameter.data.add_(0.02 * torch.randn_like(parameter))
    return model.eval()


def _clip_tokenizer(pad: int) -> CLIPTokenizerFast:
    """CLIP's, without a single merge: words are spelt."""
    tokenizer = clip_tokenizer_of([])
    tokenizer.pad_token = "!" if pad == 0 else "<|endoftext|>"
    tokenizer.model_max_length = 77
    return tokenizer


def _t5_tokenizer() -> T5TokenizerFast:
    words = "a red cat moving left</s>"
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    return T5TokenizerFast(vocab=[*pieces, *((f"▁{word}", -1.0) for word in words.split())], extra_ids=0)


def latent_pipeline(family: str):
    """diffusers' own pipeline of a Stable Diffusion."""
    published = tiny_configuration(LATENT[family])
    texts = [CLIPTextConfig(**config) for config in published["text_encoders"]]
    tokenizers = [_clip_tokenizer(pad) for pad in published["pad_token_ids"]]
    parts = {
        "unet": random_model(UNet2DConditionModel, **published["unet"]),
        "vae": random_model(AutoencoderKL, **published["vae"]),
        "text_encoder": random_model(CLIPTextModel, texts[0]),
        "tokenizer": tokenizers[0],
    }
    schedule = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    if family == "sdxl":
        return StableDiffusionXLPipeline(
            **parts,
            text_encoder_2=random_model(CLIPTextModelWithProjection, texts[1]),
            tokenizer_2=tokenizers[1],
            scheduler=EulerDiscreteScheduler(**schedule, timestep_spacing="leading"),
            add_watermarker=False,
        )
    scheduler = {
        "sd1": PNDMScheduler(**schedule, skip_prk_steps=True),
        "sd2": PNDMScheduler(**schedule, skip_prk_steps=True),
        "sd2-v": DDIMScheduler(**schedule, prediction_type="v_prediction", clip_sample=False),
    }[family]
    checks = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    return StableDiffusionPipeline(**parts, scheduler=scheduler, **checks)


def cascade_pipeline(stage: str):
    """diffusers' own pipeline of a stage of DeepFloyd-IF."""
    text = T5Config(
        vocab_size=16, d_model=12, d_kv=6, d_ff=16, num_layers=2, num_heads=2, feed_forward_proj="gated-gelu"
    )
    schedule = {"beta_schedule": "squaredcos_cap_v2"}
    parts = {
        "unet": random_model(UNet2DConditionModel, **UNETS[stage]),
        "text_encoder": random_model(T5EncoderModel, text),
        "tokenizer": _t5_tokenizer(),
        "scheduler": DDPMScheduler(**schedule, variance_type="learned_range", thresholding=True),
    }
    checks = {
        "safety_checker": None,
        "feature_extractor": None,
        "watermarker": None,
        "requires_safety_checker": False,
    }
    if stage == "if-1":
        return IFPipeline(**parts, **checks)
    return IFSuperResolutionPipeline(**parts, image_noising_scheduler=DDPMScheduler(**schedule), **checks)


def make_pipeline(family: str):
    return latent_pipeline(family) if family in LATENT else cascade_pipeline(family)


def save_family(family: str, folder: Path) -> Path:
    make_pipeline(family).save_pretrained(folder)
    return folder
