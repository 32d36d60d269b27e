"""What stands between the network and Streamlit: hosts, origins, paths, numbers, and headers.

A request is refused before Streamlit sees it where it asks by another name than ours (DNS
rebinding), comes from another site's page, or wants a path that the app does not need.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import logging
import re
import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

LOG = logging.getLogger(__name__)
MOST_SESSIONS = 600  # open pages of all people
MOST_SESSIONS_PER_ADDRESS = 100  # people behind one address translation share it
OPEN = frozenset({"/_stcore/health", "/_stcore/host-config", "/_stcore/stream", "/api/ready"})
CLOSED = ("/_stcore", "/component", "/api", "/app", "/auth", "/oauth2callback")
LOGIN = frozenset({"/auth/login", "/auth/logout", "/oauth2callback"})
READY = "/api/ready"
INDEX = Path(streamlit.__file__).parent / "static" / "index.html"
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_DENIED_FEATURES = (
    "accelerometer", "autoplay", "bluetooth", "camera", "display-capture", "encrypted-media",
    "geolocation", "gyroscope", "hid", "magnetometer", "microphone", "midi", "payment",
    "picture-in-picture", "publickey-credentials-get", "screen-wake-lock", "serial", "usb",
    "xr-spatial-tracking",
)  # fmt: skip


def content_security_policy(index: str) -> str:
    """Say what a page may load: everything from here, no inline script but those of `index`."""
    scripts = [hashlib.sha256(text.encode()).digest() for text in _INLINE_SCRIPT.findall(index)]
    hashes = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in scripts]
    return "; ".join(
        (
            "default-src 'none'",
            # compiled code for numbers of 64 bits; JavaScript from text stays forbidden
            " ".join(("script-src 'self' 'wasm-unsafe-eval'", *hashes)),
            "style-src 'self' 'unsafe-inline'",  # colours and widths that Streamlit computes
            "img-src 'self' data: blob:",  # pictures of charts, icons within style sheets
            "font-src 'self' data:",
            "connect-src 'self'",
            "manifest-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


def headers_of_every_answer() -> dict[str, str]:
    """Give the headers that every answer gets."""
    return {
        "Content-Security-Policy": content_security_policy(INDEX.read_text("utf-8")),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": ", ".join(f"{name}=()" for name in _DENIED_FEATURES),
        "Referrer-Policy": "same-origin",  # addresses hold names
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


class Hosts:
    """The names by which the app may be asked.

    Any address and the machine's own names, unless some are given: a page elsewhere that lets its
    name lead here (DNS rebinding) still has its own name.
    """

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        """Take names, `*.example.org` for all below one; none means those of the machine."""
        own = () if allowed else ("localhost", socket.gethostname(), socket.getfqdn())
        self._names = {_plain(name) for name in (*allowed, *own)}
        self._any_address = not allowed

    def allows(self, host: str | None) -> bool:
        """Tell whether a Host header names one of them, on whatever port."""
        name = _host_name(host or "")
        if not name:
            return False
        if self._any_address and _is_address(name):
            return True
        above = name.partition(".")[2]
        return name in self._names or bool(above) and f"*.{above}" in self._names


def _plain(name: str) -> str:
    return name.strip().lower().rstrip(".").strip("[]")


def _host_name(host: str) -> str:
    """Give the name in a Host header; nothing where it is none."""
    found = re.fullmatch(r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?", host)
    return _plain(found[1]) if found else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_near(connection: HTTPConnection) -> bool:
    """Tell whether the other end of a connection is on this machine: loopback or a socket file."""
    if connection.client is None:
        return True
    try:
        address = ipaddress.ip_address(connection.client.host.partition("%")[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


class Protection:
    """The middleware; it comes first."""

    def __init__(self, app: ASGIApp, hosts: Hosts, login: bool = False) -> None:
        """Stand before `app`; `login` opens the paths by which people log in."""
        self._app, self._hosts, self._login = app, hosts, login
        self._headers = headers_of_every_answer()
        self._sessions: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let it through."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if refused := self._refusal(connection):
            await _refuse(scope, receive, self._adding_headers(scope, send), *refused)
        elif scope["type"] == "websocket":
            with self._place(address_of(connection)):
                await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, self._adding_headers(scope, send))

    def _refusal(self, connection: HTTPConnection) -> tuple[int, str] | None:
        """Give status and reason where a request must not go further."""
        hosts = connection.headers.getlist("host")
        if len(hosts) != 1 or not self._hosts.allows(hosts[0]):
            named = hosts[0][:100] if hosts else ""
            return (
                421,
                f"{named!r} is not a name of this service; see allowed_hosts in the settings",
            )
        path = connection.scope["path"]
        if not path.isprintable() or "\\" in path:
            return 400, "there is no such path"
        if not self._is_open(path) or (path == READY and not _is_direct(connection)):
            return 404, "not found"
        if connection.scope["type"] == "websocket":
            return self._refusal_of_session(connection)
        if connection.scope["method"] not in ("GET", "HEAD"):
            return 405, "only GET and HEAD are answered"
        return None

    def _is_open(self, path: str) -> bool:
        if path in OPEN or self._login and path in LOGIN:
            return True
        return not any(path == closed or path.startswith(f"{closed}/") for closed in CLOSED)

    def _refusal_of_session(self, connection: HTTPConnection) -> tuple[int, str] | None:
        if connection.scope["path"] != "/_stcore/stream":
            return 404, "not found"
        origins = connection.headers.getlist("origin")
        if any(not _is_own(origin, connection.headers["host"]) for origin in origins):
            return 403, "a page of another site asks"
        here = self._sessions[address_of(connection)]
        if here >= MOST_SESSIONS_PER_ADDRESS or self._sessions.total() >= MOST_SESSIONS:
            LOG.warning("no place for one more page of %s", address_of(connection))
            return 503, "too many pages are open; try again in a minute"
        return None

    @contextmanager
    def _place(self, address: str) -> Iterator[None]:
        self._sessions[address] += 1
        try:
            yield
        finally:
            self._sessions[address] -= 1
            if not self._sessions[address]:
                del self._sessions[address]

    def _adding_headers(self, scope: Scope, send: Send) -> Send:
        private = scope["path"].startswith("/media/")

        async def sending(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                if private:
                    headers["Cache-Control"] = "private, no-store"
            await send(message)

        return sending


def address_of(connection: HTTPConnection) -> str:
    """Give where a request comes from: from a proxy on this machine, what that one was asked by."""
    if is_near(connection) and (forwarded := _last(connection.headers, "x-forwarded-for")):
        return forwarded
    return connection.client.host if connection.client else ""


def _last(headers: Headers, name: str) -> str:
    """Give the last of several values: the one that the nearest proxy wrote."""
    return ",".join(headers.getlist(name)).rpartition(",")[2].strip()


def _is_direct(connection: HTTPConnection) -> bool:
    """Tell whether this machine itself asks, not someone through a proxy on it."""
    through: Iterable[str] = ("x-forwarded-for", "x-real-ip", "forwarded", "via")
    return is_near(connection) and not any(name in connection.headers for name in through)


def _is_own(origin: str, host: str) -> bool:
    try:
        found = urlsplit(origin)
    except ValueError:
        return False
    ports = {"http": ":80", "https": ":443"}
    usual = ports.get(found.scheme)
    if usual is None:
        return False
    return found.netloc.lower().removesuffix(usual) == host.lower().removesuffix(usual)


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, reason: str) -> None:
    retry: dict[str, Any] = {"Retry-After": "60"} if status == 503 else {}
    answer = PlainTextResponse(f"{reason}\n", status, headers=retry | {"Connection": "close"})
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(answer)
    else:
        await answer(scope, receive, send)
