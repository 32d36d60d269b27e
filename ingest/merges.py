"""Has the engine's background merges wait while a long file is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from clickhouse.connection import Warehouse

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
