"""``lumiere bench``: benchmark one denoising step against other networks."""

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
    """Measure the cases in turns, ``repeats`` times; return medians in the order of the cases."""
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
    """One line per network. The last two columns are the first network's cost over this one's."""
    rows = [HEAD, *(_row(cost, costs[0]) for cost in costs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    first = widths.pop(0)
    return "\n".join(
        name.ljust(first) + "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        for name, *cells in rows
    )


@click.command()
@click.option(
    "--repeats", type=click.IntRange(1), default=5, show_default=True, help="Processes per network."
)
@click.option("--frames", type=click.IntRange(1), default=80, show_default=True, help="Frames of the clip.")
@click.option(
    "--growth", is_flag=True, help=f"Measure the STUNet alone at {', '.join(map(str, GROWTH_FRAMES))} frames."
)
@click.option("--threads", type=click.IntRange(1), help="Threads per process.  [default: PyTorch's]")
def command(repeats: int, frames: int, growth: bool, threads: int | None) -> None:
    """Benchmark one denoising step of 32x32 frames against other networks of the same widths.

    Each measurement runs in its own process, and the networks take turns. Prints medians: operations
    (attention included), wall and CPU time, share of this machine's matrix-multiplication rate, peak memory
    of the process, and the first network's operations and time relative to each network's.

    \b
    lumiere bench --repeats 1
    lumiere bench --growth --repeats 3
    """
    from lumiere.research.denoising_cost import NETS, exponent

    cases = [("stunet", each) for each in GROWTH_FRAMES] if growth else [(net, frames) for net in NETS]
    costs = run(cases, repeats, threads)
    click.echo(table(costs))
    if growth:
        click.echo(f"\ntime scales with frames to the power of {exponent(costs):.2f}")
    else:
        click.echo("\n" + "\n".join(f"{name}: {meaning}" for name, meaning in NETS.items()))
