"""What the engine merges: nothing while a long file is loaded, and its copies after that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Self

from clickhouse.connection import Warehouse
from clickhouse.hosts import on_each_shard

MOST_PARTS = 300  # of a year that wait; at 1,000 the engine would have inserts wait


@dataclass
class Merges:
    """The merges of `accounting` in an embedded database; those of a server are its own affair.

    While parts keep coming the engine merges few at a time, again and again: each row was written
    six times. Once the file is loaded it merges many at once. Nothing is kept of it: where a load
    is killed, the next one who opens the database has merges.
    """

    warehouse: Warehouse
    _waiting: bool = False
    _overdue: bool = False

    def __enter__(self) -> Self:
        """Give what has them wait."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let them go on, where they wait for this load."""
        if self._waiting:
            self._go_on()

    def wait(self) -> None:
        """Have them wait, or go on for good once a year has too many parts."""
        if not self.warehouse.embedded or self._overdue:
            return
        if self._parts_of_a_year() > MOST_PARTS:
            self._overdue = True
            self._go_on()
        else:
            self.warehouse.command("SYSTEM STOP MERGES accounting")
            self._waiting = True

    def _go_on(self) -> None:
        self.warehouse.command("SYSTEM START MERGES accounting")
        self._waiting = False

    def _parts_of_a_year(self) -> int:
        found = self.warehouse.rows(
            "SELECT count() AS parts FROM system.parts"
            " WHERE database = currentDatabase() AND table = 'accounting' AND active"
            " GROUP BY partition ORDER BY parts DESC LIMIT 1"
        )
        return int(found[0][0]) if found else 0


def merge_doubled(warehouse: Warehouse, cluster: str, file_id: str, start: int) -> None:
    """Merge the years in which a load left copies: reading around them costs four times.

    `start` is the offset in the file where it began.
    """
    if warehouse.shards:
        merge = partial(merge_doubled, cluster=cluster, file_id=file_id, start=start)
        on_each_shard(warehouse, warehouse.shards, merge, "merging its copies")
        return
    place = {"cluster": cluster, "file_id": file_id, "start": start}
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


def holds_other_files(warehouse: Warehouse, file_id: str, generation: int) -> bool:
    """Whether anything but this file's generation is loaded; else there can be no copies."""
    found = warehouse.rows(
        "SELECT count() FROM batches"
        " WHERE NOT (file_id = {file_id:String} AND generation = {generation:UInt32})",
        {"file_id": file_id, "generation": generation},
    )
    return bool(found[0][0])
