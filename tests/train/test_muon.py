"""The optimizer Muon: which weights it takes, what it does to them, and that it learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lumiere.train.muon import UPDATE_RMS, Muon, is_hidden, orthogonal


@pytest.mark.parametrize("shape", [(6, 6), (4, 90), (90, 4)])
def test_orthogonal_matrices_keep_their_singular_vectors(shape):
    generator = torch.Generator().manual_seed(0)
    matrices = torch.randn(3, *shape, generator=generator) * torch.tensor([1e-4, 1.0, 1e4]).view(3, 1, 1)
    result = orthogonal(matrices)
    values = torch.linalg.svdvals(result)
    assert values[:, :-1].min() > 0.5 and values.max() < 1.3
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    cosine = (result * (u @ vh)).sum((1, 2)) / result.norm(dim=(1, 2)) / (u @ vh).norm(dim=(1, 2))
    assert cosine.min() > 0.95


def test_embeddings_biases_first_and_last_layers_are_left_to_adamw():
    matrix, vector = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2))
    hidden = ["down.0.attn.to_q.weight", "mid.resnets.1.conv1.weight", "temporal.4.conv.weight"]
    rest = ["conv_in.weight", "conv_out.weight", "time_embedding.linear_1.weight", "position_embedding"]
    assert all(is_hidden(name, matrix) for name in hidden)
    assert not any(is_hidden(name, matrix) for name in rest) and not is_hidden(hidden[0], vector)


def test_a_step_is_the_learning_rate_large_whatever_the_gradient():
    for scale in (1e-3, 1e3):
        weight = nn.Parameter(torch.zeros(16, 4, 3, 3))
        optimizer = Muon({"conv.weight": weight}, lr=0.01, weight_decay=0.0)
        weight.grad = scale * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
        optimizer.step()
        assert weight.detach().square().mean().sqrt().item() == pytest.approx(0.01 * UPDATE_RMS, rel=0.25)


def test_weights_without_gradient_stay_and_others_reach_their_target():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 8))
    frozen = nn.Parameter(torch.ones(3, 3))
    named = {**dict(net.named_parameters()), "frozen": frozen}
    optimizer = Muon(named, lr=0.02, weight_decay=0.0)
    x, y = torch.randn(64, 8), torch.randn(64, 8)
    first = (net(x) - y).square().mean().item()
    for _ in range(150):
        optimizer.zero_grad()
        loss = (net(x) - y).square().mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3 * first and torch.equal(frozen, torch.ones(3, 3))
