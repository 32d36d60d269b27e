"""Who somebody is: by OpenID Connect, or by a header of a proxy on this machine that has asked.

A connection keeps the identity that it began with, for `session_hours` at most. Streamlit resumes a
session only for the identity that it belongs to, since it is part of what it calls the user.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config
from streamlit.auth_util import get_cookie_with_chunks, validate_auth_credentials
from streamlit.errors import StreamlitAuthError
from streamlit.runtime.scriptrunner_utils.script_run_context import get_script_run_ctx
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette import starlette_app_utils
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from clickhouse.errors import ConfigError
from clickhouse.roles import AccessSettings

LOG = logging.getLogger(__name__)
# What the middleware tells the session, whatever the proxy's header is called; nobody else may.
OWN_HEADER, OWN_FIELD = "X-Pychart-Identity", "pychart_identity"
DEFAULT_PROVIDER = "default"  # what Streamlit calls that of [auth] itself
MOST_VALUE = 4000  # bytes of a header
MOST_DOWNLOADS, DOWNLOAD_SECONDS = 2000, 3600.0
POLICY_VIOLATION = 1008  # of RFC 6455


@dataclass(frozen=True)
class Identity:
    """Somebody whom the provider or the proxy vouches for; `key` tells two people apart."""

    name: str
    groups: tuple[str, ...] = ()
    key: str = ""


class Forged(Exception):
    """A request says who somebody is and may not; the text is for the log."""


# --- what a session or a request says ---


def of_session(access: AccessSettings) -> Identity | None:
    """Tell who the person is whose session runs this; None where that is not known any more."""
    context = get_script_run_ctx(suppress_warning=True)
    return of_user(access, context.user_info) if context else None


def of_user(access: AccessSettings, user: Mapping[str, Any]) -> Identity | None:
    """Read what Streamlit knows of a user."""
    if access.method == "header":
        return _of_own_header(user.get(OWN_FIELD))
    return _of_claims(access, user)


def has_expired(access: AccessSettings, user: Mapping[str, Any]) -> bool:
    """Tell whether somebody signed in too long ago."""
    issued = user.get("iat")
    if not isinstance(issued, (int, float)):
        return True
    return time.time() - issued > access.session_hours * 3600


def _of_own_header(value: object) -> Identity | None:
    if not isinstance(value, str) or not value:
        return None
    name, groups = json.loads(value)
    return Identity(name, tuple(groups), f"header {name}")


def _of_claims(access: AccessSettings, user: Mapping[str, Any]) -> Identity | None:
    name = user.get(access.user_claim)
    known = user.get("is_logged_in") is True and isinstance(name, str) and name
    if not known or user.get("provider") != (access.provider or DEFAULT_PROVIDER):
        return None
    if has_expired(access, user):
        return None
    # an address that nobody has checked is whatever its owner says
    if access.user_claim == "email" and user.get("email_verified") is not True:
        return None
    key = json.dumps(["oidc", str(user.get("iss")), str(user.get("sub"))])
    return Identity(str(name), _groups(access, user.get(access.groups_claim)), key)


def _groups(access: AccessSettings, found: object) -> tuple[str, ...]:
    if isinstance(found, str):
        found = found.split(access.groups_separator)
    if not isinstance(found, Sequence):
        return ()
    return tuple(group.strip() for group in found if isinstance(group, str) and group.strip())


def of_request(access: AccessSettings, headers: Headers) -> Identity | None:
    """Tell whose an HTTP request is, its headers being those that the middleware lets through."""
    if access.method == "header":
        return _of_own_header(headers.get(OWN_HEADER))
    return _of_claims(access, _of_cookie(headers))


def _of_cookie(headers: Headers) -> Mapping[str, Any]:
    """Read the user from the cookie that Streamlit has signed."""
    cookies: dict[str, str] = {}
    for part in "; ".join(headers.getlist("cookie")).split(";"):
        name, _, value = part.strip().partition("=")
        cookies.setdefault(name, value)

    def signed(name: str) -> bytes | None:
        if name not in cookies:
            return None
        secret, value = get_cookie_secret(), cookies[name].strip('"').encode("latin-1")
        return starlette_app_utils.decode_signed_value(secret, name, value)

    try:
        found = json.loads(get_cookie_with_chunks(signed, USER_COOKIE_NAME) or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


# --- files that were made for somebody ---


class Downloads:
    """Whose each downloaded file is: Streamlit would give it to whoever knows its address."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: OrderedDict[bytes, dict[str, float]] = OrderedDict()

    def own(self, content: str | bytes, owner: str) -> None:
        """Remember for whom a file was made."""
        with self._lock:
            known = self._owners.setdefault(_digest(content), {})
            known[owner] = time.monotonic()
            self._owners.move_to_end(_digest(content))
            while len(self._owners) > MOST_DOWNLOADS:
                self._owners.popitem(last=False)

    def may_have(self, content: bytes, owner: str) -> bool:
        """Tell whether a file was made for somebody, and not too long ago."""
        with self._lock:
            made = self._owners.get(_digest(content), {}).get(owner)
        return made is not None and time.monotonic() - made < DOWNLOAD_SECONDS


