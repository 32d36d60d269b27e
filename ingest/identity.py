"""Looks for lines by what they say, where the row of a line may stand under the place of a copy.

Of equal started lines one row is kept, with the place of any of them: a missing place is no loss.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from clickhouse.connection import Warehouse
from ingest import rowbinary

LARGEST_TIME = 2**32 - 1
SCRATCH = "looked_for_"  # tables of lines that are looked for; bound parameters would be too slow
LEFT_BEHIND = (
    "SELECT name FROM system.tables WHERE database = currentDatabase()"
    " AND startsWith(name, {scratch:String}) AND metadata_modification_time < now() - 86400"
)


@dataclass(frozen=True)
class Line:
    """One line of a file, without its newline."""

    offset: int
    content: bytes


def absent(warehouse: Warehouse, cluster: str, file_id: str, lines: Sequence[Line]) -> list[Line]:
    """Give those of the lines that the warehouse holds no record of, wherever it came from."""
    if not lines:
        return []
    times = [_time(line.content) for line in lines]
    with _scratch(warehouse, lines) as table:
        found = _present(warehouse, table, cluster, file_id, (min(times), max(times)))
        if len(found) < len(lines):  # the time of a line may have been misread here
            found = _present(warehouse, table, cluster, file_id, (0, LARGEST_TIME))
    return [line for line in lines if line.offset not in found]


@contextmanager
def _scratch(warehouse: Warehouse, lines: Sequence[Line]) -> Iterator[str]:
    for name, *_ in warehouse.rows(LEFT_BEHIND, {"scratch": SCRATCH}):
        warehouse.command(f"DROP TABLE IF EXISTS {name}")
    table = f"{SCRATCH}{uuid.uuid4().hex}"
    warehouse.command(f"CREATE TABLE {table} (offset UInt64, line String) ENGINE = Memory")
    try:
        rows = b"".join(
            rowbinary.uint64(line.offset) + rowbinary.text(line.content) for line in lines
        )
        warehouse.insert(table, ("offset", "line"), io.BytesIO(rows))
        yield table
    finally:
        warehouse.command(f"DROP TABLE IF EXISTS {table}")


def _present(
    warehouse: Warehouse, table: str, cluster: str, file_id: str, times: tuple[int, int]
) -> set[int]:
    found = warehouse.rows(
        "WITH wanted AS (SELECT offset, arrayJoin([sipHash128(line),"
        "   sipHash128(replaceRegexpAll(line, '^\\\\x00+|\\\\r$', '')),"
        "   sipHash128({file_id:String}, offset)]) AS id"
        f" FROM {table})"
        " SELECT DISTINCT offset FROM wanted WHERE id IN"
        "  (SELECT record_id FROM accounting WHERE cluster = {cluster:String}"
        "   AND time >= fromUnixTimestamp({first:Int64})"
        "   AND time <= fromUnixTimestamp({last:Int64})"
        "   AND record_id GLOBAL IN (SELECT id FROM wanted))",
        {"file_id": file_id, "cluster": cluster, "first": times[0], "last": times[1]},
    )
    return {int(row[0]) for row in found}


def _time(line: bytes) -> int:
    """Read when a job ended, else started, else was submitted, in seconds; 0 where unclear."""
    fields = line.split(b":", 11)
    for place in (10, 9, 8):
        try:
            number = int(fields[place])
        except (IndexError, ValueError):
            return 0
        if number > 0:
            unit = 1 if number < 10**11 else 1000 if number < 10**14 else 10**6
            return min(LARGEST_TIME, number // unit)
    return 0
