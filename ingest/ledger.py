"""What has been loaded, batch by batch, kept in the database beside the rows themselves."""

from __future__ import annotations

from collections.abc import Iterable
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
    """Where to go on in a file: `tail_hash` is that of the bytes before, '' at the beginning.

    `start` is where the last batch before `offset` began: with it, its row is found at once.
    """

    generation: int = 0
    offset: int = 0
    tail_hash: str = ""
    start: int = 0

    def next_generation(self) -> Position:
        """Begin again from 0: what stands there is no longer what was loaded."""
        return Position(self.generation + 1)


def position(warehouse: Warehouse, cluster: str, file_id: str) -> Position:
    """Find where the loaded batches of a file's newest generation end or have their first gap."""
    return positions(warehouse, cluster, file_id)[0]


def positions(warehouse: Warehouse, cluster: str, file_id: str) -> list[Position]:
    """Walk the batches of each generation from 0 to their end or first gap, the newest first."""
    found = warehouse.rows(
        "SELECT generation, maxIf(end_offset, end_offset <= stop) AS reached_offset,"
        " argMaxIf(tail_hash, end_offset, end_offset <= stop),"
        " argMaxIf(start_offset, end_offset, end_offset <= stop) FROM"
        " (SELECT generation, start_offset, end_offset, tail_hash,"
        "   min(if(start_offset > reached, reached, 18446744073709551615))"
        "     OVER (PARTITION BY generation) AS stop FROM"
        "  (SELECT generation, start_offset, end_offset, tail_hash,"
        "    max(end_offset) OVER (PARTITION BY generation ORDER BY start_offset, end_offset"
        "      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached FROM batches"
        "   WHERE cluster = {cluster:String} AND file_id = {file_id:String}))"
        " GROUP BY generation ORDER BY generation DESC",
        {"cluster": cluster, "file_id": file_id},
    )
    return [_position(*row) for row in found] or [Position()]


def _position(generation: int, offset: int, digest: str | bytes, start: int) -> Position:
    if not offset:
        return Position(generation)
    text = digest.decode() if isinstance(digest, bytes) else digest
    return Position(generation, offset, text, start)


def holds(warehouse: Warehouse, cluster: str, file_id: str, at: Position) -> bool:
    """Whether the batch that ends at a position is still there: quick, however long the ledger."""
    found = warehouse.rows(
        "SELECT count() FROM batches WHERE cluster = {cluster:String}"
        " AND file_id = {file_id:String} AND generation = {generation:UInt32}"
        " AND start_offset = {start:UInt64} AND end_offset = {end:UInt64}"
        " AND tail_hash = {digest:String}",
        {
            "cluster": cluster,
            "file_id": file_id,
            "generation": at.generation,
            "start": at.start,
            "end": at.offset,
            "digest": at.tail_hash,
        },
    )
    return bool(found[0][0])


def extents(warehouse: Warehouse, cluster: str) -> dict[tuple[str, int], int]:
    """Say how far the batches reach, by file_id and generation; -1 where there is a gap.

    Enough to see, without walking the ledger, that it is no longer what it was.
    """
    found = warehouse.rows(
        "SELECT file_id, generation, max(end_offset), sum(end_offset - start_offset) FROM batches"
        " WHERE cluster = {cluster:String} GROUP BY file_id, generation",
        {"cluster": cluster},
    )
    return {
        (str(file_id), int(generation)): int(end) if int(covered) >= int(end) else -1
        for file_id, generation, end, covered in found
    }


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


def rejects(warehouse: Warehouse, cluster: str) -> int:
    """Count the lines of a cluster that were rejected, as far as the ledger knows."""
    found = warehouse.rows(
        "SELECT sum(rejects) FROM ledger WHERE cluster = {cluster:String}", {"cluster": cluster}
    )
    return int(found[0][0])
