"""Keeps connections to a database: made when they are needed, lent to one user at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from clickhouse.errors import WarehouseError


class Closable(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """End it."""


Connection = TypeVar("Connection", bound=Closable)


class Pool(Generic[Connection]):
    """Up to `most` connections that `make` gives; who finds none free waits for one."""

    def __init__(self, make: Callable[[], Connection], most: int) -> None:
        """Make none yet."""
        self._make = make
        self._room = threading.Semaphore(most)
        self._idle: list[Connection] = []  # the one that was used last is used next
        self._all: list[Connection] = []
        self._closed = False

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        """Lend a connection for the `with` block; raises what `make` raises."""
        with self._room:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._made()
            try:
                yield connection
            finally:
                self._idle.append(connection)

    def _made(self) -> Connection:
        self._refuse_if_closed()
        connection = self._make()
        self._all.append(connection)
        try:
            self._refuse_if_closed()
        except WarehouseError:  # meanwhile
            connection.close()
            raise
        return connection

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise WarehouseError("the database has been closed")

    def close(self) -> None:
        """Close all of them; none is made from here on."""
        self._closed = True
        self._idle.clear()
        while self._all:
            self._all.pop().close()
