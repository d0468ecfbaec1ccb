"""Inter-rater agreement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence


def krippendorff_alpha(units: Iterable[Sequence[Hashable]]) -> float | None:
    """Krippendorff's alpha of nominal values: 1 is agreement, 0 what chance gives, below it they disagree.

    Raters may have seen different units. Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability".

    Args:
        units: the values that each unit was given; a unit with fewer than 2 says nothing.

    Returns None where it is not defined: no unit has 2 values, or all values are the same.
    """
    total: Counter[Hashable] = Counter()
    observed = 0.0
    for values in units:
        count = len(values)
        if count < 2:
            continue
        here = Counter(values)
        total.update(here)
        observed += sum(times * (count - times) for times in here.values()) / (count - 1)
    values_in_all = total.total()
    expected = sum(times * (values_in_all - times) for times in total.values())
    return 1 - (values_in_all - 1) * observed / expected if expected else None
