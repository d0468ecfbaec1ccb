"""Operations are counted exactly, and the pieces of the benchmark add up."""

import dataclasses
import shutil
import sys

import click.testing
import pytest
import torch
import torch.nn.functional as F

from lumiere.cli import bench
from lumiere.errors import InputError
from lumiere.research import denoising_cost as benchmark
from lumiere.research.denoising_cost import Cost, count_operations, exponent, median

COST = Cost("stunet", 80, 10, 4 * 10**9, 2.0, 3.0, 8e9, 10**9)


def test_products_convolutions_and_attention_are_counted():
    x, weight = torch.randn(2, 3, 8, 8), torch.randn(5, 3, 3, 3)
    assert count_operations(lambda: F.conv2d(x, weight, padding=1)) == 2 * 2 * 64 * 5 * 3 * 9
    query, key = torch.randn(2, 4, 16, 32), torch.randn(2, 4, 10, 32)
    assert count_operations(lambda: F.scaled_dot_product_attention(query, key, key)) == 2 * 2 * (
        8 * 16 * 10 * 32
    )


def test_the_space_time_net_saves_the_operations_that_it_should():
    def count(net: str) -> int:
        with torch.device("meta"):  # shapes alone decide; the tiny test above checks attention's real kernel
            return count_operations(benchmark.build(net, 80)[1])

    ours = count("stunet")
    assert ours < 0.65 * count("image")
    assert ours < 0.55 * count("no-resampling")
    assert ours < 0.35 * count("motion")


@pytest.mark.slow
def test_a_measure_in_a_fresh_process(monkeypatch):
    cost = benchmark.measure("stunet", 1, threads=1)
    assert (cost.net, cost.frames) == ("stunet", 1)
    assert cost.operations > 10**9 and cost.memory > 10**8 and cost.share > 0

    with pytest.raises(InputError, match="'other'"):
        benchmark.measure("other", 1)
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(RuntimeError, match=r"stunet at 1 frames failed \(1\)"):
        benchmark.measure("stunet", 1)


def test_medians_and_growth():
    costs = [dataclasses.replace(COST, seconds=seconds) for seconds in (5.0, 1.0, 2.0)]
    assert median(costs) == COST
    growing = [dataclasses.replace(COST, frames=n, seconds=0.3 * n**1.5) for n in (16, 40, 320)]
    assert exponent(growing) == pytest.approx(1.5)
    assert COST.share == 0.25


def test_command_takes_turns_and_prints_a_line_per_net(monkeypatch):
    asked = []

    def measure(net, frames, threads):
        asked.append((net, frames, threads))
        return dataclasses.replace(COST, net=net, frames=frames, seconds=frames / 40 * (1 + (net == "image")))

    monkeypatch.setattr(benchmark, "measure", measure)
    runner = click.testing.CliRunner()
    result = runner.invoke(bench.command, ["--repeats", "2", "--threads", "3"])
    assert result.exit_code == 0
    assert asked == 2 * [(net, 80, 3) for net in benchmark.NETS]
    lines = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line}
    assert lines["image"][-1] == "0.50x" and lines["motion"][-1] == "1.00x"

    result = runner.invoke(bench.command, ["--growth", "--repeats", "1"])
    assert "to the power of 1.00" in result.stdout
    assert "--growth" in runner.invoke(bench.command, ["--help"]).stdout
