"""Randomness and order as functions of the seed and of a sample's number.

There is no state to save: resuming is exact, and the number of processes does not change the draws.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from lumiere.diffusion.noise import Generators

T = TypeVar("T")


def key(*parts: int | str) -> int:
    """A 63-bit seed from the name of a draw, e.g. ``("noise", seed, sample)``."""
    digest = hashlib.blake2s("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def numbers(*parts: int | str) -> np.random.Generator:
    return np.random.default_rng(key(*parts))


def sample_rngs(seed: int, samples: range) -> list[np.random.Generator]:
    """A generator for each of ``samples``, numbered from the beginning of the run."""
    return [numbers("sample", seed, n) for n in samples]


def generator(device: torch.device | str, *parts: int | str) -> torch.Generator:
    return torch.Generator(device).manual_seed(key(*parts))


class Draws(NamedTuple):
    """The randomness of some samples of a step."""

    #: one for each sample, independent of the process that it is in; or one for all
    generators: Generators
    #: index of the first sample within the step, and the number of samples of the step, of all processes
    part: tuple[int, int]


def draws(device: torch.device, seed: int, samples: range, total: int, together: bool = False) -> Draws:
    """The randomness of ``samples``, numbered from the beginning of the run, ``total`` to a step.

    ``together``: use one generator for the batch, which is faster on a GPU for many small samples. Draws then
    depend on the batch size.
    """
    part = samples.start % total, total
    if together:
        return Draws(generator(device, "noise", seed, samples.start), part)
    return Draws([generator(device, "noise", seed, n) for n in samples], part)


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