def _digest(content: str | bytes) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return hashlib.blake2b(data, digest_size=32).digest()


downloads = Downloads()


# --- the middleware ---


def middleware(access: AccessSettings | None) -> list[Middleware]:
    """Give what stands before Streamlit, and let it take over who somebody is."""
    if access is None:
        return []
    if access.method == "oidc":
        if access.secrets_file:
            config.set_option("secrets.files", [str(access.secrets_file)])
        _check_provider(access.provider)
    told = {OWN_HEADER: OWN_FIELD} if access.method == "header" else {}
    config.set_option("server.trustedUserHeaders", told)
    return [Middleware(IdentityMiddleware, access=access)]


def _check_provider(provider: str) -> None:
    """Refuse to start where nobody could sign in."""
    try:
        validate_auth_credentials(provider or DEFAULT_PROVIDER)
    except (StreamlitAuthError, FileNotFoundError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f'access.method "oidc" needs [auth] in secrets.toml: {said}') from error


class IdentityMiddleware:
    """Refuses forged identities, hands on true ones, and gives files to those they were made for.

    A request that carries one of the identity headers must come from a proxy on this machine, with
    each once, in ASCII and in the one spelling; any other is answered with 403, HTTP and websocket
    alike.
    """

    def __init__(self, app: ASGIApp, access: AccessSettings) -> None:
        self._app, self._access = app, access
        self._watched = {OWN_HEADER.lower()}
        if access.method == "header":
            self._watched |= {access.user_header.lower(), access.groups_header.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            scope = self._vouched(scope)
        except Forged as error:
            LOG.warning("refused: %s", error)
            await _refuse(scope, receive, send)
            return
        if scope["type"] == "websocket":
            with anyio.move_on_after(self._access.session_hours * 3600):
                await self._app(scope, receive, send)
        elif "/media/" in scope["path"]:
            await self._file(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _vouched(self, scope: Scope) -> Scope:
        """Put the identity in a header of our own, in the place of all that may name one."""
        found: dict[str, str] = {}
        others = []
        for raw, value in scope["headers"]:
            name = raw.decode("latin-1").lower()
            if name.replace("_", "-") not in self._watched:
                others.append((raw, value))
                continue
            found[name] = self._checked(scope, name, value, name in found)
        if self._access.method == "header":
            others += self._own(found)
        return {**scope, "headers": others}

    def _checked(self, scope: Scope, name: str, value: bytes, again: bool) -> str:
        peer = scope.get("client")
        if name == OWN_HEADER.lower() or name not in self._watched:
            raise Forged(f"header {name!r} from {peer}, which nobody may send")
        if not self._is_trusted(scope):
            raise Forged(f"header {name!r} from {peer}, which is no proxy on this machine")
        text = value.decode("latin-1")
        if again or not text.isascii() or len(text) > MOST_VALUE:
            raise Forged(f"header {name!r} twice, not in ASCII, or too long: {text[:200]!r}")
        if text and not text.isprintable():
            raise Forged(f"header {name!r} with control characters: {text[:200]!r}")
        return text.strip()

    def _is_trusted(self, scope: Scope) -> bool:
        peer = scope.get("client")
        if peer is None:
            # a peer that has hung up has no address either, but the socket then has a port
            server = scope.get("server")
            own = server is not None and server[1] is None
            return own and "unix" in self._access.trusted_peers
        try:
            address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return "loopback" in self._access.trusted_peers and mapped.is_loopback

    def _own(self, found: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
        name = found.get(self._access.user_header.lower(), "")
        if not name:
            return []
        groups = _groups(self._access, found.get(self._access.groups_header.lower(), ""))
        told = json.dumps([name, groups])
        return [(OWN_HEADER.lower().encode(), told.encode("ascii"))]

    async def _file(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give a file that is made for downloading to whom it was made for, whole."""
        known = of_request(self._access, Headers(scope=scope))
        owner = known.key if known else ""
        whole = [(name, value) for name, value in scope["headers"] if name.lower() != b"range"]
        held: list[Message] = []

        async def checked(message: Message) -> None:
            held.append(message)
            if message.get("more_body") or message["type"] == "http.response.start":
                return
            begin = next(each for each in held if each["type"] == "http.response.start")
            body = b"".join(each.get("body", b"") for each in held)
            if b"content-disposition" in {name.lower() for name, _ in begin["headers"]} and not (
                scope["method"] == "GET" and downloads.may_have(body, owner)
            ):
                answer = PlainTextResponse("there is no such file\n", status_code=404)
                await answer(scope, receive, send)
                return
            for each in held:
                await send(each)

        await self._app({**scope, "headers": whole}, receive, checked)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})  # 403 before the accept
        return
    text = "this request says who somebody is, and may not\n"
    await PlainTextResponse(text, status_code=403)(scope, receive, send)
