"""A connection to a Ray cluster."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any
from urllib.parse import urlsplit

from lumiere.errors import InputError

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
    except Exception as error:  # Ray's own are of many kinds, down to this one
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"no Ray cluster at {address}: {reason}; start one with `ray start --head`, or say --ray local"
        ) from None
    try:
        with redirect_stdout(sys.stderr):  # where Ray says that a worker died
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
