"""Random nets of the real classes, small enough to sample in a second."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel


def random_net(image_model, **inflation):
    """An inflated net, random, whose temporal blocks are not the identity."""
    from lumiere.models.stunet import STUNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = STUNet.inflate(
            UNet2DConditionModel(layers_per_block=1, norm_num_groups=4, **image_model), **inflation
        )
        for parameter in net.temporal_parameters():
            parameter.data.add_(0.05 * torch.randn_like(parameter))
    return net.eval()


def tiny_net(context=16, **inflation):
    """Of text to video, on 48 channels, with states of text as wide as ``context``."""
    return random_net(
        {
            "sample_size": 8,
            "in_channels": 48,
            "out_channels": 48,
            "block_out_channels": (16, 16),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "cross_attention_dim": context,
            "attention_head_dim": 2,
            "addition_embed_type": "text",
            "addition_embed_type_num_heads": 2,
        },
        **inflation,
    )
