"""Group normalisation in half precision: the layout and the values of PyTorch's own."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import nn

from lumiere.models.norm import GroupNorm, use_fast_norms


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("affine", [True, False])
def test_it_is_pytorchs_norm(dtype: torch.dtype, layout: torch.memory_format, affine: bool) -> None:
    torch.manual_seed(0)
    norm = GroupNorm(4, 16, affine=affine).to(dtype)
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    x = (10 + torch.randn(3, 16, 5, 7)).to(dtype).contiguous(memory_format=layout).requires_grad_()
    made, wanted = norm(x), nn.GroupNorm.forward(norm, x)
    assert made.is_contiguous(memory_format=layout)
    torch.testing.assert_close(made, wanted)
    gradients = [torch.autograd.grad(each.square().sum(), x, retain_graph=True)[0] for each in (made, wanted)]
    torch.testing.assert_close(*gradients, atol=0.1 if dtype == torch.bfloat16 else 1e-4, rtol=0.1)


def test_rows_of_channels_are_left_to_pytorch() -> None:
    norm = GroupNorm(2, 4).bfloat16()
    x = torch.randn(3, 7, 4).bfloat16().transpose(1, 2)
    assert torch.equal(norm(x), nn.GroupNorm.forward(norm, x))


def test_a_net_keeps_its_weights() -> None:
    net = UNet2DConditionModel(
        block_out_channels=(32,), down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",)
    )
    before = {name: id(value) for name, value in net.named_parameters()}
    use_fast_norms(net)
    assert before == {name: id(value) for name, value in net.named_parameters()}
    norms = [module for module in net.modules() if isinstance(module, nn.GroupNorm)]
    assert norms and all(type(norm) is GroupNorm for norm in norms)
