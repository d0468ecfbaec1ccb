"""Tiny random video pipelines of diffusers, saved by themselves in the layout that they are published in."""

from __future__ import annotations

from diffusers import (
    AnimateDiffPipeline,
    AutoencoderKLTemporalDecoder,
    DDIMScheduler,
    EulerDiscreteScheduler,
    MotionAdapter,
    StableVideoDiffusionPipeline,
    TextToVideoSDPipeline,
    UNet3DConditionModel,
    UNetSpatioTemporalConditionModel,
)
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from families import latent_pipeline, random_model


def motion_adapter() -> MotionAdapter:
    """Of the tiny Stable Diffusion 1 of ``families``."""
    return random_model(
        MotionAdapter,
        block_out_channels=(8, 16, 16, 16),
        motion_layers_per_block=2,
        motion_mid_block_layers_per_block=1,
        motion_num_attention_heads=2,
        motion_norm_num_groups=4,
        motion_max_seq_length=16,
    )


def animatediff() -> AnimateDiffPipeline:
    image = latent_pipeline("sd1")
    parts = {name: image.components[name] for name in ("vae", "text_encoder", "tokenizer", "unet")}
    return AnimateDiffPipeline(**parts, motion_adapter=motion_adapter(), scheduler=image.scheduler)


def model_scope() -> TextToVideoSDPipeline:
    """ModelScope's class, which is ZeroScope's as well."""
    image = latent_pipeline("sd1")
    unet = random_model(
        UNet3DConditionModel,
        sample_size=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        cross_attention_dim=image.text_encoder.config.hidden_size,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    parts = {name: image.components[name] for name in ("vae", "text_encoder", "tokenizer")}
    return TextToVideoSDPipeline(**parts, unet=unet, scheduler=DDIMScheduler())


def stable_video_diffusion() -> StableVideoDiffusionPipeline:
    vision = CLIPVisionConfig(
        hidden_size=8,
        projection_dim=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=224,
        intermediate_size=8,
        patch_size=56,
    )
    unet = random_model(
        UNetSpatioTemporalConditionModel,
        sample_size=4,
        num_frames=5,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        cross_attention_dim=8,
        num_attention_heads=2,
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=12,
    )
    vae = random_model(
        AutoencoderKLTemporalDecoder,
        block_out_channels=(32, 32),
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
        layers_per_block=1,
    )
    return StableVideoDiffusionPipeline(
        vae=vae,
        image_encoder=random_model(CLIPVisionModelWithProjection, vision),
        unet=unet,
        scheduler=EulerDiscreteScheduler(prediction_type="v_prediction", use_karras_sigmas=True),
        feature_extractor=CLIPImageProcessor(),
    )
