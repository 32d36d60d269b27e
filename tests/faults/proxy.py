"""A proxy between the loader and the server that spoils what it is told to.

It reads one HTTP request whole, asks its rule what to do with it, and does that.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

Rule = Callable[["Request"], "Action | None"]


@dataclass(frozen=True)
class Request:
    """One request; `statement` is its query, from the address or the beginning of the body."""

    head: bytes
    body: bytes

    def is_insert(self, table: str) -> bool:
        """Whether rows are sent to this table."""
        said = (self.head.split(b"\r\n", 1)[0] + self.body[:200]).replace(b"+", b" ")
        said = said.replace(b"%20", b" ").replace(b"`", b"").replace(b"%60", b"")
        return b"INSERT INTO " + table.encode() in said


@dataclass(frozen=True)
class Action:
    """What happens to a request instead of passing through; exactly one of these."""

    answer: bytes = b""  # answered so, and not passed on
    cut_after: int = -1  # so many bytes are passed on, then both connections end
    lose_reply: bool = False  # passed on whole, and the connection ends before the reply
    swallow_reply: bool = False  # passed on whole, and no reply ever comes
    wrong_password: bool = False  # passed on with another password
    refuse: bool = False  # the connection ends at once
    delay: float = 0.0  # seconds before it is passed on


def answer(status: str, body: bytes = b"", **headers: str) -> Action:
    """An answer of the proxy's own: `answer("503 Service Unavailable")`."""
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{''.join(lines)}\r\n"
    return Action(answer=head.encode() + body)


def exception(code: int, text: str, status: str = "500 Internal Server Error") -> Action:
    """A server's refusal, as ClickHouse words it."""
    body = f"Code: {code}. DB::Exception: {text}. (version 26.7.3)".encode()
    return answer(status, body, X_ClickHouse_Exception_Code=str(code))


@dataclass
class Proxy:
    """Listens on `port` of the loopback while it is a context; `rule` may be changed any time."""

    to_port: int
    rule: Rule = lambda request: None
    port: int = 0
    spoiled: int = 0
    requests: list[float] = field(default_factory=list)  # when each came, monotonic
    _listener: socket.socket = field(default_factory=socket.socket)

    def __enter__(self) -> Self:
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def first(self, count: int, matching: Callable[[Request], bool], action: Action) -> None:
        """Spoil the first requests that match, and no more."""
        left = iter(range(count))
        lock = threading.Lock()

        def rule(request: Request) -> Action | None:
            with lock:
                spoil = matching(request) and next(left, None) is not None
            return action if spoil else None

        self.rule = rule

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.socket() as server:
            server.connect(("127.0.0.1", self.to_port))
            while request := read_request(client):
                self.requests.append(time.monotonic())
                action = self.rule(request)
                if action is None:
                    server.sendall(request.head + request.body)
                    client.sendall(read_reply(server))
                    continue
                self.spoiled += 1
                if not self._spoil(request, action, client, server):
                    return

    def _spoil(
        self, request: Request, action: Action, client: socket.socket, server: socket.socket
    ) -> bool:
        """Do what is to be done; whether the connection goes on."""
        whole = request.head + request.body
        if action.answer:
            client.sendall(action.answer)
            return True
        if action.refuse:
            return False
        if action.cut_after >= 0:
            server.sendall(request.head + request.body[: action.cut_after])
            time.sleep(0.05)
            return False
        if action.wrong_password:
            whole = wrong_password(whole)
        time.sleep(action.delay)
        server.sendall(whole)
        reply = read_reply(server)
        if action.lose_reply:
            return False
        if action.swallow_reply:
            client.recv(1)  # until the client gives up
            return False
        client.sendall(reply)
        return True


def wrong_password(whole: bytes) -> bytes:
    """The same request, its Authorization header that of `default:wrong`."""
    head, body = whole.split(b"\r\n\r\n", 1)
    kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"authorization:")]
    kept.append(b"Authorization: Basic ZGVmYXVsdDp3cm9uZw==")
    return b"\r\n".join(kept) + b"\r\n\r\n" + body


def read_request(stream: socket.socket) -> Request | None:
    head, rest = read_head(stream)
    return Request(head, read_body(stream, head, rest)) if head else None


def read_reply(stream: socket.socket) -> bytes:
    head, rest = read_head(stream)
    if not head:
        raise OSError("the server ended without an answer")
    return head + read_body(stream, head, rest)


def read_head(stream: socket.socket) -> tuple[bytes, bytes]:
    """The head with its empty line, and what came after it already."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = stream.recv(65536)
        if not piece:
            return b"", b""
        data += piece
    head, rest = data.split(b"\r\n\r\n", 1)
    return head + b"\r\n\r\n", rest


def read_body(stream: socket.socket, head: bytes, rest: bytes) -> bytes:
    """The body as it came, chunk sizes and all."""
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        body = bytearray(rest)
        while not chunks_end(body):
            body += receive(stream)
        return bytes(body)
    if b"content-length:" not in lower:
        return rest
    length = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
    body = bytearray(rest)
    while len(body) < length:
        body += receive(stream)
    return bytes(body)


def chunks_end(body: bytearray) -> bool:
    """Whether the last chunk, of size 0, has come; walked, as data may hold any bytes."""
    at = 0
    while (line := body.find(b"\r\n", at)) >= 0:
        size = int(bytes(body[at:line]).split(b";")[0], 16)
        if size == 0:
            return body.find(b"\r\n\r\n", line) >= 0 or body[line:] == b"\r\n\r\n"
        at = line + 2 + size + 2
        if at > len(body):
            return False
    return False


def receive(stream: socket.socket) -> bytes:
    piece = stream.recv(1024 * 1024)
    if not piece:
        raise OSError("cut off")
    return piece
