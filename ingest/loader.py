"""Loads one file: blocks to the landing table, a look that the rows are there, then the ledger.

A crash between any two of these repeats a batch, which changes nothing: rows are keyed by content.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

from clickhouse.connection import Warehouse
from clickhouse.errors import (
    ConfigError,
    DataRefused,
    PychartError,
    SourceError,
    WarehouseError,
)
from ingest import batch, ledger
from ingest.landing import Landing, Sent
from ingest.merges import Merges, holds_other_files, merge_doubled
from ingest.sources import STANDARD_INPUT, Source, check_whole, open_source
from ingest.tail import (
    TAIL_BYTES,
    Head,
    Resumed,
    read_blocks,
    read_head,
    skip_to,
    tail_hash,
)

log = logging.getLogger(__name__)

# Of one insert: large ones make fewer parts; a daemon beside a server stays small.
EMBEDDED_BLOCK_BYTES = 31 * 1024**2  # from 32 MiB on, malloc maps each anew
SERVER_BLOCK_BYTES = 8 * 1024**2
IN_FLIGHT = 2  # inserts at once, and another being read: two cores parse
COMMIT_BATCHES = 4  # batches whose rows are looked for, and remembered, together
MERGE_BYTES = 1024**2  # a smaller load leaves its copies to the merges in the background


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
    insert_seconds: float = 0.0  # of all inserts, which overlap
    inserts: int = 0
    rewritten: bool = False  # what had been loaded was no longer there: a new generation began
    at: ledger.Position = ledger.Position()
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


@dataclass(frozen=True)
class Control:
    """How whoever follows a file takes part in loading it.

    `stopped` is asked between two batches; `alive` is called while it goes on; `committed` is
    told the summary after each look at the rows. `block_bytes` is the size of one insert, 0 = as
    the engine likes it.
    """

    stopped: Callable[[], bool] = lambda: False
    alive: Callable[[], None] = lambda: None
    committed: Callable[[Summary], None] = lambda _: None
    block_bytes: int = 0

    def go_on(self) -> None:
        """Say that it goes on; raises `LoadStopped` where it should not."""
        self.alive()
        if self.stopped():
            raise LoadStopped("told to end")


class LoadStopped(PychartError):
    """A load was told to end before it had begun."""


def load_file(
    warehouse: Warehouse,
    cluster: str,
    path: Path,
    progress: Callable[[Progress], None] | None = None,
    *,
    superseded: bool = False,
    handle: BinaryIO | None = None,
    known: ledger.Position | None = None,
    control: Control | None = None,
) -> Summary:
    """Load what is new in a file; `superseded` says that nothing will be appended to it.

    `handle` is the file where its name is gone; `known` the position where the last load ended,
    which spares walking the ledger if it is still there.
    """
    began = time.monotonic()
    opened = partial(open_source, path, complete=superseded, handle=handle)
    loader = _Loader(
        warehouse, cluster, opened, Summary(path), progress, control or Control(), known
    )
    if path != STANDARD_INPUT and handle is None:
        check_whole(path, loader.control.go_on)
    loader.load()
    summary = loader.summary
    summary.at = loader.at
    if summary.rejects:
        summary.first_rejects = _first_rejects(warehouse, cluster, summary, loader.at.generation)
    copies = summary.records and (not summary.start or summary.bytes > MERGE_BYTES)
    if copies and holds_other_files(warehouse, summary.file_id, loader.at.generation):
        _merge_if_possible(warehouse, cluster, summary)
    summary.seconds = time.monotonic() - began
    return summary


@dataclass
class _Loader:
    warehouse: Warehouse
    cluster: str
    opened: Callable[[], AbstractContextManager[Source]]
    summary: Summary
    progress: Callable[[Progress], None] | None
    control: Control
    known: ledger.Position | None
    at: ledger.Position = ledger.Position()
    landing: Landing = field(init=False)

    def load(self) -> None:
        """Go on where the ledger ends; where the file is no longer what it was there, from 0."""
        with self.opened() as source:
            head = self._head(source)
            if head is None:
                return
            candidates = self._candidates(source, head)
            if self._continue(source, head, candidates[0]):
                return
            self._refuse_pipe(source, candidates[0])
        # A network file system may have shown what is not there: it counts when read again.
        if any(self._continue_reopened(at) for at in candidates):
            return
        log.warning("%s; loading it again from 0", self._gone(candidates[0]))
        newest = ledger.position(self.warehouse, self.cluster, self.summary.file_id)
        self.summary.rewritten = True
        self._continue_reopened(newest.next_generation())

    def _head(self, source: Source) -> Head | None:
        head = read_head(source)
        if head is None:
            self.summary.waiting = source.stream.tell() if source.seekable else 0
            return None
        if self.summary.file_id not in ("", head.file_id):
            raise SourceError(f"{source.path}: it changed while it was read; looking again")
        self.summary.file_id = head.file_id
        return head

    def _candidates(self, source: Source, head: Head) -> list[ledger.Position]:
        """List where the file may be continued, the furthest first: any generation may be it.

        Of an old copy and the file itself, which begin alike, each has one where it ends.
        """
        known = self.known
        if known and ledger.holds(self.warehouse, self.cluster, head.file_id, known):
            return [known]
        self._refuse_other_cluster(source)
        found = ledger.positions(self.warehouse, self.cluster, head.file_id)
        loaded = sorted((at for at in found if at.offset), key=lambda at: at.offset, reverse=True)
        return loaded or found[:1]

    def _continue(self, source: Source, head: Head, at: ledger.Position) -> bool:
        resumed = skip_to(source, head, at.offset)
        if resumed is None or at.offset and tail_hash(resumed.tail) != at.tail_hash:
            return False
        self.at = at
        self._send_all(source, resumed)
        return True

    def _continue_reopened(self, at: ledger.Position) -> bool:
        with self.opened() as source:
            head = self._head(source)
            return head is not None and self._continue(source, head, at)

    def _refuse_pipe(self, source: Source, at: ledger.Position) -> None:
        if source.size == 0 and not source.raw.seekable():
            raise SourceError(
                f"{self._gone(at)}, and a pipe cannot be read again: load it from a file"
            )

    def _gone(self, at: ledger.Position) -> str:
        return f"{self.summary.path}: what was loaded up to byte {at.offset} is no longer there"

    def _refuse_other_cluster(self, source: Source) -> None:
        """Keep the same file out of a second cluster, where all of its jobs would count twice."""
        other = ledger.other_cluster(self.warehouse, self.cluster, self.summary.file_id)
        if other is not None:
            raise ConfigError(
                f"{source.path}: this file was loaded as cluster {other!r};"
                f" as {self.cluster!r} its jobs would count twice. Call the cluster that in the"
                " settings, or load into another database"
            )

    def _send_all(self, source: Source, resumed: Resumed) -> None:
        self.summary.start = self.summary.offset = self.at.offset
        self.landing = Landing(
            self.warehouse,
            self.cluster,
            self.summary.file_id,
            self.at.generation,
            self.summary.path,
        )
        tail = resumed.tail
        waiting: deque[Sent] = deque()
        landed: list[Sent] = []
        spare: list[bytearray] = []
        size = self._block_bytes()
        with Merges(self.warehouse) as merges, ThreadPoolExecutor(IN_FLIGHT) as pool:
            for block in read_blocks(source, resumed.pending, self.at.offset, size, spare):
                tail = (tail + block.data[-TAIL_BYTES:])[-TAIL_BYTES:]
                insert = pool.submit(self.landing.insert, block)
                waiting.append(Sent(block, batch.count(block), tail_hash(tail), insert))
                if len(waiting) > IN_FLIGHT:
                    landed.append(self._land(waiting.popleft(), source))
                    if len(landed) == 1:
                        merges.wait()
                if len(landed) >= COMMIT_BATCHES:
                    self._commit(source, landed)
                    spare += [sent.block.data for sent in landed if not sent.insert.exception()]
                    landed = []
                if self.control.stopped():
                    break
            landed += [self._land(sent, source) for sent in waiting]
        self._commit(source, landed)
        if not source.complete and not self.control.stopped():
            self.summary.waiting = max(0, source.stream.tell() - self.summary.offset)

    def _block_bytes(self) -> int:
        usual = EMBEDDED_BLOCK_BYTES if self.warehouse.embedded else SERVER_BLOCK_BYTES
        return self.control.block_bytes or usual

    def _land(self, sent: Sent, source: Source) -> Sent:
        try:
            sent.insert.result()
        except DataRefused as error:
            self.landing.isolate(sent.block, error)
        self.summary.lines += sent.counts.lines
        self.control.alive()
        if self.progress:
            loaded = sent.block.end - self.summary.start
            self.progress(Progress(source.bytes_read(), source.size, loaded, self.summary.lines))
        return sent

    def _commit(self, source: Source, landed: list[Sent]) -> None:
        """Look for the rows of these batches, send again what is missing, then remember them."""
        if not landed:
            return
        batches = self.landing.batches(landed)
        path = str(source.path if source.path == STANDARD_INPUT else source.path.absolute())
        ledger.append(
            self.warehouse, self.cluster, self.summary.file_id, self.at.generation, path, batches
        )
        for done in batches:
            self.summary.records += done.records
            self.summary.rejects += done.rejects
            self.summary.ignored += done.ignored
            self.summary.offset = done.end_offset
        self.summary.inserts = self.landing.inserts
        self.summary.insert_seconds = self.landing.seconds
        last = batches[-1]
        self.at = ledger.Position(
            self.at.generation, last.end_offset, last.tail_hash, last.start_offset
        )
        self.summary.at = self.at
        self.control.committed(self.summary)


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


def _merge_if_possible(warehouse: Warehouse, cluster: str, summary: Summary) -> None:
    """Merge copies away; where that fails they are only slower to read, and all is loaded."""
    try:
        merge_doubled(warehouse, cluster, summary.file_id, summary.start)
    except WarehouseError as error:
        log.warning("%s: its copies are left to the background merges: %s", summary.path, error)
