"""Requests read within the limits, and answers: JSON, pictures, and what is refused in one line."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from lumiere.errors import InputError
from lumiere.studio import limits
from lumiere.studio.tools import FieldError


def session_of(request: Request) -> str:
    session: str = request.scope["session"]
    return session


def whole(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InputError(f"{name} is {limits.shown(text)}; give a whole number")
    return int(text)


async def received(request: Request, most: int, too_large: str) -> AsyncIterator[bytes]:
    """The body of a request, in parts.

    Raises:
        HTTPException: 413 beyond ``most`` bytes, 408 if the client falls silent, 400 if it breaks off.
    """
    parts, size = request.stream(), 0
    while True:
        try:
            with anyio.fail_after(limits.MOST_SILENCE):
                part = await anext(parts, None)
        except TimeoutError:
            raise HTTPException(408, f"nothing was received for {limits.MOST_SILENCE} s; try again") from None
        except ClientDisconnect:
            raise HTTPException(400, "the request was not received whole") from None
        if part is None:
            return
        size += len(part)
        if size > most:
            raise HTTPException(413, too_large)
        yield part


async def json_of(request: Request) -> dict[str, Any]:
    too_large = f"a request is at most {limits.MOST_BODY} bytes; shorten the prompt"
    body = b"".join([part async for part in received(request, limits.MOST_BODY, too_large)])
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the request is to be JSON") from None
    if not isinstance(fields, dict):
        raise HTTPException(422, "the request is to be a JSON object")
    return fields


def as_png(pixels: Any) -> Response:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return Response(
        file.getvalue(), media_type="image/png", headers={"Cache-Control": "private, max-age=3600"}
    )


def as_json(content: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(content, status, {"Cache-Control": "no-store"})


async def refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return as_json({"error": error.detail}, error.status_code)


async def mistake(_: Request, error: Exception) -> Response:
    """A user's mistake, in one line, and the option that it is in, if it is one's."""
    said = {"error": " ".join(str(error).split())}
    return as_json(said | {"field": error.field} if isinstance(error, FieldError) else said, 422)


async def fault(_: Request, error: Exception) -> Response:
    """A fault of the studio's own; the traceback is in the server's log."""
    return as_json({"error": f"the studio failed: {type(error).__name__}"}, 500)
