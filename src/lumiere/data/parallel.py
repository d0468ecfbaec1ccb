"""Jobs on workers, a few at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Any, TypeVar

Result = TypeVar("Result")


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def unordered(
    pool: Executor, function: Callable[..., Result], jobs: Iterable[tuple[Any, ...]], at_once: int
) -> Iterator[Result]:
    """Results of ``function(*job)`` as they come, with at most ``at_once`` jobs taken from ``jobs`` ahead."""
    pending: set[Future[Result]] = set()
    try:
        for job in jobs:
            pending.add(pool.submit(function, *job))
            if len(pending) >= at_once:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        for future in pending:
            yield future.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
