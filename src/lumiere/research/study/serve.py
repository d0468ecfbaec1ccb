"""The study as a web page: it shows pairs, and keeps the answers as they come.

The page is plain files, and its addresses are relative, so that it works behind any proxy. A rater is known
by a random token alone, which stands in the link after #: no server's log sees it there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

from lumiere.errors import InputError
from lumiere.research.study.plan import ANSWERS, CLIPS, Study, Trial
from lumiere.research.study.storage import Answer, Storage

try:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import FileResponse, JSONResponse, Response
    from starlette.routing import Route
    from starlette.types import ASGIApp, Receive, Scope, Send
except ImportError:
    raise InputError("this needs Starlette and uvicorn: pip install 'lumiere-video[study]'") from None

_PAGE = Path(__file__).parent / "page"
_PAGE_FILES = {"": "index.html", "study.css": "study.css", "study.js": "study.js"}
_LONGEST_BODY = 4096
_MOST_REVISIONS = 1_000_000
_MOST_SECONDS = 1e9
#: of a body
_SECONDS_TO_SEND = 30
_JOINS_A_MINUTE = 300
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src data:; media-src blob:; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
_SIDES = ("left", "right")


def application(study: Study, folder: Path, hosts: Collection[str] | None = None) -> Starlette:
    """The page of the study in ``folder``, as an ASGI application.

    Args:
        hosts: names under which it may be asked for, so that no other page reaches it by a name that it
            points to this machine. Default: any.

    Raises:
        InputError: its answers cannot be written.
    """
    storage = Storage(folder / ANSWERS, study.id)
    api = _Api(study, storage)
    clips = frozenset(study.clips)

    async def page(request: Request) -> Response:
        # No part of an address becomes a part of a path: what is not listed is not there.
        name = _PAGE_FILES[request.url.path.rpartition("/")[2]]
        return FileResponse(_PAGE / name, headers={**_HEADERS, "Cache-Control": "no-cache"})

    async def clip(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in clips:
            raise HTTPException(404, "no such clip")
        headers = {**_HEADERS, "Cache-Control": "private, max-age=86400"}
        return FileResponse(folder / CLIPS / name, media_type="video/mp4", headers=headers)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        storage.close()

    return Starlette(
        routes=[
            *(Route(f"/{name}", page) for name in _PAGE_FILES),
            Route("/clips/{name}", clip),
            Route("/api/study", api.about),
            Route("/api/raters", api.join, methods=["POST"]),
            Route("/api/raters/{token}", api.session),
            Route("/api/raters/{token}/answers/{pair}/{question}", api.answer, methods=["PUT"]),
        ],
        exception_handlers={HTTPException: _refusal, sqlite3.Error: _not_stored},
        lifespan=lifespan,
        middleware=[Middleware(_SamePage, hosts=hosts)],
    )


class _SamePage:
    """Refuse what a page of somebody else has a browser send: under another name of this machine, or to
    change something."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (reason := self._refused(Request(scope))) is not None:
            await _json({"error": reason}, 403)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _refused(self, request: Request) -> str | None:
        host = request.headers.get("host", "")
        if self.hosts is not None and _name(host) not in self.hosts:
            return "this study is not served under that name; --allow-host allows one"
        if request.method in ("GET", "HEAD"):
            return None
        # Browsers say this of every request; a proxy that changes the host leaves it.
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        same = origin is None or origin.partition("://")[2] == host
        if site not in (None, "same-origin", "none") or (site is None and not same):
            return "another page may not send this"
        return None


def _name(host: str) -> str:
    """A host without its port."""
    return host[: host.rindex("]") + 1] if "]" in host else host.partition(":")[0]


