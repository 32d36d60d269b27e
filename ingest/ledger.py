"""What has been loaded, batch by batch, kept in the database beside the rows themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clickhouse.connection import Warehouse

COLUMNS = (
    "cluster",
    "file_id",
    "generation",
    "start_offset",
    "end_offset",
    "lines",
    "records",
    "rejects",
    "ignored",
    "tail_hash",
    "path",
)


@dataclass(frozen=True)
class Batch:
    """One row of the ledger: bytes `start_offset` to `end_offset` of a file, and what they held."""

    start_offset: int
    end_offset: int
    lines: int
    records: int
    rejects: int
    ignored: int
    tail_hash: str


@dataclass(frozen=True)
class Position:
    """Where to go on in a file: `tail_hash` is that of the bytes before, '' at the beginning."""

    generation: int = 0
    offset: int = 0
    tail_hash: str = ""

    def next_generation(self) -> Position:
        """Begin again from 0: what stands there is no longer what was loaded."""
        return Position(self.generation + 1)


def position(warehouse: Warehouse, cluster: str, file_id: str) -> Position:
    """Find where the loaded batches of a file, walked from 0, end or have their first gap."""
    found = warehouse.rows(
        "SELECT generation, start_offset, end_offset, tail_hash FROM ledger"
        " WHERE cluster = {cluster:String} AND file_id = {file_id:String}"
        " ORDER BY generation, start_offset, end_offset",
        {"cluster": cluster, "file_id": file_id},
    )
    newest = max((row[0] for row in found), default=0)
    return _walk(newest, (row[1:] for row in found if row[0] == newest))


def _walk(generation: int, batches: Iterable[Sequence[int | str | bytes]]) -> Position:
    at = Position(generation)
    for start, end, digest in batches:
        if int(start) <= at.offset < int(end):
            text = digest.decode() if isinstance(digest, bytes) else str(digest)
            at = Position(generation, int(end), text)
    return at


def append(
    warehouse: Warehouse,
    cluster: str,
    file_id: str,
    generation: int,
    path: str,
    batches: Iterable[Batch],
) -> None:
    """Remember batches whose rows have been seen in the database."""
    rows = [
        (
            cluster,
            file_id,
            generation,
            batch.start_offset,
            batch.end_offset,
            batch.lines,
            batch.records,
            batch.rejects,
            batch.ignored,
            batch.tail_hash,
            path,
        )
        for batch in batches
    ]
    if rows:
        warehouse.insert_rows("batches", COLUMNS, rows)


def other_cluster(warehouse: Warehouse, cluster: str, file_id: str) -> str | None:
    """Name another cluster that the same file was loaded for, if there is one."""
    found = warehouse.rows(
        "SELECT cluster FROM batches"
        " WHERE cluster != {cluster:String} AND file_id = {file_id:String} LIMIT 1",
        {"cluster": cluster, "file_id": file_id},
    )
    return str(found[0][0]) if found else None
