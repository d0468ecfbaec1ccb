"""Serving an ASGI application on a socket."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from lumiere.errors import InputError


def listen(host: str, port: int) -> socket.socket:
    """A socket to serve on; port 0 is any that is free. Raises :class:`InputError` if it cannot be had."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128
        )
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise InputError(f"cannot serve on {host}, port {port}: {reason}; choose another") from None


#: connections at once, beyond which requests are answered with 503; a browser opens up to six
_MOST_CONNECTIONS = 256
#: seconds that an idle connection stays open; pages ask more often than that
_KEEP_ALIVE = 10


def run(app: Any, listening: socket.socket) -> None:
    """Serve an ASGI application until interrupted."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=3,
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
