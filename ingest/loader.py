"""Loads one file: blocks to the landing table, a look that the rows are there, then the ledger.

A crash between any two of these repeats a batch, which changes nothing: rows are keyed by content.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from clickhouse.connection import Warehouse
from clickhouse.errors import ConfigError, SourceError, WarehouseError
from ingest import batch, ledger
from ingest.sources import STANDARD_INPUT, Source, open_source
from ingest.tail import TAIL_BYTES, Block, Resumed, read_blocks, read_head, skip_to, tail_hash

log = logging.getLogger(__name__)

# Of one insert: large ones make fewer parts; a daemon beside a server stays small.
EMBEDDED_BLOCK_BYTES = 31 * 1024**2  # from 32 MiB on, malloc maps each anew
SERVER_BLOCK_BYTES = 8 * 1024**2
IN_FLIGHT = 2  # inserts at once, and another being read: two cores parse
COMMIT_BATCHES = 4  # batches whose rows are looked for, and remembered, together
SENDS = 3  # of a batch whose rows did not arrive although the insert was acknowledged

# Stated on each insert, since defaults differ by version: no token may drop a block, a block may
# touch any number of months, and the key (not the insert) removes duplicates.
INSERT_SETTINGS = {
    "async_insert": 0,
    "insert_deduplicate": 0,
    "max_block_size": 3000,  # one row of the landing table at a time
    "max_partitions_per_insert_block": 0,
    "optimize_on_insert": 0,
}


@dataclass
class Summary:
    """What one load did: `offset` is where it ended, `waiting` the bytes after the last newline."""

    path: Path
    file_id: str = ""
    start: int = 0
    offset: int = 0
    waiting: int = 0
    lines: int = 0
    records: int = 0
    rejects: int = 0
    ignored: int = 0
    seconds: float = 0.0
    first_rejects: list[tuple[int, str]] = field(default_factory=list)  # offset and reason

    @property
    def bytes(self) -> int:
        """Decompressed bytes that were loaded."""
        return self.offset - self.start


@dataclass(frozen=True)
class Progress:
    """How far a load is: `done` of `size` bytes on disk (0 = unknown), `loaded` decompressed."""

    done: int
    size: int
    loaded: int
    lines: int


def load_file(
    warehouse: Warehouse,
    cluster: str,
    path: Path,
    progress: Callable[[Progress], None] | None = None,
    *,
    superseded: bool = False,
) -> Summary:
    """Load what is new in a file; `superseded` says that nothing will be appended to it."""
    began = time.monotonic()
    loader = _Loader(warehouse, cluster, Summary(path), progress)
    with open_source(path, complete=superseded) as source:
        changed = loader.resume(source)
    if changed:
        with open_source(path, complete=superseded) as source:
            loader.begin_again(source)
    summary = loader.summary
    if summary.rejects:
        summary.first_rejects = _first_rejects(warehouse, cluster, summary, loader.at.generation)
    if summary.records and _holds_other_files(warehouse, summary, loader.at.generation):
        merge_doubled(warehouse, cluster, summary)
    summary.seconds = time.monotonic() - began
    return summary


@dataclass(frozen=True)
class _Sent:
    block: Block
    counts: batch.Counts
    digest: str
    insert: Future[None]


@dataclass
class _Loader:
    warehouse: Warehouse
    cluster: str
    summary: Summary
    progress: Callable[[Progress], None] | None
    at: ledger.Position = ledger.Position()

    def resume(self, source: Source) -> bool:
        """Load from where the ledger ends; True where the file is no longer what it was there."""
        head = read_head(source)
        if head is None:
            return False
        self.summary.file_id = head.file_id
        self._refuse_other_cluster(source)
        self.at = ledger.position(self.warehouse, self.cluster, head.file_id)
        resumed = skip_to(source, head, self.at.offset)
        if resumed is None or self.at.offset and tail_hash(resumed.tail) != self.at.tail_hash:
            self._changed(source)
            return True
        self._send_all(source, resumed)
        return False

    def begin_again(self, source: Source) -> None:
        """Load from 0, as the file's next generation."""
        self.at = self.at.next_generation()
        head = read_head(source)
        resumed = skip_to(source, head, 0) if head else None
        if head and resumed:
            self.summary.file_id = head.file_id
            self._send_all(source, resumed)

    def _changed(self, source: Source) -> None:
        place = f"{source.path}: what was loaded up to byte {self.at.offset} is no longer there"
        if source.size == 0 and not source.raw.seekable():
            raise SourceError(f"{place}, and a pipe cannot be read again: load it from a file")
        log.warning("%s; loading it again from 0", place)

    def _refuse_other_cluster(self, source: Source) -> None:
        """Keep the same file out of a second cluster, where all of its jobs would count twice."""
        other = ledger.other_cluster(self.warehouse, self.cluster, self.summary.file_id)
        if other is not None:
            raise ConfigError(
                f"{source.path}: this file was loaded as cluster {other!r};"
                f" as {self.cluster!r} its jobs would count twice"
            )

    def _send_all(self, source: Source, resumed: Resumed) -> None:
        self.summary.start = self.summary.offset = self.at.offset
        tail = resumed.tail
        waiting: deque[_Sent] = deque()
        landed: list[_Sent] = []
        size = EMBEDDED_BLOCK_BYTES if self.warehouse.embedded else SERVER_BLOCK_BYTES
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            for block in read_blocks(source, resumed.pending, self.at.offset, size):
                tail = (tail + block.data[-TAIL_BYTES:])[-TAIL_BYTES:]
                insert = pool.submit(self._insert, block)
                waiting.append(_Sent(block, batch.count(block), tail_hash(tail), insert))
                if len(waiting) > IN_FLIGHT:
                    landed.append(self._land(waiting.popleft(), source))
                if len(landed) >= COMMIT_BATCHES:
                    self._commit(source, landed)
                    landed = []
            landed += [self._land(sent, source) for sent in waiting]
        self._commit(source, landed)
        if not source.complete:
            self.summary.waiting = max(0, source.stream.tell() - self.summary.offset)

    def _insert(self, block: Block) -> None:
        cap = self.warehouse.settings.cluster(self.cluster).maxvmem_cap
        rows = batch.Frame(self.cluster, self.summary.file_id, self.at.generation, block, cap)
        self.warehouse.insert("landing", batch.COLUMNS, rows, INSERT_SETTINGS)

    def _land(self, sent: _Sent, source: Source) -> _Sent:
        sent.insert.result()
        self.summary.lines += sent.counts.lines
        if self.progress:
            loaded = sent.block.end - self.summary.start
            self.progress(Progress(source.bytes_read(), source.size, loaded, self.summary.lines))
        return sent

    def _commit(self, source: Source, landed: list[_Sent]) -> None:
        """Look for the rows of these batches, send again what is missing, then remember them."""
        arrived = self._arrived(landed)
        batches = [self._account(sent, arrived.get(sent.block.offset, (0, 0))) for sent in landed]
        path = str(source.path if source.path == STANDARD_INPUT else source.path.absolute())
        ledger.append(
            self.warehouse, self.cluster, self.summary.file_id, self.at.generation, path, batches
        )
        for done in batches:
            self.summary.records += done.records
            self.summary.rejects += done.rejects
            self.summary.ignored += done.ignored
            self.summary.offset = done.end_offset

    def _account(self, sent: _Sent, arrived: tuple[int, int]) -> ledger.Batch:
        expected = sent.counts.lines - sent.counts.ignored
        if sum(arrived) > expected:  # it was sent before, and the copies have not merged yet
            arrived = self._arrived([sent], "uniqExact").get(sent.block.offset, (0, 0))
        for _ in range(SENDS - 1):
            if sum(arrived) == expected:
                break
            log.warning(
                "%s: byte %d: %d of %d lines arrived; sending them again",
                self.summary.path,
                sent.block.offset,
                sum(arrived),
                expected,
            )
            self._insert(sent.block)
            arrived = self._arrived([sent], "uniqExact").get(sent.block.offset, (0, 0))
        if sum(arrived) != expected:
            raise WarehouseError(
                f"{self.summary.path}: byte {sent.block.offset}: only {sum(arrived)} of {expected}"
                " lines arrived in the database; not counted as loaded"
            )
        records, rejects = arrived
        return ledger.Batch(
            sent.block.offset,
            sent.block.end,
            sent.counts.lines,
            records,
            rejects,
            sent.counts.ignored,
            sent.digest,
        )

    def _arrived(
        self, landed: list[_Sent], count: Literal["count", "uniqExact"] = "count"
    ) -> dict[int, tuple[int, int]]:
        """Count the records and rejects that the database holds of each block, by its offset."""
        if not landed:
            return {}
        found = self.warehouse.rows(
            "SELECT roundDown(offset, {starts:Array(UInt64)}) AS start,"
            f" {count}If(offset, kept), {count}If(offset, NOT kept) FROM"
            " (SELECT cluster, file_id, generation, offset, 1 AS kept FROM accounting"
            "  UNION ALL"
            "  SELECT cluster, file_id, generation, offset, 0 AS kept FROM rejected_lines)"
            " WHERE cluster = {cluster:String} AND file_id = {file_id:String}"
            " AND generation = {generation:UInt32}"
            " AND offset >= {first:UInt64} AND offset < {end:UInt64} GROUP BY start",
            {
                "starts": [sent.block.offset for sent in landed],
                "cluster": self.cluster,
                "file_id": self.summary.file_id,
                "generation": self.at.generation,
                "first": landed[0].block.offset,
                "end": landed[-1].block.end,
            },
        )
        return {int(start): (int(records), int(rejects)) for start, records, rejects in found}


