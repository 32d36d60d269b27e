"""Databases of the tests' server: emptied and handed on, since making one takes a second.

pool = Pool(server)
with pool.migrated() as url: ...   # empty, and as `pychart migrate` leaves it
with pool.none_yet() as url: ...   # does not exist yet
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from clickhouse.connection import Warehouse
from clickhouse.errors import WarehouseError
from clickhouse.migrate import migrate
from clickhouse.settings import Settings
from tests.server import QueryRefused, RunningServer

_numbers = itertools.count(1)

STORED = "SELECT name FROM system.tables WHERE database = '{name}' AND engine LIKE '%MergeTree'"
# All that a test may have changed but the rows, without the name of the database.
MADE = """SELECT groupBitXor(sipHash64(made)) FROM (
    SELECT replaceAll(create_table_query, '{name}', '') AS made FROM system.tables
    WHERE database = '{name}'
    UNION ALL SELECT concat(toString(version), name, checksum) FROM {name}.migrations
    UNION ALL SELECT name FROM system.row_policies WHERE database = '{name}')"""


@dataclass
class Pool:
    """The databases of one server that are free, and what a test must leave behind in one."""

    server: RunningServer
    free: list[str] = field(default_factory=list)
    made: str = ""

    @contextmanager
    def none_yet(self) -> Iterator[str]:
        """URL of a database that does not exist yet; it is dropped."""
        self.server.revive()
        name = f"pychart_test_{os.getpid()}_{next(_numbers)}"
        yield self.server.url(name)
        self._drop(name)

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """URL of an empty database with its tables; it is emptied, or dropped if it is another."""
        self.server.revive()
        name = self.free.pop() if self.free else self._make()
        yield self.server.url(name)
        keeps_log = self.server.data_dir is None  # it would remember who has asked in this one
        if not keeps_log and self._is_as_made(name):
            self._empty(name)
            self.free.append(name)
        else:
            self._drop(name)

    def _make(self) -> str:
        name = f"pychart_pool_{os.getpid()}_{next(_numbers)}"
        self._migrate(name, create=True)
        self.made = self.made or self._ask(MADE, name)
        return name

    def _is_as_made(self, name: str) -> bool:
        try:
            if self._ask(MADE, name) != self.made:
                self._migrate(name)  # the settings of a test are in its views
            return self._ask(MADE, name) == self.made
        except (WarehouseError, QueryRefused):
            return False

    def _migrate(self, name: str, create: bool = False) -> None:
        # the usual month, but said: else the views of other settings would stay as they are
        usual = Settings(database=self.server.url(name), academic_year_starts=9)
        with Warehouse(usual, create=create) as opened:
            migrate(opened)

    def _empty(self, name: str) -> None:
        for table in self._ask(STORED, name).split():
            if table != "migrations":
                self.server.query(f"TRUNCATE TABLE {name}.{table} SYNC")

    def _drop(self, name: str) -> None:
        self.server.query(f"DROP DATABASE IF EXISTS {name} SYNC")

    def _ask(self, sql: str, name: str) -> str:
        return self.server.query(sql.format(name=name))
