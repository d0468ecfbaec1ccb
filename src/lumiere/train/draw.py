"""Randomness and order as functions of (seed, step): no state to save, so that resuming is exact."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import TypeVar

import numpy as np
import torch

T = TypeVar("T")


def key(*parts: int | str) -> int:
    """A 63-bit seed from what names a draw, e.g. ``("noise", seed, step, rank)``."""
    digest = hashlib.blake2s("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def numbers(*parts: int | str) -> np.random.Generator:
    return np.random.default_rng(key(*parts))


def generator(device: torch.device | str, *parts: int | str) -> torch.Generator:
    return torch.Generator(device).manual_seed(key(*parts))


def ahead(load: Callable[[int], T], start: int, workers: int) -> Iterator[T]:
    """``load(start), load(start + 1), ...``, computed by threads while the caller works on earlier ones.

    Decoders release the interpreter's lock, so threads suffice. Close the iterator to stop the threads.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="load")
    pending: deque[Future[T]] = deque()
    try:
        for n in count(start):
            while len(pending) <= workers:
                pending.append(pool.submit(load, n + len(pending)))
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
