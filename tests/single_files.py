"""The names of weights in the layout that Stable Diffusion was published in, from diffusers' own."""

from __future__ import annotations

import re

import torch

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
OUTER = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def published_unet_name(name, ups_with_attention):
    module, kind = name.rsplit(".", 1)
    if module in OUTER:
        return f"{OUTER[module]}.{kind}"
    side, rest = re.match(r"(down_blocks|mid_block|up_blocks)\.(.*)", name).groups()
    level, part, number, inner = re.match(
        r"(?:(\d+)\.)?(resnets|attentions|\w+samplers)\.(\d)\.(.*)", rest
    ).groups()
    if part == "resnets":
        inner = ".".join(RESNET.get(word, word) for word in inner.split("."))
    place = {"resnets": 0, "attentions": 1}.get(part)
    if side == "mid_block":
        return f"middle_block.{1 if part == 'attentions' else 2 * int(number)}.{inner}"
    if side == "down_blocks":
        if place is None:
            return f"input_blocks.{3 * (int(level) + 1)}.0.op.{kind}"
        return f"input_blocks.{3 * int(level) + int(number) + 1}.{place}.{inner}"
    if place is None:
        return f"output_blocks.{3 * int(level) + 2}.{2 if int(level) in ups_with_attention else 1}.{inner}"
    return f"output_blocks.{3 * int(level) + int(number)}.{place}.{inner}"


def _vae_name(name, levels):
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    name = name.replace("mid_block.attentions.0", "mid.attn_1")
    name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)", lambda m: f"up.{levels - 1 - int(m[1])}", name)
    name = name.replace("upsamplers.0", "upsample").replace("resnets", "block")
    for ours, theirs in {
        "conv_norm_out": "norm_out",
        "conv_shortcut": "nin_shortcut",
        "group_norm": "norm",
        "to_q": "q",
        "to_k": "k",
        "to_v": "v",
        "to_out.0": "proj_out",
    }.items():
        name = name.replace(f".{ours}.", f".{theirs}.")
    return name


def _open_clip(model, prefix):
    """OpenCLIP keeps query, key and value in one matrix, and the projection the other way round."""
    names = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    names["self_attn.out_proj"] = "attn.out_proj"
    state = {name.removeprefix("text_model."): weight for name, weight in model.state_dict().items()}
    saved = {
        f"{prefix}positional_embedding": state.pop("embeddings.position_embedding.weight"),
        f"{prefix}token_embedding.weight": state.pop("embeddings.token_embedding.weight"),
        f"{prefix}ln_final.weight": state.pop("final_layer_norm.weight"),
        f"{prefix}ln_final.bias": state.pop("final_layer_norm.bias"),
    }
    projection = state.pop("text_projection.weight", None)
    saved[f"{prefix}text_projection"] = (
        torch.eye(len(saved[f"{prefix}ln_final.bias"])) if projection is None else projection.T.contiguous()
    )
    saved[f"{prefix}logit_scale"] = torch.ones(())
    for name, weight in state.items():
        layer, inner = re.match(r"encoder\.layers\.(\d+)\.(.*)", name).groups()
        block = f"{prefix}transformer.resblocks.{layer}"
        if match := re.match(r"self_attn\.q_proj\.(\w+)", inner):
            parts = [state[name.replace("q_proj", each)] for each in ("q_proj", "k_proj", "v_proj")]
            saved[f"{block}.attn.in_proj_{match[1]}"] = torch.cat(parts)
        elif not re.match(r"self_attn\.[kv]_proj", inner):
            for ours, theirs in names.items():
                inner = inner.replace(ours, theirs)
            saved[f"{block}.{inner}"] = weight
    return saved


def _clip(model, prefix):
    state = {name.removeprefix("text_model."): weight for name, weight in model.state_dict().items()}
    positions = {f"{prefix}text_model.embeddings.position_ids": torch.arange(77)[None]}
    return positions | {f"{prefix}text_model.{name}": weight for name, weight in state.items()}


def published_layout(pipe, family):
    """All weights of diffusers' pipeline under the names of a single file."""
    ups = {i for i, block in enumerate(pipe.unet.up_blocks) if getattr(block, "attentions", None)}
    unet = {
        f"model.diffusion_model.{published_unet_name(name, ups)}": weight
        for name, weight in pipe.unet.state_dict().items()
    }
    levels = len(pipe.vae.config.block_out_channels)
    vae = {}
    for name, weight in pipe.vae.state_dict().items():
        # its attention was a convolution of one pixel
        matrix = ".attentions." in name and weight.ndim == 2
        vae[f"first_stage_model.{_vae_name(name, levels)}"] = weight[..., None, None] if matrix else weight
    if family == "sdxl":
        text = _clip(pipe.text_encoder, "conditioner.embedders.0.transformer.")
        text |= _open_clip(pipe.text_encoder_2, "conditioner.embedders.1.model.")
    elif family == "sd1":
        text = _clip(pipe.text_encoder, "cond_stage_model.transformer.")
    else:
        text = _open_clip(pipe.text_encoder, "cond_stage_model.model.")
    state = unet | vae | text | {"model_ema.decay": torch.ones(())}
    return {name: weight.clone().contiguous() for name, weight in state.items()}
