"""Whether the space-time net is as cheap as it is meant to be: exits with 1 if it misses a target.

    python benchmarks/denoising_step.py [REPEATS]

Operations are counted and exact. Times are medians over fresh processes that take turns, and want a machine
with nothing else on it.
"""

from __future__ import annotations

import sys

from lumiere.cli.bench import GROWTH_FRAMES, run, table
from lumiere.research.denoising_cost import NETS, exponent

TIME = {"image": 0.65, "no-resampling": 0.55, "motion": 0.45}
OPERATIONS = {"motion": 0.35}
GROWTH = 1.05


def main() -> int:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    nets = run([(net, 80) for net in NETS], repeats)
    growth = run([("stunet", frames) for frames in GROWTH_FRAMES], repeats)
    print(table(nets), table(growth), sep="\n\n", end="\n\n")

    ours, others = nets[0], {cost.net: cost for cost in nets[1:]}
    checks = [("growth with frames", exponent(growth), GROWTH)]
    checks += [(f"time over {net}", ours.seconds / others[net].seconds, most) for net, most in TIME.items()]
    checks += [
        (f"operations over {net}", ours.operations / others[net].operations, most)
        for net, most in OPERATIONS.items()
    ]
    for what, found, most in checks:
        print(f"{what:28} {found:.2f}  {'ok, at most' if found <= most else 'MISSED, wanted at most'} {most}")
    return int(any(found > most for _, found, most in checks))


if __name__ == "__main__":
    sys.exit(main())
