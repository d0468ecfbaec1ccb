"""``lumiere bench``: what one denoising step costs, beside other nets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lumiere.research.denoising_cost import Cost

GROWTH_FRAMES = (16, 40, 80, 160, 320)
HEAD = (
    "net",
    "frames",
    "M params",
    "GFLOP/frame",
    "ms/frame",
    "CPU ms/frame",
    "share",
    "peak GB",
    "ops",
    "time",
)


def run(cases: Sequence[tuple[str, int]], repeats: int, threads: int | None = None) -> list[Cost]:
    """Measure each case in turns; medians, in the order of the cases."""
    from tqdm import tqdm

    from lumiere.research.denoising_cost import median, rounds

    found: dict[tuple[str, int], list[Cost]] = defaultdict(list)
    with tqdm(total=len(cases) * repeats, unit="process", leave=False) as bar:
        for cost in rounds(cases, repeats, threads):
            found[cost.net, cost.frames].append(cost)
            bar.set_postfix_str(cost.net)
            bar.update()
    return [median(found[case]) for case in cases]


def _row(cost: Cost, first: Cost) -> tuple[str, ...]:
    return (
        cost.net,
        str(cost.frames),
        f"{cost.parameters / 1e6:.1f}",
        f"{cost.operations / cost.frames / 1e9:.2f}",
        f"{cost.seconds / cost.frames * 1e3:.1f}",
        f"{cost.cpu_seconds / cost.frames * 1e3:.1f}",
        f"{cost.share:.2f}",
        f"{cost.memory / 1e9:.2f}",
        f"{first.operations / cost.operations:.2f}x",
        f"{first.seconds / cost.seconds:.2f}x",
    )


def table(costs: Sequence[Cost]) -> str:
    """One line per net. The last two columns are the first net's cost over this one's."""
    rows = [HEAD, *(_row(cost, costs[0]) for cost in costs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    first = widths.pop(0)
    return "\n".join(
        name.ljust(first) + "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        for name, *cells in rows
    )


@click.command()
@click.option(
    "--repeats", type=click.IntRange(1), default=5, show_default=True, help="Fresh processes per net."
)
@click.option("--frames", type=click.IntRange(1), default=80, show_default=True, help="Frames of the clip.")
@click.option(
    "--growth", is_flag=True, help=f"Our net alone, at {', '.join(map(str, GROWTH_FRAMES))} frames."
)
@click.option("--threads", type=click.IntRange(1), help="Threads per process. Default: PyTorch's choice.")
def command(repeats: int, frames: int, growth: bool, threads: int | None) -> None:
    """Time one denoising step of 32x32 frames beside other nets of the same widths.

    Every measure is a process of its own, and the nets take turns. What is shown is the median: operations
    counted with attention's, time on the clock and of the processor, the share of this machine's own
    matrix-product rate that the step reaches, the process's peak memory; and the first net's operations and
    time over each net's.

    \b
    lumiere bench --repeats 1
    lumiere bench --growth --repeats 3
    """
    from lumiere.research.denoising_cost import NETS, exponent

    cases = [("stunet", each) for each in GROWTH_FRAMES] if growth else [(net, frames) for net in NETS]
    costs = run(cases, repeats, threads)
    click.echo(table(costs))
    if growth:
        click.echo(f"\ntime grows with the frames to the power of {exponent(costs):.2f}")
    else:
        click.echo("\n" + "\n".join(f"{name}: {meaning}" for name, meaning in NETS.items()))
