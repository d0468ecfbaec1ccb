"""Workers on a Ray cluster: an actor for each GPU, or for a share of the CPUs."""

from __future__ import annotations

import logging
import os
import socket
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from lumiere.batch.plan import Job
from lumiere.batch.work import Result, Worker, failed
from lumiere.errors import InputError

#: workers that a job may bring down, by taking all memory, say, before it counts as failed
ATTEMPTS = 3
_SECONDS_TO_ANSWER = 10
_OBJECT_STORE_BYTES = 100 * 2**20  # jobs and results are small


@contextmanager
def cluster(address: str) -> Iterator[None]:
    """Be connected to the cluster at ``address``, as Ray's own programs name it: ``local`` starts one on this
    machine, ``auto`` finds the one that runs here, and there is HOST:PORT or ray://HOST:PORT.

    Raises:
        InputError: there is none, or Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise InputError("--ray needs Ray; run: pip install 'lumiere-video[ray]'") from None
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or address
    if address not in ("local", "auto"):
        _check_reachable(address)
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    try:
        ray.init(
            address, log_to_driver=False, logging_level=logging.ERROR, **own if address == "local" else {}
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"no Ray cluster at {address}: {reason}; start one with `ray start --head`, or say --ray local"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Ray itself would wait for many minutes."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise InputError(f"--ray is {address!r}; give local, auto, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host, port), _SECONDS_TO_ANSWER).close()
    except OSError as error:
        raise InputError(
            f"no Ray cluster at {address}: {error.strerror or error}; "
            "start one with `ray start --head`, or say --ray local"
        ) from None


def make_on_ray(
    jobs: Sequence[Job], workers: int | None, device: str | None, overwrite: bool
) -> Iterator[Result]:
    """Make the clips of jobs on the cluster that is connected to; results come as they are finished.

    A job whose worker dies goes to another one. A new worker stands in for one that died as soon as the
    cluster has room for it, and the others do not wait for that.

    Args:
        workers: how many. Default: one a GPU, or, if there are none, one a machine.
        device: ``cpu`` leaves GPUs alone.

    Raises:
        InputError: the cluster has not as many GPUs or CPUs, or no worker can start.
    """
    import ray
    from ray.exceptions import RayActorError, RayError, RayTaskError

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = 0 if device == "cpu" else sum(int(node.get("GPU", 0)) for node in nodes)
    cpus = [int(node["CPU"]) for node in nodes if node.get("CPU")]
    workers = workers or gpus or len(cpus)
    room, unit = (gpus, "GPU") if gpus else (sum(cpus), "CPU")
    if not 0 < workers <= room:
        raise InputError(f"{workers} workers are asked for; the cluster has {room} {unit}s")
    threads = 1 if gpus else room // workers
    actor = ray.remote(Worker).options(num_cpus=threads, num_gpus=1 if gpus else 0)

    left = deque(jobs)
    attempts: Counter[int] = Counter()
    idle: list[Any] = []
    # What each actor does; one that starts has no job yet.
    busy: dict[Any, tuple[Any, Job | None]] = {}

    def start() -> None:
        place = "cuda" if gpus else "cpu"
        worker = actor.remote(os.getcwd(), place, overwrite, None if gpus else threads)
        busy[worker.ready.remote()] = worker, None

    for _ in range(min(workers, len(jobs))):
        start()
    unfinished = len(jobs)
    while unfinished:
        [done], _ = ray.wait(list(busy), num_returns=1)
        worker, job = busy.pop(done)
        try:
            result = ray.get(done)
        except RayTaskError as error:
            raise error.cause if isinstance(error.cause, InputError) else error from None
        except RayError as error:
            if job is None:
                if not busy and not idle:
                    raise InputError(f"no worker can start: {_said(error)}") from None
                continue
            if isinstance(error, RayActorError):
                start()
            attempts[job.line] += 1
            if attempts[job.line] < ATTEMPTS:
                left.append(job)
            else:
                unfinished -= 1
                yield failed(job, f"its worker died {ATTEMPTS} times: {_said(error)}")
        else:
            idle.append(worker)
            if job is not None:
                unfinished -= 1
                yield result
        while left and idle:
            job, worker = left.popleft(), idle.pop()
            busy[worker.make.remote(job)] = worker, job


def _said(error: Exception) -> str:
    return " ".join(str(error).split())
