"""Split a net of ModelScope's kind, which is an image model and its temporal layers in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelerate import init_empty_weights
from diffusers import UNet2DConditionModel, UNet3DConditionModel

from lumiere.errors import InputError
from lumiere.io.bundle import assign_weights
from lumiere.io.checkpoints.adopted import AdoptedWeights, renamed

TEMPORAL = ("transformer_in.", ".temp_convs.", ".temp_attentions.")
RULES = {
    r"^transformer_in\.": "first.",
    r"^(down|up)_blocks\.(\d+)\.temp_convs\.": r"\1.\2.inner.",
    r"^(down|up)_blocks\.(\d+)\.temp_attentions\.": r"\1.\2.blocks.",
    r"^mid_block\.temp_convs\.": "mid.blocks.",
    r"^mid_block\.temp_attentions\.": "mid.inner.",
}
SETTINGS = {"frames": 16, "fps": 8, "steps": 25, "guidance": 9.0}


def split(folder: Path, net: UNet3DConditionModel) -> tuple[UNet2DConditionModel, AdoptedWeights]:
    """The image model, and the temporal layers; no weight is copied.

    Raises:
        InputError: its configuration is not one that is known.
    """
    config: Any = net.config
    if not isinstance(config.attention_head_dim, int):
        raise InputError(
            f"{folder} has heads of {config.attention_head_dim} channels; those of one number can be adopted"
        )
    state = net.state_dict()
    temporal = {name: each for name, each in state.items() if any(part in name for part in TEMPORAL)}
    with init_empty_weights():
        image = UNet2DConditionModel(
            sample_size=config.sample_size,
            in_channels=config.in_channels,
            out_channels=config.out_channels,
            down_block_types=[name.replace("3D", "2D") for name in config.down_block_types],
            mid_block_type="UNetMidBlock2DCrossAttn",
            up_block_types=[name.replace("3D", "2D") for name in config.up_block_types],
            block_out_channels=config.block_out_channels,
            layers_per_block=config.layers_per_block,
            downsample_padding=config.downsample_padding,
            mid_block_scale_factor=config.mid_block_scale_factor,
            act_fn=config.act_fn,
            norm_num_groups=config.norm_num_groups,
            norm_eps=config.norm_eps,
            cross_attention_dim=config.cross_attention_dim,
            attention_head_dim=[width // config.attention_head_dim for width in config.block_out_channels],
            use_linear_projection=True,
            time_cond_proj_dim=config.time_cond_proj_dim,
        )
    assign_weights(image, {name: each for name, each in state.items() if name not in temporal}, str(folder))
    adopted = AdoptedWeights(
        str(folder),
        {"kind": "modelscope", "head_channels": config.attention_head_dim},
        renamed(temporal, RULES),
        {},
        None,
        dict(SETTINGS),
    )
    return image, adopted
