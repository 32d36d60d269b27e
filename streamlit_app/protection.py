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
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import streamlit
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from streamlit_app.connections import MOST_HEADER_BYTES

LOG = logging.getLogger(__name__)
MOST_SESSIONS = 600  # open pages of all people
MOST_SESSIONS_PER_ADDRESS = 100  # people behind one address translation share it
# What a browser may ask for: so much at once, then so much a second. Each message can start a run
# of the page, in a thread of its own.
SESSION_PACE, ADDRESS_PACE = (30.0, 10.0), (200.0, 40.0)
OPEN = frozenset({"/_stcore/health", "/_stcore/host-config", "/_stcore/stream", "/api/ready"})
CLOSED = ("/_stcore", "/component", "/api", "/app", "/auth", "/oauth2callback")
LOGIN = frozenset({"/auth/login", "/auth/logout", "/oauth2callback"})
READY = "/api/ready"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
HERE = "this machine"  # or a proxy on it that does not say for whom it asks
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
    """The names by which the app may be asked; those of the loopback are, for checks of its health.

    Any address and the machine's own names, unless some are given: a page elsewhere that lets its
    name lead here (DNS rebinding) still has its own name.
    """

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        """Take names, `*.example.org` for all below one; none means those of the machine."""
        own = () if allowed else (socket.gethostname(), socket.getfqdn())
        self._names = {_plain(name) for name in (*LOOPBACK, *allowed, *own)}
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


class Pace:
    """So many at once, and then so many a second."""

    def __init__(self, at_once: float, per_second: float) -> None:
        """Begin with all of them free."""
        self._most, self._per_second = at_once, per_second
        self._free, self._seen = at_once, time.monotonic()

    def take(self) -> float:
        """Take one; gives the seconds to wait for it."""
        now = time.monotonic()
        gained = (now - self._seen) * self._per_second
        self._free, self._seen = min(self._most, self._free + gained) - 1, now
        return max(0.0, -self._free / self._per_second)


def _unhurried(receive: Receive, paces: Iterable[Pace]) -> Receive:
    """Take messages no faster than these; who sends more waits, and so does what was sent."""

    async def receiving() -> Message:
        message = await receive()
        if message["type"] == "websocket.receive":
            await anyio.sleep(max(pace.take() for pace in paces))
        return message

    return receiving


class Protection:
    """The middleware; it comes first."""

    def __init__(self, app: ASGIApp, hosts: Hosts, login: bool = False) -> None:
        """Stand before `app`; `login` opens the paths by which people log in."""
        self._app, self._hosts, self._login = app, hosts, login
        self._headers = headers_of_every_answer()
        self._sessions: Counter[str] = Counter()
        self._paces: dict[str, Pace] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let it through."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if refused := self._refusal(connection):
            await _refuse(scope, receive, self._adding_headers(scope, send), *refused)
        elif scope["type"] == "websocket":
            with self._place(address_of(connection)) as shared:
                pace = Pace(*SESSION_PACE)
                await self._app(scope, _unhurried(receive, (pace, shared)), send)
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
        if _size(connection) > MOST_HEADER_BYTES:
            return 431, "the address or the headers are too long"
        path = connection.scope["path"]
        if not path.isprintable() or "\\" in path:
            return 400, "there is no such path"
        if not self._is_open(path) or (path == READY and not _is_direct(connection)):
            return 404, "not found"
        if connection.scope["type"] == "websocket":
            return self._refusal_of_session(connection)
        if connection.scope["method"] not in ("GET", "HEAD"):
            return 405, "only GET and HEAD are answered"
        if connection.headers.get("content-length", "0") != "0" or _is_chunked(connection):
            return 413, "nothing can be sent here"
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
        address = address_of(connection)
        too_many = address != HERE and self._sessions[address] >= MOST_SESSIONS_PER_ADDRESS
        if too_many or self._sessions.total() >= MOST_SESSIONS:
            LOG.warning("no place for one more page of %s", address)
            return 503, "too many pages are open; try again in a minute"
        return None

    @contextmanager
    def _place(self, address: str) -> Iterator[Pace]:
        """Keep a place for one page; gives the pace that those of an address have together."""
        self._sessions[address] += 1
        pace = self._paces.setdefault(address, Pace(*ADDRESS_PACE))
        try:
            yield Pace(*ADDRESS_PACE) if address == HERE else pace
        finally:
            self._sessions[address] -= 1
            if not self._sessions[address]:
                del self._sessions[address], self._paces[address]

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
    if is_near(connection):
        return _last(connection.headers, "x-forwarded-for") or HERE
    return connection.client.host if connection.client else HERE


def _last(headers: Headers, name: str) -> str:
    """Give the last of several values: the one that the nearest proxy wrote."""
    return ",".join(headers.getlist(name)).rpartition(",")[2].strip()


def _is_direct(connection: HTTPConnection) -> bool:
    """Tell whether this machine itself asks, not someone through a proxy on it."""
    through: Iterable[str] = ("x-forwarded-for", "x-real-ip", "forwarded", "via")
    return is_near(connection) and not any(name in connection.headers for name in through)


def _size(connection: HTTPConnection) -> int:
    """Count the bytes of a request's address and headers; the server looks at them by the piece."""
    scope = connection.scope
    address = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    return address + sum(len(name) + len(value) for name, value in scope["headers"])


def _is_chunked(connection: HTTPConnection) -> bool:
    return "transfer-encoding" in connection.headers


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
