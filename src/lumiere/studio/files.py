"""Files over HTTP: uploads, what the page shows of a file, and what a user saves of it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from lumiere.errors import InputError
from lumiere.io.files import slug
from lumiere.metrics.xt_slice import xt_slice
from lumiere.studio import limits, media
from lumiere.studio.answers import as_json, as_png, received, session_of, whole
from lumiere.studio.store import File, Store, new_id

#: decoding and encoding at once, beside the running job
_AT_ONCE = 2


class FileRoutes:
    def __init__(self, store: Store) -> None:
        self.store = store
        self._coding = anyio.CapacityLimiter(_AT_ONCE)

    async def upload(self, request: Request) -> Response:
        """Take a file, the body of the request. Query: its ``name``, and ``mask=1`` for a painted region."""
        session = session_of(request)
        name = media.shown_name(request.query_params.get("name", ""))
        await run_in_threadpool(self._check_room, session)
        with tempfile.TemporaryDirectory(dir=self.store.scratch) as folder:
            path = Path(folder) / "upload"
            too_large = f"{name} is over {limits.MOST_BYTES // limits.MB} MB; give less"
            async with await anyio.open_file(path, "wb") as file:
                async for part in received(request, limits.MOST_BYTES, too_large):
                    await file.write(part)
            if not path.stat().st_size:
                raise InputError(f"{name} is empty; give a picture or a video")
            is_mask = request.query_params.get("mask") == "1"
            taken = await self._coded(self._take, session, path, name, is_mask)
        return as_json(shown_file(taken), 201)

    def _check_room(self, session: str) -> None:
        if shutil.disk_usage(self.store.root).free < limits.LEAST_FREE:
            raise InputError("the studio's disk is full; delete some files, or ask who runs it")
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
        return as_json({})

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
        path = await self._coded(media.saved, folder, format_, self.store.scratch, source)
        name = f"{slug(Path(file.name).stem)}.{'png' if format_ == 'apng' else format_}"
        return FileResponse(path, media_type=media.FORMATS[format_], filename=name)

    async def slice(self, request: Request) -> Response:
        """The x-t slice of a row of a video, a PNG."""
        file = await self._video(request)
        row = whole(request.query_params.get("row"), "row")
        pixels = await self._coded(xt_slice, media.source_of(self.store.folder(file.session, file.id)), row)
        return as_png(pixels)

    async def take_frame(self, request: Request) -> Response:
        """Make a picture of a frame of a video."""
        file, number = await self._video(request), whole(request.path_params["number"], "frame") or 0

        def taken() -> File:
            pixels = media.frame_of(media.source_of(self.store.folder(file.session, file.id)), number)
            self._check_room(file.session)
            with tempfile.TemporaryDirectory(dir=self.store.scratch) as folder:
                picture = Path(folder) / "frame.png"
                Image.fromarray(pixels).save(picture)
                return self._take(file.session, picture, f"{Path(file.name).stem}-{number}.png", False)

        return as_json(shown_file(await self._coded(taken)), 201)

    async def _file(self, request: Request) -> File:
        file = await run_in_threadpool(self.store.file, session_of(request), request.path_params["id"])
        if file is None:
            raise HTTPException(404, "no such file")
        return file

    async def _video(self, request: Request) -> File:
        file = await self._file(request)
        if file.kind not in ("video", "clip"):
            raise HTTPException(404, f"{file.name} is no video")
        return file

    async def _coded(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return await anyio.to_thread.run_sync(function, *arguments, limiter=self._coding)
        except FileNotFoundError:  # it was deleted meanwhile
            raise HTTPException(404, "no such file") from None


def shown_file(file: File) -> dict[str, Any]:
    about = {name: value for name, value in file.about.items() if name != "sound"}
    return {"id": file.id, "name": file.name, "kind": file.kind, "created": file.created, **about}
