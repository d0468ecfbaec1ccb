"""Who may talk to the page: its own host and origin, with the password if there is one, each in a session."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import re
import secrets
import socket
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lumiere.errors import InputError
from lumiere.studio.store import session_of

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_TOKEN = re.compile(r"[0-9a-f]{64}")
_YEAR = 365 * 24 * 3600
_SAFE_METHODS = {"GET", "HEAD"}
LEAST_PASSWORD = 8


def is_local(host: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_password(host: str, password: str | None) -> None:
    """Raise :class:`InputError` for an address that others reach, without a password."""
    if password is not None and len(password) < LEAST_PASSWORD:
        raise InputError(f"the password has {len(password)} characters; give {LEAST_PASSWORD} or more")
    if password is None and not is_local(host):
        raise InputError(
            f"--listen {host} opens the studio to other machines; "
            "give a --password, or set LUMIERE_STUDIO_PASSWORD"
        )


class Guard:
    """ASGI middleware: refuses foreign hosts and origins, asks for the password, and names the session.

    The Host header is checked against names that an attacker's DNS cannot point here (DNS rebinding), and the
    Origin header against the Host, so that no other site's page sends anything (CSRF).

    Args:
        port: of the server, part of the cookie's name: cookies do not tell ports apart.
        password: for HTTP Basic authentication with any user name; None for none.
        names: further host names of this machine.
    """

    def __init__(self, app: ASGIApp, port: int, password: str | None, names: frozenset[str]) -> None:
        self.app, self.password = app, password
        self.cookie = f"lumiere-{port}"
        self.names = frozenset({"localhost", *names})
        if password is not None:
            self.names |= {socket.gethostname().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if (problem := self._problem(scope["method"], headers)) is not None:
            await self._refuse(problem, 403, scope, receive, send)
            return
        if not self._knows_password(headers.get("authorization", "")):
            await self._refuse("the password is missing or wrong", 401, scope, receive, send)
            return
        token = self._token(headers.get("cookie", ""))
        is_new = token is None
        token = token or secrets.token_hex(32)
        scope["session"] = session_of(token)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    sent.setdefault(name, value)
                if is_new:
                    about = f"Path=/; Max-Age={_YEAR}; HttpOnly; SameSite=Strict"
                    sent.append("Set-Cookie", f"{self.cookie}={token}; {about}")
            await send(message)

        await self.app(scope, receive, with_headers)

    def _problem(self, method: str, headers: Headers) -> str | None:
        hosts = headers.getlist("host")
        host = hosts[0].lower() if len(hosts) == 1 else ""
        if not self._is_ours(host):
            return (
                "this host name is not the studio's; open the address that it printed, or give --allow-host"
            )
        origin = headers.get("origin")
        if origin is not None and (origin == "null" or urlsplit(origin).netloc.lower() != host):
            return "the request comes from another site's page"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and (
            method not in _SAFE_METHODS or headers.get("sec-fetch-mode") != "navigate"
        ):
            return "the request comes from another site's page"
        return None

    def _is_ours(self, host: str) -> bool:
        name = urlsplit(f"//{host}").hostname if re.fullmatch(r"[\w.:\[\]-]+", host) else None
        if name is None:
            return False
        if name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # No DNS is asked for a literal address.
        return address.is_loopback or self.password is not None

    def _knows_password(self, authorization: str) -> bool:
        if self.password is None:
            return True
        try:
            kind, _, encoded = authorization.partition(" ")
            given = base64.b64decode(encoded, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return False
        return kind.lower() == "basic" and hmac.compare_digest(given, self.password.encode())

    def _token(self, cookies: str) -> str | None:
        try:
            morsel = SimpleCookie(cookies).get(self.cookie)
        except CookieError:
            return None
        return morsel.value if morsel is not None and _TOKEN.fullmatch(morsel.value) else None

    async def _refuse(self, problem: str, status: int, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {**_HEADERS, "Cache-Control": "no-store"}
        if status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="Lumiere studio", charset="UTF-8"'
        await JSONResponse({"error": problem}, status, headers)(scope, receive, send)