class _Api:
    def __init__(self, study: Study, storage: Storage) -> None:
        self.study = study
        self.storage = storage
        self.trials: Callable[[int], list[Trial]] = lru_cache(maxsize=1024)(study.trials)
        self.joined: deque[float] = deque()

    async def about(self, _: Request) -> Response:
        """The instructions that a rater sees before the first pair."""
        return _json({"pairs": len(self.trials(1)), "questions": self.study.questions})

    async def join(self, _: Request) -> Response:
        now = time.monotonic()
        while self.joined and self.joined[0] < now - 60:
            self.joined.popleft()
        if len(self.joined) >= _JOINS_A_MINUTE:
            raise HTTPException(429, "too many raters join at once; try again in a minute")
        self.joined.append(now)
        return _json({"rater": await run_in_threadpool(self.storage.join)}, 201)

    async def session(self, request: Request) -> Response:
        """What a rater sees, in order, with what was answered so far."""
        rater = await self._rater(request)
        given: dict[str, dict[int, Any]] = {}
        for answer in await run_in_threadpool(self.storage.answers, rater):
            given.setdefault(answer.pair, {})[answer.question] = _shown(answer)
        trials = [
            {
                "pair": trial.pair.id,
                "prompt": trial.pair.prompt,
                "clips": trial.clips,
                "width": trial.pair.width,
                "height": trial.pair.height,
                "answers": given.get(trial.pair.id, {}),
            }
            for trial in self.trials(rater)
        ]
        return _json({"questions": self.study.questions, "trials": trials})

    async def answer(self, request: Request) -> Response:
        """Keep an answer: {"chosen": a clip's name, "seconds": how long it took, "revision": from 0}."""
        rater = await self._rater(request)
        pair, question = request.path_params["pair"], request.path_params["question"]
        trial = next((trial for trial in self.trials(rater) if trial.pair.id == pair), None)
        questions = {str(number): number for number, _ in enumerate(self.study.questions, 1)}
        if trial is None or question not in questions:
            raise HTTPException(404, "this rater is not asked that")
        fields = await _body(request)
        chosen = fields.get("chosen")
        if chosen not in trial.clips:
            raise HTTPException(422, f"chosen is to be one of {', '.join(trial.clips)}")
        seconds = _number(fields, "seconds", (int, float), _MOST_SECONDS)
        revision = _number(fields, "revision", (int,), _MOST_REVISIONS)
        side = _SIDES[trial.clips.index(chosen)]
        answer = Answer(rater, pair, questions[question], chosen, side, float(seconds), revision)
        return _json(_shown(await run_in_threadpool(self.storage.put, answer)))

    async def _rater(self, request: Request) -> int:
        number = await run_in_threadpool(self.storage.rater, request.path_params["token"])
        if number is None:
            raise HTTPException(404, "no such rater")
        return number


def _number(fields: dict[str, Any], name: str, kinds: tuple[type, ...], most: float) -> Any:
    number: Any = fields.get(name)
    if type(number) not in kinds or not 0 <= number <= most:  # True is an int, but no number
        raise HTTPException(422, f"{name} is to be {kinds[-1].__name__}, from 0 to {most:g}")
    return number


async def _body(request: Request) -> dict[str, Any]:
    async def read() -> bytes:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LONGEST_BODY:
                raise HTTPException(413, f"an answer is at most {_LONGEST_BODY} bytes")
        return body

    try:
        fields = json.loads(await asyncio.wait_for(read(), _SECONDS_TO_SEND))
    except asyncio.TimeoutError:
        raise HTTPException(408, f"an answer is to be sent within {_SECONDS_TO_SEND} seconds") from None
    except (ValueError, RecursionError, ClientDisconnect):
        raise HTTPException(400, "an answer is to be JSON") from None
    if not isinstance(fields, dict):
        raise HTTPException(422, "an answer is to be a JSON object")
    return fields


def _shown(answer: Answer) -> dict[str, Any]:
    return {"chosen": answer.chosen, "revision": answer.revision}


def _json(content: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(content, status, {**_HEADERS, "Cache-Control": "no-store"})


async def _refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": error.detail}, error.status_code)


async def _not_stored(_: Request, error: Exception) -> Response:
    """The page sends the answer again."""
    return _json({"error": f"the answer could not be kept: {error}"}, 503)