def _first_rejects(
    warehouse: Warehouse, cluster: str, summary: Summary, generation: int
) -> list[tuple[int, str]]:
    found = warehouse.rows(
        "SELECT offset, reason FROM rejected_lines FINAL"
        " WHERE cluster = {cluster:String} AND file_id = {file_id:String}"
        " AND generation = {generation:UInt32} AND offset >= {start:UInt64}"
        " ORDER BY offset LIMIT 5",
        {
            "cluster": cluster,
            "file_id": summary.file_id,
            "generation": generation,
            "start": summary.start,
        },
    )
    return [(int(offset), str(reason)) for offset, reason in found]


def merge_doubled(warehouse: Warehouse, cluster: str, summary: Summary) -> None:
    """Merge the years that this load left with copies: reading around them costs four times."""
    place = {"cluster": cluster, "file_id": summary.file_id, "start": summary.start}
    first, last, years = warehouse.rows(
        "SELECT min(time), max(time), groupUniqArray(toYear(time)) FROM accounting"
        " WHERE cluster = {cluster:String} AND file_id = {file_id:String}"
        " AND offset >= {start:UInt64}",
        place,
    )[0]
    span = {"cluster": cluster, "first": first, "last": last}
    if _rows_between("accounting", warehouse, span) > _rows_between(
        "accounting FINAL", warehouse, span
    ):
        for year in years:
            warehouse.command(f"OPTIMIZE TABLE accounting PARTITION {int(year)} FINAL")


def _rows_between(table: str, warehouse: Warehouse, span: Mapping[str, object]) -> int:
    found = warehouse.rows(
        f"SELECT count() FROM {table} WHERE cluster = {{cluster:String}}"
        " AND time BETWEEN {first:DateTime('UTC')} AND {last:DateTime('UTC')}",
        span,
    )
    return int(found[0][0])


def _holds_other_files(warehouse: Warehouse, summary: Summary, generation: int) -> bool:
    """Whether anything but this file's generation is loaded; else there can be no copies."""
    found = warehouse.rows(
        "SELECT count() FROM batches"
        " WHERE NOT (file_id = {file_id:String} AND generation = {generation:UInt32})",
        {"file_id": summary.file_id, "generation": generation},
    )
    return bool(found[0][0])
