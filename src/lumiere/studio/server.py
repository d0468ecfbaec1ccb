"""The page and its JSON interface, as an ASGI application. ``docs/studio.md`` describes it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from lumiere.errors import InputError
from lumiere.studio.answers import fault, mistake, refusal
from lumiere.studio.files import FileRoutes
from lumiere.studio.jobs import JobRoutes
from lumiere.studio.models import Model, ModelRoutes
from lumiere.studio.store import Store
from lumiere.studio.worker import Worker

_PAGE = Path(__file__).parent / "page"
PAGE_FILES = {"": "index.html"} | {
    path.name: path.name for path in _PAGE.iterdir() if path.suffix in (".js", ".css")
}
_KINDS = {".css": "text/css", ".js": "text/javascript", ".html": "text/html"}


def application(store: Store, worker: Worker, models: Mapping[str, Model]) -> Starlette:
    """The page, without :class:`~lumiere.studio.security.Guard`, which names the session of a request."""
    jobs, files, prompts = JobRoutes(store, worker, models), FileRoutes(store), ModelRoutes(models)

    async def page(request: Request) -> Response:
        # No part of an address becomes a part of a path: what is not listed is not there.
        name = PAGE_FILES[request.url.path.rpartition("/")[2]]
        kind = _KINDS[Path(name).suffix]
        return FileResponse(_PAGE / name, media_type=kind, headers={"Cache-Control": "no-cache"})

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        worker.start()
        yield
        worker.stop()
        await run_in_threadpool(worker.join, 30)
        store.close()

    return Starlette(
        routes=[
            *(Route(f"/{name}", page) for name in PAGE_FILES),
            Route("/api/state", jobs.state),
            Route("/api/prompt", prompts.prompt, methods=["POST"]),
            Route("/api/jobs", jobs.jobs),
            Route("/api/jobs", jobs.add_job, methods=["POST"]),
            Route("/api/jobs/{id}", jobs.job),
            Route("/api/jobs/{id}", jobs.delete_job, methods=["DELETE"]),
            Route("/api/jobs/{id}/cancel", jobs.cancel, methods=["POST"]),
            Route("/api/jobs/{id}/preview", jobs.preview),
            Route("/api/files", files.upload, methods=["POST"]),
            Route("/api/files/{id}", files.delete_file, methods=["DELETE"]),
            Route("/api/files/{id}/slice", files.slice),
            Route("/api/files/{id}/frames/{number}", files.take_frame, methods=["POST"]),
            Route("/api/files/{id}/save/{format}", files.save),
            Route("/api/files/{id}/{view}", files.view),
        ],
        exception_handlers={HTTPException: refusal, InputError: mistake, Exception: fault},
        lifespan=lifespan,
    )
