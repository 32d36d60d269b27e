"""Rows of rollups that no month names any more: those of builds that others have replaced."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from clickhouse.connection import Warehouse
from clickhouse.cubes import OF_REFRESH, STORED, TABLES

KEPT_SECONDS = 900  # within which a refresh has named what it made
# What no month names any more is kept as long as a question may still be about to read it: this
# long after this process saw that it had lost its name or, where it never saw one, after its first
# look, or after the last refresh.
SETTLED_SECONDS = 30
SMALL = tuple(cube for cube in TABLES if cube.small)  # whose refreshes have no partitions

UNNAMED_SHARE = 0.1  # of the rows of a small rollup; to write the others again takes longer


@dataclass
class _Seen:
    """What this process knows of a database: refreshes by number, and times in µs as these are."""

    since: int
    named: set[int] = field(default_factory=set)
    lost: dict[int, int] = field(default_factory=dict)  # when they were seen to have no name


_seen: dict[str, _Seen] = {}  # by database


def drop_unnamed(
    warehouse: Warehouse,
    kept_seconds: float = KEPT_SECONDS,
    settled_seconds: float = SETTLED_SECONDS,
) -> None:
    """Drop the rows of builds that no month names, once no question can be reading them."""
    now = time.time_ns() // 1000
    settled, kept = now - int(settled_seconds * 1e6), now - int(kept_seconds * 1e6)
    numbers = f"arrayJoin(arrayPushBack(made_scopes.2, {OF_REFRESH}))"
    [(found,)] = warehouse.rows(f"SELECT groupUniqArray({numbers}) FROM rollup_months FINAL")
    named = {0, *map(int, found)}
    seen = _seen.setdefault(warehouse.settings.database, _Seen(now))
    seen.lost |= dict.fromkeys(seen.named - named, now)
    seen.named = named
    waiting = [number for number, since in seen.lost.items() if since > settled]
    lost = [number for number in seen.lost if number not in waiting]
    oldest = kept if seen.since <= settled or max(named) < settled else 0
    if not lost and not oldest:
        return

    def unnamed(number: str) -> str:
        return (
            f"({number} IN {[0, *lost]} OR {number} < {oldest}"
            f" AND {number} NOT IN {[*named, *waiting]}) AND {number} > 0"
        )

    large = [table.name for table in STORED if table not in SMALL]
    partitions = warehouse.rows(
        "SELECT DISTINCT table, partition FROM system.parts WHERE database = currentDatabase()"
        " AND table IN {tables:Array(String)} AND active"
        f" AND ({unnamed('toUInt64OrZero(partition)')})",
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
    seen.lost = {number: seen.lost[number] for number in (*waiting, *lost) if number >= oldest}
