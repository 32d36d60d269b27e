"""Statements of people, each run in a thread: with a limit, with progress, and to be stopped.

They have connections of their own, which may only read: however long one takes, no page waits.
"""

from __future__ import annotations

import copy
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from clickhouse import policies, readonly
from clickhouse.connection import Warehouse, shown
from clickhouse.errors import PychartError, QuestionError, WarehouseError
from clickhouse.scope import Scope
from clickhouse.seen import for_whom
from clickhouse.settings import Settings

MOST_AT_ONCE = 3  # statements that run side by side, of all people
MOST_SECONDS = 60
MOST_MEMORY_BYTES = 2_000_000_000
MOST_RESULT_BYTES = 300_000_000
ABANDONED_SECONDS = 15.0  # after which a statement is stopped that nobody asks for any more
LOOK_SECONDS = 0.5
TIMEOUT, MEMORY, CANCELLED, RESULT_BYTES = 159, 241, 394, 396


@dataclass(frozen=True)
class Progress:
    """How far a statement is; `total` rows are an estimate, 0 where there is none yet."""

    rows: int
    total: int


@dataclass(frozen=True)
class Answer:
    """What a statement gave; `cut` tells that there are more rows."""

    table: pa.Table
    cut: bool
    seconds: float


class Running:
    """One statement: running, then with an `answer` or an `error`."""

    def __init__(
        self, reader: Reader, sql: str, rows: int, seconds: int, limits: Mapping[str, Any]
    ) -> None:
        self.sql = sql
        self.seconds = seconds
        self.answer: Answer | None = None
        self.error: PychartError | None = None
        self.began = self._seen = time.monotonic()
        self._reader, self._rows = reader, rows
        self._mark = uuid.uuid4().hex
        self._done = threading.Event()
        self._stopped = False
        self._limits = dict(limits)
        for work in (self._run, self._watch):
            threading.Thread(target=work, name=f"sql-{self._mark[:8]}", daemon=True).start()

    @property
    def done(self) -> bool:
        """Tell whether there is an answer or an error."""
        return self._done.is_set()

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began

    def wait(self, seconds: float) -> bool:
        """Wait for the end, and tell whether it has come."""
        self._seen = time.monotonic()
        return self._done.wait(seconds)

    def progress(self) -> Progress | None:
        """Say how far it is, where the database tells; to ask keeps it from being abandoned."""
        self._seen = time.monotonic()
        return None if self.done else self._reader.progress(self._mark)

    def stop(self) -> None:
        """Make the database stop; the error then says so."""
        self._stopped = True
        if not self.done:
            self._reader.stop(self._mark)

    def _run(self) -> None:
        try:
            found = self._reader.arrow(
                self.sql, self._mark, self._rows + 1, self.seconds, self._limits
            )
            cut = found.num_rows > self._rows
            self.answer = Answer(found.slice(0, self._rows), cut, self.elapsed)
        except PychartError as error:
            self.error = self._in_words(error)
        except pa.ArrowException as error:
            self.error = WarehouseError(f"its answer cannot be shown: {error}")
        finally:
            self._reader.leave()
            self._done.set()

    def _watch(self) -> None:
        """Stop what nobody waits for: a closed page does not say that it was closed."""
        while not self._done.wait(LOOK_SECONDS):
            if time.monotonic() - self._seen > ABANDONED_SECONDS:
                self.stop()
                return

    def _in_words(self, error: PychartError) -> PychartError:
        code = error.code if isinstance(error, WarehouseError) else 0
        if self._stopped or code == CANCELLED:
            return QuestionError(f"stopped after {self.elapsed:.1f} s")
        words = {
            TIMEOUT: f"it took longer than {self.seconds} s and was stopped; ask for less",
            MEMORY: f"it needs more than {MOST_MEMORY_BYTES / 1e9:.0f} GB of memory",
            RESULT_BYTES: f"its result is larger than {MOST_RESULT_BYTES / 1e6:.0f} MB",
        }
        if code in words:
            return QuestionError(words[code])
        place = f"{shown(self._reader.settings.database)}: "  # is not everybody's to know
        return WarehouseError(str(error).removeprefix(place), code) if code else error


