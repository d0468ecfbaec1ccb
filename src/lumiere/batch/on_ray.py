"""Workers on a Ray cluster: an actor for each GPU, or for a share of the CPUs."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lumiere.batch.plan import Job
from lumiere.batch.work import Result, Worker, failed
from lumiere.errors import InputError

#: workers that a job may bring down, by taking all memory, say, before it counts as failed
ATTEMPTS = 3


def make_on_ray(
    jobs: Sequence[Job], workers: int | None, device: str | None, overwrite: bool
) -> Iterator[Result]:
    """Make the clips of jobs on the cluster that is connected to; results come as they are finished.

    Args:
        jobs: of a batch that is open once the first result is asked for.
        workers: how many. Default: one a GPU, or, if there are none, one a machine.
        device: ``cpu`` leaves GPUs alone.

    Raises:
        InputError: the cluster has not as many GPUs or CPUs; or, later, no worker can start.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = 0 if device == "cpu" else sum(int(node.get("GPU", 0)) for node in nodes)
    cpus = [int(node["CPU"]) for node in nodes if node.get("CPU")]
    room, unit = (gpus, "GPUs") if gpus else (sum(cpus), "CPUs")
    workers = workers or gpus or len(cpus)
    if not 0 < workers <= room or (device == "cuda" and not gpus):
        raise InputError(
            f"{workers} workers on {device or unit} are asked for; the cluster has {room} {unit}"
        )
    threads = None if gpus else room // workers
    remote: Any = ray.remote(Worker)
    actor = remote.options(num_cpus=threads or 1, num_gpus=1 if gpus else 0)

    def start() -> tuple[Any, Any]:
        worker = actor.remote("cuda" if gpus else "cpu", overwrite)
        return worker, worker.enter.remote(Path.cwd(), jobs[0].path.parent, threads)

    return _share_out(jobs, min(workers, len(jobs)), start)


def _share_out(jobs: Sequence[Job], workers: int, start: Callable[[], tuple[Any, Any]]) -> Iterator[Result]:
    """Give jobs to workers. The job of one that dies goes to another, and a new one stands in for it as soon
    as the cluster has room; nobody waits for that.

    Args:
        start: a worker that starts, and what Ray will say once it has.
    """
    import ray
    from ray.exceptions import RayError, RayTaskError

    left = deque(jobs)
    unfinished = len(jobs)
    attempts: Counter[int] = Counter()
    idle: list[Any] = []
    busy: dict[Any, tuple[Any, Job | None]] = {}  # one that starts has no job yet

    def start_one() -> None:
        worker, started = start()
        busy[started] = worker, None

    for _ in range(workers):
        start_one()
    while unfinished:
        [done], _ = ray.wait(list(busy), num_returns=1)
        worker, job = busy.pop(done)
        try:
            result = ray.get(done)
        except RayTaskError as error:
            raise error.cause if isinstance(error.cause, InputError) else error from None
        except RayError as error:
            said = " ".join(str(error).split())
            if job is None:
                if not busy and not idle:
                    raise InputError(f"no worker can start: {said}") from None
                continue
            ray.kill(worker)
            start_one()
            attempts[job.line] += 1
            if attempts[job.line] < ATTEMPTS:
                left.append(job)
            else:
                unfinished -= 1
                yield failed(job, f"its worker died {ATTEMPTS} times: {said}")
        else:
            idle.append(worker)
            if job is not None:
                unfinished -= 1
                yield result
        while left and idle:
            job, worker = left.popleft(), idle.pop()
            busy[worker.make.remote(job)] = worker, job
