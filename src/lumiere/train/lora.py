"""LoRA (Hu et al. 2021) for the layers of a space-time net, which are frozen.

Adapters of the temporal layers learn a motion from a few clips, those of the image model's attention a look.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from diffusers.utils.peft_utils import recurse_remove_peft_layers
from safetensors.torch import save_file
from torch import nn

from lumiere.errors import InputError
from lumiere.io.checkpoints.lora import PREFIX, WEIGHTS
from lumiere.io.files import replacing
from lumiere.models.stunet import STUNet
from lumiere.train.config import Lora

ADAPTER = "default"
#: the layers of the image model that diffusers' own scripts adapt
_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")


def add_lora(net: STUNet, lora: Lora) -> None:
    """Freeze ``net`` and add trainable adapters, whose initial output is zero.

    Raises:
        InputError: the net has no layers to adapt.
    """
    from peft import LoraConfig, inject_adapter_in_model

    part: Any = getattr(net, lora.layers)
    targets = [
        name
        for name, module in part.named_modules()
        if isinstance(module, nn.Linear) and (lora.layers == "temporal" or name.endswith(_ATTENTION))
    ]
    if not targets:
        raise InputError(f'"lora.layers" is {lora.layers!r}, and the image model has no attention')
    net.requires_grad_(False)
    config = LoraConfig(r=lora.rank, lora_alpha=lora.rank, target_modules=targets)
    inject_adapter_in_model(config, part, adapter_name=ADAPTER)


def merged(net: STUNet) -> STUNet:
    """A copy of ``net`` with the adapters merged into its layers."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    net = deepcopy(net)
    for module in net.modules():
        if isinstance(module, BaseTunerLayer):
            module.merge()
    return recurse_remove_peft_layers(net)


def save_lora(net: STUNet, layers: str, folder: Path) -> None:
    """Write the adapters under the names that diffusers gives those of a pipeline's ``unet``.

    Adapters of the image model are a style that :class:`lumiere.style.Style` reads, and a LoRA of the image
    model for other programs.
    """
    from peft import get_peft_model_state_dict

    part = getattr(net, layers)
    prefix = PREFIX if layers == "spatial" else f"{PREFIX}.{layers}"
    state = get_peft_model_state_dict(part, adapter_name=ADAPTER)
    weights = {f"{prefix}.{name}": value.detach().cpu().contiguous() for name, value in state.items()}
    with replacing(folder) as beside:
        beside.mkdir()
        save_file(weights, beside / WEIGHTS, {"format": "pt"})