def _with_times(table: pa.Table, kinds: Sequence[str]) -> pa.Table:
    pairs = zip(table.columns, kinds, strict=True)
    columns = [_as_time(column) if "DateTime" in kind else column for column, kind in pairs]
    return pa.table(columns, names=table.column_names)


def _as_time(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_uint32(column.type):
        return column
    return column.cast(pa.int64()).cast(pa.timestamp("s"))


class Reader:
    """Runs statements of people, after `readonly.check` let them through."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.scope: Scope | None = None
        self._warehouse = Warehouse(settings, read_only=True)
        self._free = threading.BoundedSemaphore(MOST_AT_ONCE)

    def limited(self, scope: Scope) -> Reader:
        """Give one for somebody, on the same connections, that sees no further than the scope."""
        found = copy.copy(self)
        found.scope = scope
        return found

    def start(self, statement: str, rows: int, seconds: int | None = None) -> Running:
        """Check a statement and begin to run it, for at most `rows` rows.

        Raises `QuestionError` where it may not be run, or too many others run.
        """
        sql = readonly.check(self._warehouse, statement, self.scope)
        limits = self._of_scope()
        if not self._free.acquire(blocking=False):
            raise QuestionError(f"{MOST_AT_ONCE} statements are running; try again in a moment")
        allowed = min(seconds or MOST_SECONDS, self.settings.query_seconds)
        return Running(self, sql, rows, allowed, limits)

    def _of_scope(self) -> dict[str, Any]:
        if self.scope is None:
            return {}
        said = for_whom(self._warehouse, self.scope)
        return policies.filters(self._warehouse, self.scope) | said

    def arrow(
        self, sql: str, mark: str, rows: int, seconds: int, of_scope: Mapping[str, Any]
    ) -> pa.Table:
        """Run what was checked, within what the scope allows."""
        limits: dict[str, Any] = {
            "limit": rows,
            "max_execution_time": seconds,
            "max_memory_usage": MOST_MEMORY_BYTES,
            "max_result_bytes": MOST_RESULT_BYTES,
            **of_scope,
        }
        if not self._warehouse.embedded:
            limits["query_id"] = mark
        found = self._warehouse.arrow(f"/* {mark} */ {sql}", settings=limits)
        if pa.uint32() not in found.schema.types:
            return found
        # times come as numbers
        described = self._warehouse.arrow(
            f"/* {mark} */ DESCRIBE ({sql})", settings=limits | {"limit": 0}
        )
        return _with_times(found, [str(kind) for kind in described.column("type").to_pylist()])

    def leave(self) -> None:
        """Let the next one in."""
        self._free.release()

    def progress(self, mark: str) -> Progress | None:
        """Say how far a statement is; not within a scope, since it counts the rows of all."""
        return None if self.scope is not None else self._progress(mark)

    def _progress(self, mark: str) -> Progress | None:
        """Ask how far a statement is, where the database tells."""
        sql = "SELECT read_rows, total_rows_approx FROM system.processes WHERE {ours}"
        try:
            found = self._warehouse.rows(sql.replace("{ours}", self._ours(mark)))
        except WarehouseError:
            return None
        return Progress(int(found[0][0]), int(found[0][1])) if found else None

    def stop(self, mark: str) -> None:
        """Stop a statement."""
        if self._warehouse.embedded:
            self._warehouse.command(f"KILL QUERY WHERE {self._ours(mark)} ASYNC")
            return
        # a query of the same id takes the first one's place, for which no right is needed
        again: dict[str, Any] = {"query_id": mark, "replace_running_query": 1}
        self._warehouse.arrow("SELECT 1", settings=again)

    def _ours(self, mark: str) -> str:
        if self._warehouse.embedded:
            return f"startsWith(query, '/* {mark} */')"
        return f"query_id = '{mark}'"  # all that the app's user sees of statements

    def close(self) -> None:
        """Close the connections."""
        self._warehouse.close()
