"""The jobs of :func:`lumiere.data.parallel.in_order` on many machines, by Ray."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Any

from lumiere.batch.cluster import cluster
from lumiere.data.parallel import AHEAD, Job, Result


def in_order(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    address: str,
    crashed: Callable[[Job], Result],
) -> Generator[tuple[Job, Result], None, None]:
    """Each job with ``function(job)``, computed by the cluster at ``address``, in the order of ``jobs``.

    Raises :class:`InputError` if Ray is not installed, or there is no cluster at ``address``.
    """
    with cluster(address):
        import ray
        from ray.exceptions import OutOfMemoryError, RaySystemError, WorkerCrashedError

        remote: Any = ray.remote(lambda job: function(job))  # Ray takes no functools.partial
        ahead = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        waiting: deque[tuple[Job, Any]] = deque()

        def first() -> tuple[Job, Result]:
            job, result = waiting.popleft()
            try:
                return job, ray.get(result)
            except (OutOfMemoryError, RaySystemError, WorkerCrashedError):  # after Ray tried again, elsewhere
                return job, crashed(job)

        for job in jobs:
            waiting.append((job, remote.remote(job)))
            if len(waiting) >= ahead:
                yield first()
        while waiting:
            yield first()
