"""Opens the warehouse: the embedded engine (chDB) or a ClickHouse server, behind one class.

The only module that imports the driver. Every failure of it leaves here as one of `errors`.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self, cast
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from clickhouse.errors import ConfigError, WarehouseBusy, WarehouseError
from clickhouse.failures import translate
from clickhouse.pool import Pool
from clickhouse.scope import EVERYTHING
from clickhouse.settings import Settings, without_password
from clickhouse.shards import Shards, of_engine

# The embedded engine's own `default` takes a file of the current folder for a table of its name.
EMBEDDED_DATABASE = "pychart"
EMBEDDED_CLIENTS = 4  # queries that run side by side; one client serialises its own
CLIENTS = EMBEDDED_CLIENTS + 2  # and what is asked beside them, which need not wait

SESSION_SETTINGS: dict[str, Any] = {
    # Rows that share a key are copies of one line: whatever is filtered on is equal in all of them.
    "do_not_merge_across_partitions_select_final": 1,
    "optimize_move_to_prewhere_if_final": 1,
    # Making machine code of expressions takes longer than it saves, on 30 million lines too.
    "compile_expressions": 0,
    "compile_aggregate_expressions": 0,
    "compile_sort_description": 0,
}
# Of a cluster: a shard that is not there is an error, a list of names is made once for all shards,
# and of each shard's replicas the same one answers, whichever server is asked: a question finds
# what it was told of, and what was written is read again.
CLUSTER_SETTINGS = {
    "skip_unavailable_shards": 0,
    "distributed_product_mode": "global",
    "load_balancing": "in_order",
    "prefer_localhost_replica": 0,
    # A slow replica is not answered for by another. The other two: an engine was seen to end with a
    # server that it was connected to, less often without them.
    "use_hedged_requests": 0,
    "async_socket_for_remote": 0,
    "async_query_sending_for_remote": 0,
}
# Stated on each insert, since defaults differ by version: rows are there when it returns, and no
# token or hash may drop a block (one that was lost half way would be taken for a repetition).
WRITE_SETTINGS = {
    "async_insert": 0,
    "deduplicate_insert": "disable",
    "deduplicate_blocks_in_dependent_materialized_views": 0,
    "distributed_foreground_insert": 1,
    "insert_deduplicate": 0,
    "materialized_views_ignore_errors": 0,
}

for _library in ("urllib3", "clickhouse_connect"):  # their failures arrive here as errors
    logging.getLogger(_library).setLevel(logging.CRITICAL)

# How often this process has each embedded database open: its own lock is none to itself.
_open_here: Counter[Path] = Counter()


class SupportsRead(Protocol):
    """What gives bytes piece by piece until there are none."""

    def read(self, size: int = -1, /) -> bytes | memoryview:
        """Give the next piece, empty at the end."""


class Warehouse:
    """One open database; safe to use from several threads. Use it as a context manager.

    `coverage` tells of the rollups, where one look at them is for several questions.
    """

    coverage: Callable[[], Any] | None = None

    def __init__(
        self, settings: Settings, *, create: bool = False, read_only: bool = False
    ) -> None:
        """Open the database of `settings`; `create` makes it where it does not exist.

        With `read_only` its connections can neither write nor be told to.
        """
        self.settings = settings
        self._session = SESSION_SETTINGS | ({"readonly": 2} if read_only else {})
        self.embedded = settings.database.startswith("chdb://")
        self._open = False
        # row policies, see `policies.py`; a query for someone says so itself
        self._session |= {} if self.embedded else {"log_comment": EVERYTHING}
        self._session |= {} if self.embedded else CLUSTER_SETTINGS
        if self.embedded:
            self._open_embedded(create)
        else:
            self._open_server(create)

    def __enter__(self) -> Self:
        """Give the open warehouse itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close every connection; an embedded database is then free for another process."""
        for pool in (self._questions, self._work):
            pool.close()
        if self._open and self.embedded:
            _open_here[_folder(self.settings).resolve()] -= 1
        self._open = False

    def arrow(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> pa.Table:
        """Answer a query as an Arrow table; values travel as bound `{name:Type}` parameters."""
        with self._client(sql) as client:
            return client.query_arrow(
                sql,
                parameters=dict(parameters or {}),
                settings=self._limits() | dict(settings or {}),
            )

    def rows(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Sequence[Sequence[Any]]:
        """Answer a query as rows of Python values."""
        with self._client(sql) as client:
            result = client.query(
                sql,
                parameters=dict(parameters or {}),
                settings=self._limits() | dict(settings or {}),
            )
            return list(result.result_rows)

    def text(
        self,
        sql: str,
        format_name: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Answer a query in one of ClickHouse's own output formats."""
        with self._client(sql) as client:
            return client.raw_query(
                sql,
                parameters=dict(parameters or {}),
                fmt=format_name,
                settings=self._limits() | dict(settings or {}),
            )

    def command(
        self,
        sql: str,
        settings: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        """Run a statement that gives no rows."""
        with self._client(sql, self._work) as client:
            client.command(sql, parameters=dict(parameters or {}), settings=dict(settings or {}))

    def insert(
        self,
        table: str,
        columns: Sequence[str],
        row_binary: SupportsRead,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Insert rows that are encoded as RowBinary."""
        with self._client(table, self._work) as client:
            client.raw_insert(
                table,
                column_names=list(columns),
                insert_block=cast(BinaryIO, row_binary),
                fmt="RowBinary",
                settings=self._write_settings | dict(settings or {}),
            )

    def insert_rows(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Insert a few rows of Python values, acknowledged once they are stored."""
        # not the driver's own insert of rows: that one loads pandas
        records = (dict(zip(columns, row, strict=True)) for row in rows)
        content = "\n".join(json.dumps(record, ensure_ascii=False) for record in records)
        with self._client(table, self._work) as client:
            client.raw_insert(
                table,
                column_names=list(columns),
                insert_block=content.encode("utf-8", "surrogateescape"),
                fmt="JSONEachRow",
                settings=self._write_settings,
            )

    @cached_property
    def shards(self) -> Shards | None:
        """Where the rows are, on a cluster; None where they are here."""
        if self.embedded:
            return None
        found = self.rows(
            "SELECT engine_full FROM system.tables"
            " WHERE database = currentDatabase() AND name = 'accounting'"
        )
        return of_engine(str(found[0][0])) if found else None

    def look_again(self) -> None:
        """Forget where the rows are: the tables have been made since."""
        self.__dict__.pop("shards", None)

    @cached_property
    def _write_settings(self) -> dict[str, Any]:
        found = self.rows(
            "SELECT name FROM system.settings WHERE name IN {names:Array(String)}",
            {"names": list(WRITE_SETTINGS)},
        )
        known = {str(row[0]) for row in found}
        return {name: value for name, value in WRITE_SETTINGS.items() if name in known}

    def _limits(self) -> dict[str, Any]:
        """Give the limits of a question; an embedded one's are its connection's.

        There, each setting of a single call takes longer than most questions do.
        """
        return {} if self.embedded else {"max_execution_time": self.settings.query_seconds}

    @contextmanager
    def _client(self, what: str, pool: Pool[Client] | None = None) -> Iterator[Client]:
        with (pool or self._questions).lend() as client:
            try:
                yield client
            except (ClickHouseError, RuntimeError) as error:
                if self.embedded:
                    _discard_output(client)
                raise self._told(error, what) from error

    def _open_embedded(self, create: bool) -> None:
        path = _folder(self.settings)
        if not create and not path.is_dir():
            raise WarehouseError(f"{path}: no such database; load a file first")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WarehouseError(f"{path}: {error.strerror}") from error
        _refuse_if_locked(path, self.settings.database)
        options = {"interface": "chdb", "path": str(path)}
        connect = partial(self._connect, options | {"database": EMBEDDED_DATABASE})
        limits = {"max_execution_time": self.settings.query_seconds}
        self._questions = Pool(partial(connect, limits), CLIENTS)
        self._work = Pool(connect, CLIENTS)
        self._begin(options, EMBEDDED_DATABASE, create)
        _open_here[path.resolve()] += 1

    def _open_server(self, create: bool) -> None:
        url = urlsplit(self.settings.database)
        database = url.path.strip("/") or "pychart"
        options: dict[str, Any] = {
            "interface": url.scheme,
            "host": url.hostname,
            "port": url.port or (8443 if url.scheme == "https" else 8123),
            "username": unquote(url.username or "default"),
            "password": self.settings.password(),
            "autogenerate_session_id": False,
            "form_encode_query_params": True,  # an address is made byte by byte, a body is not
            **(self._tls() if url.scheme == "https" else {}),
            "connect_timeout": 10,
            "send_receive_timeout": self.settings.query_seconds + 30,
        }
        connect = partial(self._connect, options | {"database": database})
        self._questions = self._work = Pool(connect, CLIENTS)
        self._begin(options, database, create)

    def _begin(self, options: dict[str, Any], database: str, create: bool) -> None:
        """Make the first connection, and the database before it where that is asked for."""
        with ExitStack() as stack:
            if create:  # open until there is another: the engine ends with its last
                first = self._connect(options | {"database": "default"})
                stack.callback(first.close)
                with self._translating("CREATE DATABASE"):
                    first.command(f"CREATE DATABASE IF NOT EXISTS `{database}` ENGINE = Atomic")
            with self._questions.lend():
                self._open = True

    def _connect(
        self, options: Mapping[str, Any], limits: Mapping[str, Any] | None = None
    ) -> Client:
        with self._translating(""):
            return clickhouse_connect.get_client(
                **options, settings=self._session | dict(limits or {})
            )

    @contextmanager
    def _translating(self, what: str) -> Iterator[None]:
        try:
            yield
        except (ClickHouseError, RuntimeError, OSError) as error:
            raise self._told(error, what) from error

    def _told(self, error: Exception, what: str) -> WarehouseError:
        """Give the error that people read; `what` is the statement or the table, '' for none."""
        unanswered = isinstance(error, OperationalError) or not what
        return translate(error, self.settings.database, unanswered=unanswered)

    def _tls(self) -> dict[str, Any]:
        """Say how the server proves who it is: there is no way not to ask."""
        tls = self.settings.database_tls
        for name in ("ca_file", "certificate", "key"):
            file = getattr(tls, name)
            if file and not os.access(file, os.R_OK):
                raise ConfigError(f"database_tls.{name}: {file}: cannot be read")
        found = {
            "verify": True,
            "ca_cert": tls.ca_file and str(tls.ca_file),
            "client_cert": tls.certificate and str(tls.certificate),
            "client_cert_key": tls.key and str(tls.key),
            "server_host_name": tls.server_name,
            # the certificate opens the connection, the password says who it is
            "tls_mode": "strict" if tls.certificate else None,
        }
        return {name: value for name, value in found.items() if value}


def _folder(settings: Settings) -> Path:
    return Path(settings.database.removeprefix("chdb://"))


def _discard_output(client: Client) -> None:
    """Take what a failed query has begun to write: it would come before the next answer."""
    with suppress(ClickHouseError, RuntimeError):
        client.raw_query("SELECT 1", fmt="TSV")


def _refuse_if_locked(path: Path, database: str) -> None:
    """Look at the lock first: the engine would print its own words and then say nothing of it."""
    lock = path / "status"
    if _open_here[path.resolve()] or not lock.exists():
        return
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WarehouseBusy(
            f"{database}: the embedded database is open in another process; only one can have it"
            " (stop that one, or use a ClickHouse server)"
        ) from None
    except OSError as error:
        raise WarehouseError(f"{lock}: {error.strerror}") from error


def shown(database: str) -> str:
    """Give the address of a database as it may be printed: without the password."""
    return without_password(database)[0]
