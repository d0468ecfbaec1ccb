"""The page and its JSON interface, as an ASGI application. ``docs/studio.md`` describes it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from lumiere.errors import InputError
from lumiere.io.files import slug
from lumiere.metrics.xt_slice import xt_slice
from lumiere.studio import limits, media, tools
from lumiere.studio.store import WAITING, File, Job, Store, new_id
from lumiere.studio.worker import Worker

_PAGE = Path(__file__).parent / "page"
PAGE_FILES = {"": "index.html"} | {
    path.name: path.name for path in _PAGE.iterdir() if path.suffix in (".js", ".css")
}
_KINDS = {".css": "text/css", ".js": "text/javascript", ".html": "text/html"}
#: decoding and encoding at once, beside the running job
_AT_ONCE = 2


@dataclass(frozen=True)
class Model:
    """A served model, as the page knows it.

    Attributes:
        about: size, frames, fps, steps, guidance; ``conditioned``: whether it takes conditions; ``words``:
            what its prompts can say.
        read_prompt: what the model gets of a prompt, and notes about it; None if it gets it as it is.
    """

    folder: Path
    about: dict[str, Any]
    read_prompt: Callable[[str, bool], tuple[str, list[str]]] | None = None


class Api:
    def __init__(self, store: Store, worker: Worker, models: Mapping[str, Model]) -> None:
        self.store, self.worker, self.models = store, worker, models
        self._coding = anyio.CapacityLimiter(_AT_ONCE)

    # ------------------------------------------------------------ what there is

    async def state(self, request: Request) -> Response:
        """Everything of this session: its files and jobs, and the models."""
        files, jobs = await run_in_threadpool(self._state, _session(request))
        return _json({
            "ready": self.worker.ready.is_set(),
            "models": {name: model.about for name, model in self.models.items()},
            "formats": list(media.FORMATS),
            "files": files,
            "jobs": jobs,
        })  # fmt: skip

    async def jobs(self, request: Request) -> Response:
        _, jobs = await run_in_threadpool(self._state, _session(request), False)
        return _json({"ready": self.worker.ready.is_set(), "jobs": jobs})

    def _state(self, session: str, with_files: bool = True) -> tuple[list[Any], list[Any]]:
        places = {job.id: place for place, job in enumerate(self.store.waiting(), 1)}
        jobs = [self._shown_job(job, places.get(job.id)) for job in self.store.jobs(session)]
        return [_shown_file(file) for file in self.store.files(session)] if with_files else [], jobs

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

    # ------------------------------------------------------------ jobs

    async def add_job(self, request: Request) -> Response:
        """Put a job into the queue: {"verb": "generate", "options": {"prompt": "a frog"}}."""
        fields = await _body(request)
        if unknown := fields.keys() - {"verb", "options"}:
            raise InputError(f"a job has no {limits.shown(min(unknown))}; it has verb and options")
        options = fields.get("options", {})
        if not isinstance(options, dict):
            raise InputError("options is to be a JSON object")
        session = _session(request)
        job = await run_in_threadpool(self._add_job, session, fields.get("verb"), options)
        return _json(await run_in_threadpool(self._job, session, job.id), 201)

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
        return _json(await run_in_threadpool(self._job, _session(request), request.path_params["id"]))

    def _job(self, session: str, id_: str) -> dict[str, Any]:
        job = self.store.job(session, id_)
        if job is None:
            raise HTTPException(404, "no such job")
        places = {each.id: place for place, each in enumerate(self.store.waiting(), 1)}
        return self._shown_job(job, places.get(job.id))

    async def cancel(self, request: Request) -> Response:
        session, id_ = _session(request), request.path_params["id"]
        job = await run_in_threadpool(self.store.job, session, id_)
        if job is None:
            raise HTTPException(404, "no such job")
        cancelled = await run_in_threadpool(self.store.cancel_waiting, job)
        if not cancelled and (watcher := self.worker.watcher(job)) is not None:
            watcher.cancel()
        return _json(await run_in_threadpool(self._job, session, id_))

    async def delete_job(self, request: Request) -> Response:
        session, id_ = _session(request), request.path_params["id"]
        job = await run_in_threadpool(self.store.job, session, id_)
        if job is None:
            raise HTTPException(404, "no such job")
        if job.state == WAITING or self.worker.watcher(job) is not None:
            raise HTTPException(409, "the job is not finished; cancel it first")
        await run_in_threadpool(self.store.delete_file, session, id_)
        return _json({})

    async def preview(self, request: Request) -> Response:
        """The decoded estimate of a running job, an animated WebP; 204 without one, as after its end."""
        job = await run_in_threadpool(self.store.job, _session(request), request.path_params["id"])
        if job is None:
            raise HTTPException(404, "no such job")
        watcher = self.worker.watcher(job)
        if watcher is None or watcher.preview is None:
            return Response(status_code=204, headers={"Cache-Control": "no-store"})
        return Response(watcher.preview, media_type="image/webp", headers={"Cache-Control": "no-store"})

    # ------------------------------------------------------------ prompts

    async def prompt(self, request: Request) -> Response:
        """What a model gets of a prompt: {"prompt": "...", "model": "...", "source": false}."""
        fields = await _body(request)
        text, name = fields.get("prompt"), fields.get("model") or next(iter(self.models))
        if not isinstance(text, str):
            raise InputError("prompt is to be text")
        limits.check_text("prompt", text)
        if not isinstance(name, str) or name not in self.models:
            raise InputError(f"no model {limits.shown(name)} is served; there are {', '.join(self.models)}")
        read = self.models[name].read_prompt
        if read is None or not text.strip():
            return _json({"prompt": text, "notes": []})
        said, notes = await run_in_threadpool(read, text, bool(fields.get("source")))
        return _json({"prompt": said, "notes": notes})

    # ------------------------------------------------------------ files

    async def upload(self, request: Request) -> Response:
        """Take a file, the body of the request. Query: its ``name``, and ``mask=1`` for a painted region."""
        session = _session(request)
        name = media.shown_name(request.query_params.get("name", ""))
        await run_in_threadpool(self._check_room, session)
        folder = self.store.root / session
        folder.mkdir(exist_ok=True)
        descriptor, received = tempfile.mkstemp(dir=self.store.root, prefix=".upload-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                size = 0
                async for part in request.stream():
                    size += len(part)
                    if size > limits.MOST_BYTES:
                        raise HTTPException(
                            413, f"{name} is over {limits.MOST_BYTES // limits.MB} MB; give less"
                        )
                    file.write(part)
            if not size:
                raise InputError(f"{name} is empty; give a picture or a video")
            is_mask = request.query_params.get("mask") == "1"
            taken = await self._coded(self._take, session, Path(received), name, is_mask)
        except ClientDisconnect:
            raise HTTPException(400, f"{name} was not received whole") from None
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(received)
        return _json(_shown_file(taken), 201)

    def _check_room(self, session: str) -> None:
        if self.store.count_files(session) >= limits.MOST_FILES:
            raise InputError(f"there are {limits.MOST_FILES} files already; delete some")
        if self.store.size(session) > limits.MOST_SESSION_BYTES:
            raise InputError(
                f"your files take {limits.MOST_SESSION_BYTES // limits.MB} MB already; delete some"
            )

    def _take(self, session: str, received: Path, name: str, is_mask: bool) -> File:
        id_ = new_id()
        kind, about = media.accept(received, self.store.folder(session, id_), name, is_mask)
        return self.store.add_file(session, name, kind, about, id_)

    async def delete_file(self, request: Request) -> Response:
        file = await self._file(request)
        await run_in_threadpool(self.store.delete_file, file.session, file.id)
        return _json({})

    async def view(self, request: Request) -> Response:
        """What the page shows of a file: a WebP of a picture, an MP4 of a video, or its poster."""
        file = await self._file(request)
        name = request.path_params["view"]
        if name not in (media.VIEW, media.PICTURE_VIEW, media.POSTER):
            raise HTTPException(404, "no such view")
        path = self.store.folder(file.session, file.id) / name
        if not path.is_file():
            raise HTTPException(404, "no such view")
        headers = {"Cache-Control": "private, max-age=86400, immutable"}
        return FileResponse(
            path, media_type="video/mp4" if name == media.VIEW else "image/webp", headers=headers
        )

    async def save(self, request: Request) -> Response:
        """A video in one of the formats, to be saved."""
        file, format_ = await self._video(request), request.path_params["format"]
        if format_ not in media.FORMATS:
            raise HTTPException(404, f"no such format; there are {', '.join(media.FORMATS)}")
        folder = self.store.folder(file.session, file.id)
        sound = file.about.get("sound")
        source = self.store.root / sound if sound and (self.store.root / sound).is_file() else None
        path = await self._coded(media.saved, folder, format_, source)
        name = f"{slug(Path(file.name).stem)}.{'png' if format_ == 'apng' else format_}"
        return FileResponse(path, media_type=media.FORMATS[format_], filename=name)

    async def slice(self, request: Request) -> Response:
        """The x-t slice of a row of a video, a PNG."""
        file = await self._video(request)
        row = _whole(request.query_params.get("row"), "row")
        pixels = await self._coded(xt_slice, media.source_of(self.store.folder(file.session, file.id)), row)
        return _picture(pixels)

    async def take_frame(self, request: Request) -> Response:
        """Make a picture of a frame of a video."""
        file, number = await self._video(request), _whole(request.path_params["number"], "frame") or 0

        def taken() -> File:
            pixels = media.frame_of(media.source_of(self.store.folder(file.session, file.id)), number)
            self._check_room(file.session)
            with tempfile.TemporaryDirectory(dir=self.store.root) as folder:
                picture = Path(folder) / "frame.png"
                Image.fromarray(pixels).save(picture)
                return self._take(file.session, picture, f"{Path(file.name).stem}-{number}.png", False)

        return _json(_shown_file(await self._coded(taken)), 201)

    async def _file(self, request: Request) -> File:
        file = await run_in_threadpool(self.store.file, _session(request), request.path_params["id"])
        if file is None:
            raise HTTPException(404, "no such file")
        return file

    async def _video(self, request: Request) -> File:
        file = await self._file(request)
        if file.kind not in ("video", "clip"):
            raise HTTPException(404, f"{file.name} is no video")
        return file

    async def _coded(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await anyio.to_thread.run_sync(function, *arguments, limiter=self._coding)


def application(store: Store, worker: Worker, models: Mapping[str, Model]) -> Starlette:
    """The page, without :class:`~lumiere.studio.security.Guard`, which names the session of a request."""
    api = Api(store, worker, models)

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
            Route("/api/state", api.state),
            Route("/api/prompt", api.prompt, methods=["POST"]),
            Route("/api/jobs", api.jobs),
            Route("/api/jobs", api.add_job, methods=["POST"]),
            Route("/api/jobs/{id}", api.job),
            Route("/api/jobs/{id}", api.delete_job, methods=["DELETE"]),
            Route("/api/jobs/{id}/cancel", api.cancel, methods=["POST"]),
            Route("/api/jobs/{id}/preview", api.preview),
            Route("/api/files", api.upload, methods=["POST"]),
            Route("/api/files/{id}", api.delete_file, methods=["DELETE"]),
            Route("/api/files/{id}/slice", api.slice),
            Route("/api/files/{id}/frames/{number}", api.take_frame, methods=["POST"]),
            Route("/api/files/{id}/save/{format}", api.save),
            Route("/api/files/{id}/{view}", api.view),
        ],
        exception_handlers={HTTPException: _refusal, InputError: _mistake, Exception: _fault},
        lifespan=lifespan,
    )


def _session(request: Request) -> str:
    session: str = request.scope["session"]
    return session


def _shown_file(file: File) -> dict[str, Any]:
    about = {name: value for name, value in file.about.items() if name != "sound"}
    return {"id": file.id, "name": file.name, "kind": file.kind, "created": file.created, **about}


def _whole(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InputError(f"{name} is {limits.shown(text)}; give a whole number")
    return int(text)


async def _body(request: Request) -> dict[str, Any]:
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > limits.MOST_BODY:
                raise HTTPException(413, f"a request is at most {limits.MOST_BODY} bytes; shorten the prompt")
        fields = json.loads(body)
    except (ValueError, RecursionError, ClientDisconnect):
        raise HTTPException(400, "the request is to be JSON") from None
    if not isinstance(fields, dict):
        raise HTTPException(422, "the request is to be a JSON object")
    return fields


def _picture(pixels: Any) -> Response:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return Response(
        file.getvalue(), media_type="image/png", headers={"Cache-Control": "private, max-age=3600"}
    )


def _json(content: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(content, status, {"Cache-Control": "no-store"})


async def _refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": error.detail}, error.status_code)


async def _mistake(_: Request, error: Exception) -> Response:
    """A user's mistake, in one line, and the option that it is in, if it is one's."""
    said = {"error": " ".join(str(error).split())}
    return _json(said | {"field": error.field} if isinstance(error, tools.FieldError) else said, 422)


async def _fault(_: Request, error: Exception) -> Response:
    """A fault of the studio's own; the traceback is in the server's log."""
    return _json({"error": f"the studio failed: {type(error).__name__}"}, 500)
