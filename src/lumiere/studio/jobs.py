"""The queue over HTTP: jobs of a session, their progress, and everything that the page begins with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from lumiere.errors import InputError
from lumiere.studio import limits, media, tools
from lumiere.studio.answers import as_json, json_of, session_of
from lumiere.studio.files import shown_file
from lumiere.studio.models import Model
from lumiere.studio.store import WAITING, Job, Store
from lumiere.studio.worker import Worker


class JobRoutes:
    def __init__(self, store: Store, worker: Worker, models: Mapping[str, Model]) -> None:
        self.store, self.worker, self.models = store, worker, models

    async def state(self, request: Request) -> Response:
        """Everything of this session: its files and jobs, and the models."""
        files, jobs = await run_in_threadpool(self._state, session_of(request))
        return as_json({
            "ready": self.worker.ready.is_set(),
            "models": {name: model.about for name, model in self.models.items()},
            "formats": list(media.FORMATS),
            "files": files,
            "jobs": jobs,
        })  # fmt: skip

    async def jobs(self, request: Request) -> Response:
        _, jobs = await run_in_threadpool(self._state, session_of(request), False)
        return as_json({"ready": self.worker.ready.is_set(), "jobs": jobs})

    def _state(self, session: str, with_files: bool = True) -> tuple[list[Any], list[Any]]:
        places = {job.id: place for place, job in enumerate(self.store.waiting(), 1)}
        jobs = [self._shown_job(job, places.get(job.id)) for job in self.store.jobs(session)]
        return [shown_file(file) for file in self.store.files(session)] if with_files else [], jobs

    def _shown_job(self, job: Job, place: int | None) -> dict[str, Any]:
        shown = {
            "id": job.id,
            "verb": job.verb,
            "options": job.options,
            "state": job.state,
            "error": job.error,
            "notes": job.notes,
            "created": job.created,
            "seconds": None
            if job.started is None or job.ended is None
            else round(job.ended - job.started, 2),
        }
        if job.state == WAITING:
            shown["place"] = place
        watcher = self.worker.watcher(job)
        return shown if watcher is None else shown | {"progress": watcher.facts()}

    async def add_job(self, request: Request) -> Response:
        """Put a job into the queue: {"verb": "generate", "options": {"prompt": "a frog"}}."""
        fields = await json_of(request)
        if unknown := fields.keys() - {"verb", "options"}:
            raise InputError(f"a job has no {limits.shown(min(unknown))}; it has verb and options")
        options = fields.get("options", {})
        if not isinstance(options, dict):
            raise InputError("options is to be a JSON object")
        session = session_of(request)
        job = await run_in_threadpool(self._add_job, session, fields.get("verb"), options)
        return as_json(await run_in_threadpool(self._job, session, job.id), 201)

    def _add_job(self, session: str, verb: Any, options: dict[str, Any]) -> Job:
        tools.check(verb, options, self.models)
        model = self.models[options.get("model") or next(iter(self.models))]
        if tools.TOOLS[verb].conditioned and not model.about["conditioned"]:
            raise InputError(f"{verb} needs a model that was trained with conditions; this one was not")
        folders = {name: each.folder for name, each in self.models.items()}
        resolved = tools.resolve(self.store, session, verb, options, folders, self.worker.upscaler, None)
        self.worker.check(verb, resolved)
        waiting = [job for job in self.store.waiting() if job.session == session]
        if len(waiting) >= limits.MOST_WAITING:
            raise InputError(f"{len(waiting)} of your jobs are waiting already; cancel some, or wait")
        job = self.store.add_job(session, verb, options)
        self.worker.wake()
        return job

    async def job(self, request: Request) -> Response:
        return as_json(await run_in_threadpool(self._job, session_of(request), request.path_params["id"]))

    def _job(self, session: str, id_: str) -> dict[str, Any]:
        job = self.store.job(session, id_)
        if job is None:
            raise HTTPException(404, "no such job")
        places = {each.id: place for place, each in enumerate(self.store.waiting(), 1)}
        return self._shown_job(job, places.get(job.id))

    async def cancel(self, request: Request) -> Response:
        session, id_ = session_of(request), request.path_params["id"]
        job = await run_in_threadpool(self.store.job, session, id_)
        if job is None:
            raise HTTPException(404, "no such job")
        cancelled = await run_in_threadpool(self.store.cancel_waiting, job)
        if not cancelled and (watcher := self.worker.watcher(job)) is not None:
            watcher.cancel()
        return as_json(await run_in_threadpool(self._job, session, id_))

    async def delete_job(self, request: Request) -> Response:
        session, id_ = session_of(request), request.path_params["id"]
        job = await run_in_threadpool(self.store.job, session, id_)
        if job is None:
            raise HTTPException(404, "no such job")
        if job.state == WAITING or self.worker.watcher(job) is not None:
            raise HTTPException(409, "the job is not finished; cancel it first")
        await run_in_threadpool(self.store.delete_file, session, id_)
        return as_json({})

    async def preview(self, request: Request) -> Response:
        """The decoded estimate of a running job, an animated WebP; 204 without one, as after its end."""
        job = await run_in_threadpool(self.store.job, session_of(request), request.path_params["id"])
        if job is None:
            raise HTTPException(404, "no such job")
        watcher = self.worker.watcher(job)
        if watcher is None or watcher.preview is None:
            return Response(status_code=204, headers={"Cache-Control": "no-store"})
        return Response(watcher.preview, media_type="image/webp", headers={"Cache-Control": "no-store"})
