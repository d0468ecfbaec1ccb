"""Jobs on workers, a few at a time."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import active_children, get_context, parent_process
from threading import Event, Thread
from typing import Any, TypeVar

from tqdm import tqdm

Job = TypeVar("Job")
Result = TypeVar("Result")
#: jobs handed out ahead of the one whose result is next, for each worker
AHEAD = 8


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


def in_order(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    workers: int,
    crashed: Callable[[Job], Result],
) -> Generator[tuple[Job, Result], None, None]:
    """Each job with ``function(job)``, computed by ``workers`` processes, in the order of ``jobs``.

    A job whose process dies (a decoder's bug, memory that ran out) gets ``crashed(job)``; the others go on.
    """
    jobs = iter(jobs)
    waiting: deque[Job] = deque()
    while True:
        pool, results = process_pool(workers), deque[Future[Result]]()
        try:
            for job in jobs:
                waiting.append(job)
                results.append(pool.submit(function, job))
                if len(waiting) >= AHEAD * workers:
                    yield waiting[0], results.popleft().result()
                    waiting.popleft()
            while waiting:
                yield waiting[0], results.popleft().result()
                waiting.popleft()
            return
        except BrokenProcessPool:
            pass  # which takes all of the pool's jobs along; whose fault it was shows when each is alone
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in active_children():  # a job may take long, and nobody waits for it any more
                worker.terminate()
        yield from _one_by_one(function, waiting, crashed)
        waiting.clear()


def _one_by_one(
    function: Callable[[Job], Result], jobs: Iterable[Job], crashed: Callable[[Job], Result]
) -> Iterator[tuple[Job, Result]]:
    pool = process_pool(1)
    for job in jobs:
        try:
            yield job, pool.submit(function, job).result()
        except BrokenProcessPool:
            yield job, crashed(job)
            pool = process_pool(1)
    pool.shutdown()


def process_pool(workers: int) -> ProcessPoolExecutor:
    """Fresh processes, since torch does not survive a fork once its threads run. They end with this one."""
    return ProcessPoolExecutor(workers, get_context("spawn"), initializer=_follow_the_parent)


def _follow_the_parent() -> None:
    """Leave Ctrl-C to the parent, and do not outlive it if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    Thread(target=follow, daemon=True).start()


def write_shards(
    write: Callable[[Any, Event], int], shards: Iterable[Any], total: int, unit: str, workers: int
) -> None:
    """Call ``write(shard, stop)`` for every shard on ``workers`` threads; the bar counts what it returns.

    Threads do where drawing and encoding release the interpreter's lock. ``stop`` is set once the run is
    interrupted or a shard failed; a shard that is begun then should raise.
    """
    import torch

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
