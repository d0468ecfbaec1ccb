"""Jobs on workers, a few at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from functools import partial
from threading import Event
from typing import Any, TypeVar

import torch
from tqdm import tqdm

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


def write_shards(
    write: Callable[[Any, Event], int], shards: Iterable[Any], total: int, unit: str, workers: int
) -> None:
    """Call ``write(shard, stop)`` for every shard on ``workers`` threads; the bar counts what it returns.

    Threads do where drawing and encoding release the interpreter's lock. ``stop`` is set once the run is
    interrupted or a shard failed; a shard that is begun then should raise.
    """
    stop = Event()
    with (
        tqdm(total=total, desc=f"{unit}s", unit=unit, disable=None) as bar,
        ThreadPoolExecutor(workers, initializer=partial(torch.set_num_threads, 1)) as pool,
    ):
        try:
            for count in unordered(pool, write, ((shard, stop) for shard in shards), 2 * workers):
                bar.update(count)
        except BaseException:
            stop.set()
            raise
