"""Rows of rollups that no month names any more: those of builds that others have replaced."""

from __future__ import annotations

import time

from clickhouse.connection import Warehouse
from clickhouse.cubes import MONTHS_PER_REFRESH, OF_REFRESH, STORED, TABLES

KEPT_SECONDS = 900  # within which a refresh has named what it made
# What no month names any more is kept as long as a question may still be about to read it: this
# long after this process has seen that what it named is not named any more, or, for what others
# did, after the last refresh.
SETTLED_SECONDS = 30
SMALL = tuple(cube for cube in TABLES if cube.small)  # whose refreshes have no partitions

UNNAMED_SHARE = 0.1  # of the rows of a small rollup; to write the others again takes longer

# Of each database the refreshes that this process named, and when it saw that nothing does: else 0.
_named_here: dict[str, dict[int, int]] = {}


def has_named(warehouse: Warehouse, number: int) -> None:
    """Remember that months name what this refresh made."""
    _named_here.setdefault(warehouse.settings.database, {})[number] = 0


def drop_unnamed(
    warehouse: Warehouse,
    kept_seconds: float = KEPT_SECONDS,
    settled_seconds: float = SETTLED_SECONDS,
) -> None:
    """Drop the rows of builds that no month names, once no question can be reading them."""
    now = time.time_ns() // 1000
    numbers = f"intDiv(arrayJoin([build, scoped]), {MONTHS_PER_REFRESH})"
    [(found,)] = warehouse.rows(f"SELECT groupUniqArray({numbers}) FROM rollup_months FINAL")
    named = {0, *map(int, found)}
    settled = now - int(settled_seconds * 1e6)
    here = _named_here.setdefault(warehouse.settings.database, {})
    here |= {number: since or now for number, since in here.items() if number not in named}
    lost = [number for number, since in here.items() if 0 < since <= settled]
    oldest = now - int(kept_seconds * 1e6) if max(named) < settled else 0
    if not lost and not oldest:
        return

    def unnamed(number: str) -> str:
        return f"({number} IN {[0, *lost]} OR {number} < {oldest} AND {number} NOT IN {[*named]})"

    large = [table.name for table in STORED if table not in SMALL]
    partitions = warehouse.rows(
        "SELECT DISTINCT table, partition FROM system.parts WHERE database = currentDatabase()"
        " AND table IN {tables:Array(String)} AND active"
        f" AND {unnamed('toUInt64OrZero(partition)')}",
        {"tables": large},
    )
    for table, partition in partitions:
        warehouse.command(f"ALTER TABLE {table} DROP PARTITION {int(partition)}")
    for cube in SMALL:
        rows_of = f"countIf({unnamed(OF_REFRESH)}), count()"
        [(rows, all_rows)] = warehouse.rows(f"SELECT {rows_of} FROM {cube.name}")
        if rows > all_rows * UNNAMED_SHARE:
            warehouse.command(
                f"ALTER TABLE {cube.name} DELETE WHERE {unnamed(OF_REFRESH)}"
                " SETTINGS mutations_sync = 1"
            )
