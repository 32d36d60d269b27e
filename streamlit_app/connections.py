"""Connections of the web server: only so many, and each asks within a few seconds."""

from __future__ import annotations

import asyncio
import resource

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 2000
SPARE_FILES = 256  # that the process opens besides connections
REQUEST_SECONDS = 10.0  # in which line and headers of a request must have come
# Of a request's line and headers: a statement of 10,000 characters may be in an address, and a
# login's cookies take some.
MOST_HEADER_BYTES = 64 * 1024
MOST_MESSAGE_BYTES = 1024 * 1024  # of a browser's message; the longest statement is 20,000
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nretry-after: 10\r\n"
    b"connection: close\r\ncontent-length: 40\r\n\r\ntoo many connections; try again in 10 s\n"
)


def allow_files() -> None:
    """Let the process open as many files as it may: a connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def most_connections() -> int:
    """Give how many connections there may be at once."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if files < 0 else max(1, min(MOST_CONNECTIONS, files - SPARE_FILES))


class GuardedProtocol(H11Protocol):
    """One connection, with a limit to their number and to the time that a request takes to come."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection in, or answer that there are too many."""
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            transport.write(FULL)
            transport.close()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        """Take some bytes of a request."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_watching()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Begin to count the seconds where a request is awaited; more bytes give no more time."""
        if self.conn.their_state is not h11.IDLE:
            self._stop_watching()
        elif self._late is None:
            self._late = self.loop.call_later(REQUEST_SECONDS, self.transport.close)

    def _stop_watching(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
