"""Small tables that answer most questions, made from the deduplicated lines and never added to.

A refresh makes the months that are not as the lines are, each under a new build number; the row in
`rollup_months` that names the build is written last. Whatever ends half way, or runs twice at a
time, leaves rows behind that nothing names, and a later refresh drops them.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from clickhouse.attempts import multi_node_lines, reach
from clickhouse.connection import Warehouse
from clickhouse.coverage import (
    DAY,
    Coverage,
    day_of,
    look,
    next_month,
    seconds,
)
from clickhouse.errors import WarehouseError
from clickhouse.measures import CUBES, DAYS, MEASURES, MONTHS_PER_REFRESH, TABLES, Cube
from clickhouse.rowset import of_lines, of_near_lines

log = logging.getLogger(__name__)

# Rows that no month names any more are kept while a question may still be reading them.
KEPT_SECONDS = 900

REFRESH_SECONDS = 60.0  # between two refreshes of the daemon while lines keep coming

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Refresh:
    """What a refresh did: months made anew, and the seconds it took."""

    months: int
    seconds: float


def refresh(warehouse: Warehouse, stopped: Callable[[], bool] = lambda: False) -> Refresh:
    """Bring the rollups up to date, cheap where they are; `stopped` ends it between two years."""
    began = time.monotonic()
    with _one_at_a_time:
        _create_tables(warehouse)
        coverage = doubting_attempts(warehouse, look(warehouse))
        months = [month for month in coverage.months() if coverage.stale(month)]
        built = 0
        for unit in _units(months):
            if stopped():
                break
            _build(warehouse, unit)
            built += len(unit)
        if built:
            _drop_unnamed(warehouse)
    done = Refresh(built, time.monotonic() - began)
    if built:
        log.info("%d months of rollups in %.1f s", done.months, done.seconds)
    return done


def _create_tables(warehouse: Warehouse) -> None:
    """Make the tables, anew where they were made for another definition."""
    found = warehouse.rows(
        "SELECT name, comment FROM system.tables"
        " WHERE database = currentDatabase() AND name IN {names:Array(String)}",
        {"names": [cube.name for cube in TABLES]},
    )
    comments = {str(name): str(comment) for name, comment in found}
    for cube in TABLES:
        made_by = hashlib.sha256(cube.create_sql.encode()).hexdigest()
        if comments.get(cube.name) == made_by:
            continue
        warehouse.command(f"DROP TABLE IF EXISTS {cube.name} SYNC")
        warehouse.command(f"{cube.create_sql} COMMENT '{made_by}'")


def _units(months: Iterable[date]) -> Iterator[list[date]]:
    """Group months by year, the latest first: what is looked at most is there first."""
    for _, year in groupby(sorted(months, reverse=True), key=lambda month: month.year):
        yield sorted(year)


def _build(warehouse: Warehouse, months: list[date]) -> None:
    """Make some months of a year, and then name them."""
    began = time.monotonic()
    number = _refresh_number()
    seen = look(warehouse)
    _insert_from_lines(warehouse, DAYS, number, months)
    for cube in CUBES:
        if set(cube.keys) <= set(DAYS.keys):
            _insert_from_days(warehouse, cube, number)
        else:
            _insert_from_lines(warehouse, cube, number, months)
    if time.monotonic() - began > KEPT_SECONDS / 2:
        raise WarehouseError(f"rollups of {months[0].year}: too slow, they could be dropped")
    _name(warehouse, number, months, seen)


def _refresh_number() -> int:
    """Give the time in µs, so made that another process can hardly get the same."""
    return time.time_ns() // 1_000_000 * 1000 + secrets.randbelow(1000)


def _name(warehouse: Warehouse, number: int, months: list[date], seen: Coverage) -> None:
    """Remember the builds of some months of a year: from here on they are read."""
    years = {str(months[0].year + more) for more in (-1, 0, 1)}
    parts = [
        [part.partition, part.first, part.last, part.version]
        for part in seen.parts
        if part.partition in years
    ]
    warehouse.insert_rows(
        "rollup_months",
        ["month", "build", "made_by", "parts"],
        [[month.isoformat(), _build_number(number, month), seen.origin, parts] for month in months],
    )


def _build_number(refresh_number: int, month: date) -> int:
    return refresh_number * MONTHS_PER_REFRESH + (month.year - 1970) * 12 + month.month


def _insert_from_lines(warehouse: Warehouse, cube: Cube, number: int, months: list[date]) -> None:
    first, end = months[0], next_month(months[-1])
    low, high = seconds(first - DAY), seconds(end + DAY)
    conditions = [
        f"time BETWEEN {low} AND {high}",
        f"toStartOfMonth(day) IN ({', '.join(repr(str(month)) for month in months)})",
    ]
    columns = ["day", *cube.keys, *MEASURES]
    if "node_spread" in cube.keys:
        near = multi_node_lines(*reach(warehouse, low, high))
        rows = of_near_lines({}, columns, conditions, near)
    else:
        rows = of_lines(columns, conditions)
    grain = "toStartOfMonth(day)" if cube.grain == "month" else "day"
    _insert(warehouse, cube, number, grain, rows)


def _insert_from_days(warehouse: Warehouse, cube: Cube, number: int) -> None:
    first = number * MONTHS_PER_REFRESH
    columns = ", ".join(f"`{name}`" for name in ("day", *cube.keys, *MEASURES))
    builds = f"build >= {first} AND build < {first + MONTHS_PER_REFRESH}"
    rows = f"SELECT {columns} FROM {DAYS.name} WHERE {builds}"
    _insert(warehouse, cube, number, "toStartOfMonth(day)", rows)


def _insert(warehouse: Warehouse, cube: Cube, number: int, grain: str, rows: str) -> None:
    keys = ", ".join(f"`{key}`" for key in cube.keys)
    measures = ", ".join(_merged(name) for name in MEASURES)
    warehouse.command(
        f"INSERT INTO {cube.name}"
        f" SELECT {number * MONTHS_PER_REFRESH} + (toYear(its_day) - 1970) * 12 + toMonth(its_day),"
        f" {grain} AS its_day, {keys}, {measures} FROM ({rows}) GROUP BY its_day, {keys}"
    )


def _merged(name: str) -> str:
    measure = MEASURES[name]
    if measure.counted:
        return f"{measure.function}If({name}, {measure.counted} > 0)"
    return f"{measure.function}({name})"


def doubting_attempts(warehouse: Warehouse, coverage: Coverage) -> Coverage:
    """Take for stale the days too on which attempts ran that have got new lines since."""
    doubtful = []
    for start, end in coverage.stale_in_built():
        first, _ = reach(warehouse, seconds(start - DAY), seconds(end + DAY))
        doubtful.append((day_of(first) - DAY, start))
    return coverage.doubting(doubtful)


def _drop_unnamed(warehouse: Warehouse, after_seconds: float = KEPT_SECONDS) -> None:
    """Drop the rows of builds that no month names, once no question can be reading them."""
    oldest = time.time_ns() // 1000 - int(after_seconds * 1e6)
    named = f"SELECT intDiv(build, {MONTHS_PER_REFRESH}) FROM rollup_months FINAL"
    found = warehouse.rows(
        "SELECT DISTINCT table, partition FROM system.parts WHERE database = currentDatabase()"
        " AND table IN {tables:Array(String)} AND active"
        f" AND toUInt64OrZero(partition) < {{oldest:UInt64}}"
        f" AND toUInt64OrZero(partition) NOT IN ({named})",
        {"tables": [cube.name for cube in TABLES], "oldest": oldest},
    )
    for table, partition in found:
        warehouse.command(f"ALTER TABLE {table} DROP PARTITION {int(partition)}")
