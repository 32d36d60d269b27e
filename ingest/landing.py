"""Hands blocks to the landing table, and looks whether their lines then are in the database."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from clickhouse.connection import Warehouse
from clickhouse.errors import DataRefused, WarehouseError
from ingest import batch, identity, ledger, poison
from ingest.tail import Block

log = logging.getLogger(__name__)

SENDS = 3  # of a batch whose rows did not arrive although the insert was acknowledged

# A block may touch any number of years; the key, and not the insert, removes duplicates.
INSERT_SETTINGS = {
    "max_block_size": 3000,  # one row of the landing table at a time
    "max_partitions_per_insert_block": 0,
    "optimize_on_insert": 0,
    "query_plan_enable_optimizations": 0,  # a fifth of an insert's planning, and nothing to gain
}


@dataclass(frozen=True)
class Sent:
    """A block on its way: what was counted in it, the hash of its end and of what is before it."""

    block: Block
    counts: batch.Counts
    digest: str
    insert: Future[None]


@dataclass
class Landing:
    """Takes the blocks of one generation of a file; `seconds` of inserts, which overlap."""

    warehouse: Warehouse
    cluster: str
    file_id: str
    generation: int
    path: Path
    inserts: int = 0
    seconds: float = 0.0

    def insert(self, block: Block) -> None:
        """Hand over the lines of a block; raises `DataRefused` where the database refuses one."""
        began = time.monotonic()
        cap = self.warehouse.settings.cluster(self.cluster).maxvmem_cap
        rows = batch.Frame(self.cluster, self.file_id, self.generation, block, cap)
        self.warehouse.insert("landing", batch.COLUMNS, rows, INSERT_SETTINGS)
        self.inserts += 1
        self.seconds += time.monotonic() - began

    def isolate(self, block: Block, error: DataRefused) -> None:
        """Get all lines of a block in but those that the database refuses, which are rejected."""
        log.warning("%s: byte %d: %s", self.path, block.offset, error)
        isolation = poison.Isolation(self.insert, [])
        isolation.halve(block, error)
        poison.reject(
            self.warehouse, self.cluster, self.file_id, self.generation, isolation.refused
        )

    def batches(self, landed: list[Sent]) -> list[ledger.Batch]:
        """Look for the rows of these blocks, and send again what is missing.

        Raises `WarehouseError` where lines do not arrive, however often they are sent.
        """
        arrived = self._arrived(landed)
        return [self._account(sent, arrived.get(sent.block.offset, (0, 0))) for sent in landed]

    def _account(self, sent: Sent, arrived: tuple[int, int]) -> ledger.Batch:
        records, rejects = arrived
        if records + rejects != sent.counts.lines - sent.counts.ignored:
            records, rejects = self._account_by_line(sent)
        return ledger.Batch(
            sent.block.offset,
            sent.block.end,
            sent.counts.lines,
            records,
            rejects,
            sent.counts.ignored,
            sent.digest,
        )

    def _account_by_line(self, sent: Sent) -> tuple[int, int]:
        """Tell copies that have not merged yet, and ones that have, from rows that are missing."""
        lines = batch.lines(sent.block)
        for sends_left in reversed(range(SENDS)):
            kept, rejected = self._places(sent.block)
            there = kept | rejected
            missing = [line for line in lines if line.offset not in there]
            missing = identity.absent(self.warehouse, self.cluster, self.file_id, missing)
            if not missing:
                rejects = sum(line.offset in rejected - kept for line in lines)
                return len(lines) - rejects, rejects
            place = f"{self.path}: byte {sent.block.offset}"
            fault = f"{place}: {len(missing)} of {len(lines)} lines did not arrive in the database"
            if sends_left:
                log.warning("%s; sending them again", fault)
                self._insert_again(sent.block)
        raise WarehouseError(f"{fault}; not counted as loaded")

    def _places(self, block: Block) -> tuple[set[int], set[int]]:
        """Give the offsets of a block's lines that stand among the records, and the rejects."""
        found = [
            self.warehouse.rows(
                f"SELECT DISTINCT offset FROM {table}"
                " WHERE cluster = {cluster:String} AND file_id = {file_id:String}"
                " AND generation = {generation:UInt32}"
                " AND offset >= {first:UInt64} AND offset < {end:UInt64}",
                {
                    "cluster": self.cluster,
                    "file_id": self.file_id,
                    "generation": self.generation,
                    "first": block.offset,
                    "end": block.end,
                },
            )
            for table in ("accounting", "rejected_lines")
        ]
        kept, rejected = ({int(row[0]) for row in rows} for rows in found)
        return kept, rejected

    def _insert_again(self, block: Block) -> None:
        try:
            self.insert(block)
        except DataRefused as error:
            self.isolate(block, error)

    def _arrived(self, landed: list[Sent]) -> dict[int, tuple[int, int]]:
        """Count the records and rejects that the database holds of each block, by its offset."""
        place = (  # in both, for a cluster's shards look at no condition outside
            "cluster = {cluster:String} AND file_id = {file_id:String}"
            " AND generation = {generation:UInt32}"
            " AND offset >= {first:UInt64} AND offset < {end:UInt64}"
        )
        found = self.warehouse.rows(
            "SELECT roundDown(offset, {starts:Array(UInt64)}) AS start,"
            " countIf(kept), countIf(NOT kept) FROM"
            f" (SELECT offset, 1 AS kept FROM accounting WHERE {place}"
            f"  UNION ALL SELECT offset, 0 AS kept FROM rejected_lines WHERE {place})"
            " GROUP BY start",
            {
                "starts": [sent.block.offset for sent in landed],
                "cluster": self.cluster,
                "file_id": self.file_id,
                "generation": self.generation,
                "first": landed[0].block.offset,
                "end": landed[-1].block.end,
            },
        )
        return {int(start): (int(records), int(rejects)) for start, records, rejects in found}
