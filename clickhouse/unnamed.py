"""Rows of rollups that no month names any more: those of builds that others have replaced."""

from __future__ import annotations

import time

from clickhouse.connection import Warehouse
from clickhouse.cubes import MONTHS_PER_REFRESH, OF_REFRESH, STORED, TABLES

KEPT_SECONDS = 900  # within which a refresh has named what it made
# What no month names any more is kept as long as a question may still be about to read it: not
# when it loses its name, but at a later refresh, and this long after the last one at least.
SETTLED_SECONDS = 30
SMALL = tuple(cube for cube in TABLES if cube.small)  # whose refreshes have no partitions

UNNAMED_SHARE = 0.1  # of the rows of a small rollup; to write the others again takes longer


def drop_unnamed(
    warehouse: Warehouse,
    kept_seconds: float = KEPT_SECONDS,
    settled_seconds: float = SETTLED_SECONDS,
) -> None:
    """Drop the rows of builds that no month names, once no question can be reading them."""
    now = time.time_ns() // 1000
    numbers = f"intDiv(arrayJoin([build, scoped]), {MONTHS_PER_REFRESH})"
    [(named,)] = warehouse.rows(f"SELECT groupUniqArray({numbers}) FROM rollup_months FINAL")
    if max(named, default=0) >= now - int(settled_seconds * 1e6):
        return
    oldest = now - int(kept_seconds * 1e6)
    large = [table.name for table in STORED if table not in SMALL]
    found = warehouse.rows(
        "SELECT DISTINCT table, partition FROM system.parts WHERE database = currentDatabase()"
        " AND table IN {tables:Array(String)} AND active"
        " AND toUInt64OrZero(partition) < {oldest:UInt64}"
        " AND NOT has({named:Array(UInt64)}, toUInt64OrZero(partition))",
        {"tables": large, "oldest": oldest, "named": named},
    )
    for table, partition in found:
        warehouse.command(f"ALTER TABLE {table} DROP PARTITION {int(partition)}")
    for cube in SMALL:
        unnamed = f"{OF_REFRESH} < {oldest} AND {OF_REFRESH} NOT IN {[0, *map(int, named)]}"
        [(rows, all_rows)] = warehouse.rows(f"SELECT countIf({unnamed}), count() FROM {cube.name}")
        if rows > all_rows * UNNAMED_SHARE:
            warehouse.command(
                f"ALTER TABLE {cube.name} DELETE WHERE {unnamed} SETTINGS mutations_sync = 1"
            )
