"""The jobs of :func:`lumiere.data.parallel.in_order` on many machines, by Ray."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Any

from lumiere.data.parallel import AHEAD, Job, Result
from lumiere.errors import InputError


def in_order(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    address: str,
    crashed: Callable[[Job], Result],
) -> Generator[tuple[Job, Result], None, None]:
    """Each job with ``function(job)``, computed by the cluster at ``address``, in the order of ``jobs``.

    Raises :class:`InputError` if Ray is not installed, or there is no cluster at ``address``.
    """
    try:
        import ray
    except ImportError:
        raise InputError("--ray needs Ray: pip install 'lumiere-video[ray]'") from None
    died = (ray.exceptions.RaySystemError, ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError)
    try:
        ray.init(address, log_to_driver=False, configure_logging=False)
    except Exception as error:  # it raises what it likes, and that itself if a node does not start
        raise InputError(f"no Ray cluster at {address!r}: {error}; give auto, local, or HOST:PORT") from error
    try:
        remote: Any = ray.remote(lambda job: function(job))  # Ray takes no functools.partial
        ahead = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        waiting: deque[tuple[Job, Any]] = deque()

        def first() -> tuple[Job, Result]:
            job, result = waiting.popleft()
            try:
                return job, ray.get(result)
            except died:  # after Ray itself has tried again, elsewhere
                return job, crashed(job)

        for job in jobs:
            waiting.append((job, remote.remote(job)))
            if len(waiting) >= ahead:
                yield first()
        while waiting:
            yield first()
    finally:
        ray.shutdown()
