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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from clickhouse import askers
from clickhouse.attempts import multi_node_lines, other_days, reach
from clickhouse.connection import Warehouse
from clickhouse.coverage import (
    DAY,
    Coverage,
    look,
    next_month,
    seconds,
)
from clickhouse.cubes import (
    GRAINS,
    LINE_DAYS,
    MONTHS_PER_REFRESH,
    NEAR,
    STORED,
    TABLES,
    Cube,
)
from clickhouse.errors import ConfigError, WarehouseError
from clickhouse.hosts import on_each, opened
from clickhouse.measures import MEASURES, QUANTITIES
from clickhouse.rowset import EAGER, of_cube, of_near_lines
from clickhouse.seen import of_scope
from clickhouse.shards import Shards
from clickhouse.unnamed import KEPT_SECONDS, drop_unnamed

log = logging.getLogger(__name__)

# A year whose months have stayed as they are for so long is made as one: each part of a table
# that a question reads takes its time, and each refresh makes one.
TOGETHER_SECONDS = 86_400

REFRESH_SECONDS = 60.0  # between two refreshes of the daemon while lines keep coming
AGAIN_SECONDS = 600.0  # between two while none come: somebody may have asked

MANY_MONTHS = 3  # from which on it is faster to look for multi-node lines in more months

# Up to so many lines, years are made together: each time takes a second or two, however few.
LINES_AT_ONCE = 1_000_000

_OF_BUILDS = "build IN {builds:Array(UInt64)}"
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Wanted:
    """The scopes that rows are made for: of each number the condition, whose values are bound."""

    conditions: Mapping[int, str]
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Refresh:
    """What a refresh did: months made anew, and the seconds it took."""

    months: int
    seconds: float


def refresh(warehouse: Warehouse, stopped: Callable[[], bool] = lambda: False) -> Refresh:
    """Bring the rollups up to date, cheap where they are; `stopped` ends it between two steps.

    On a cluster each server makes those of what it holds, and one that is down is left out.
    """
    wanted = _wanted(warehouse)
    if warehouse.shards:
        return _refresh_each(warehouse, warehouse.shards, wanted, stopped)
    return _refresh(warehouse, wanted, stopped)


def _wanted(warehouse: Warehouse) -> Wanted:
    """Give what people see who have a role by the settings, as these are now, or who have asked."""
    settings = warehouse.settings
    try:
        access = settings.reread().access if settings.file else settings.access
    except ConfigError as error:
        log.error("%s; the roles stay as they were", error)
        access = settings.access
    conditions: dict[int, str] = {}
    parameters: dict[str, Any] = {}
    for scope in (*access.scopes(), *askers.scopes(warehouse)) if access else ():
        seen = of_scope(warehouse, scope, parameters)
        if seen.number:
            [conditions[seen.number]] = seen.conditions
    return Wanted(conditions, parameters)


def _refresh(warehouse: Warehouse, wanted: Wanted, stopped: Callable[[], bool]) -> Refresh:
    began = time.monotonic()
    with _one_at_a_time:
        _create_tables(warehouse)
        coverage = doubting_attempts(warehouse, look(warehouse))
        months = [month for month in coverage.months() if coverage.stale(month)]
        if months:
            drop_unnamed(warehouse)
        built = 0
        for unit in (*_units(warehouse, months), *_scattered(coverage)):
            if stopped():
                break
            _build(warehouse, unit)
            built += len(unit)
        _refresh_scopes(warehouse, wanted, stopped)
    done = Refresh(built, time.monotonic() - began)
    if built:
        log.info("%d months of rollups in %.1f s", done.months, done.seconds)
    return done


def _refresh_each(
    warehouse: Warehouse, shards: Shards, wanted: Wanted, stopped: Callable[[], bool]
) -> Refresh:
    done: list[Refresh] = []

    def one(address: str) -> None:
        with opened(warehouse, address, shards.database) as own:
            done.append(_refresh(own, wanted, stopped))

    on_each(warehouse, shards, one, "the refresh of its rollups")
    return Refresh(sum(each.months for each in done), sum(each.seconds for each in done))


def _create_tables(warehouse: Warehouse) -> None:
    """Make the tables, anew where they were made for another definition."""
    found = warehouse.rows(
        "SELECT name, comment FROM system.tables"
        " WHERE database = currentDatabase() AND name IN {names:Array(String)}",
        {"names": [table.name for table in STORED]},
    )
    comments = {str(name): str(comment) for name, comment in found}
    for table in STORED:
        made_by = hashlib.sha256(table.create_sql.encode()).hexdigest()
        if comments.get(table.name) == made_by:
            continue
        # else what another version has named would count as made, once that version is back
        warehouse.command("TRUNCATE TABLE rollup_months")
        warehouse.command(f"DROP TABLE IF EXISTS {table.name} SYNC")
        warehouse.command(f"{table.create_sql} COMMENT '{made_by}'")


def _units(warehouse: Warehouse, months: Sequence[date]) -> Iterator[list[date]]:
    """Group months by year, the latest first: what is looked at most is there first.

    Years with few lines are one group with those before them.
    """
    lines = _lines_by_year(warehouse) if months else {}
    unit: list[date] = []
    taken = 0
    for year, its_months in groupby(sorted(months, reverse=True), key=lambda month: month.year):
        if unit and taken + lines.get(year, 0) > LINES_AT_ONCE:
            yield sorted(unit)
            unit, taken = [], 0
        unit += its_months
        taken += lines.get(year, 0)
    if unit:
        yield sorted(unit)


def _scattered(coverage: Coverage) -> Iterator[list[date]]:
    """Group by year what several refreshes have made, all of them long ago."""
    long_ago = (time.time_ns() // 1000 - TOGETHER_SECONDS * 1_000_000) * MONTHS_PER_REFRESH
    settled = (
        month
        for month in coverage.months()
        if not coverage.stale(month) and coverage.builds[month] < long_ago
    )
    for _, months in groupby(settled, key=lambda month: month.year):
        unit = [*months]
        if len({coverage.builds[month] // MONTHS_PER_REFRESH for month in unit}) > 1:
            yield unit


def _lines_by_year(warehouse: Warehouse) -> dict[int, int]:
    found = warehouse.rows(
        "SELECT toInt32(partition), sum(rows) FROM system.parts"
        " WHERE database = currentDatabase() AND table = 'accounting' AND active GROUP BY partition"
    )
    return {int(year): int(rows) for year, rows in found}


def _build(warehouse: Warehouse, months: list[date]) -> None:
    """Make some months, and then name them."""
    began = time.monotonic()
    number = _refresh_number()
    seen = look(warehouse)
    _insert_near_lines(warehouse, number, months)
    _insert_lines(warehouse, number, months)
    for place, cube in enumerate(TABLES[1:], 1):
        [*_, larger] = (each for each in TABLES[:place] if each.has_all_of(cube))  # the smallest
        if larger == LINE_DAYS:
            _insert_from_lines(warehouse, cube, number)
        else:
            _insert_from_cube(warehouse, cube, number, larger)
    if time.monotonic() - began > KEPT_SECONDS / 2:
        raise WarehouseError(f"rollups of {months[0].year}: too slow, they could be dropped")
    _name(warehouse, number, months, seen)
    warehouse.command(f"ALTER TABLE {NEAR.name} DROP PARTITION {number}")


def _refresh_number() -> int:
    """Give the time in µs, so made that another process can hardly get the same."""
    return time.time_ns() // 1_000_000 * 1000 + secrets.randbelow(1000)


def _name(warehouse: Warehouse, number: int, months: list[date], seen: Coverage) -> None:
    """Remember the builds of some months: from here on they are read."""
    years = {str(month.year + more) for month in months for more in (-1, 0, 1)}
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


def _build_sql(refresh_number: int, day: str) -> str:
    """Write the build of the month in which a day is."""
    return f"{refresh_number * MONTHS_PER_REFRESH} + (toYear({day}) - 1970) * 12 + toMonth({day})"


def _times(months: list[date]) -> tuple[int, int]:
    """Give the span of `time` in which lines of these months are, whatever the time zone is."""
    return seconds(months[0] - DAY), seconds(next_month(months[-1]) + DAY)


def _insert_near_lines(warehouse: Warehouse, number: int, months: list[date]) -> None:
    """Find the multi-node lines once for all rollups of these months."""
    span = reach(warehouse, *_times(months), roughly=len(months) > MANY_MONTHS)
    warehouse.command(
        f"INSERT INTO {NEAR.name} SELECT {number * MONTHS_PER_REFRESH}, record_id"
        f" FROM ({multi_node_lines(*span)})"
    )


def _insert_lines(warehouse: Warehouse, number: int, months: list[date]) -> None:
    """Work out what is made of each line, once for all rollups."""
    low, high = _times(months)
    conditions = [
        f"time BETWEEN {low} AND {high}",
        f"toStartOfMonth(day) IN ({', '.join(repr(str(month)) for month in months)})",
    ]
    near = f"SELECT record_id FROM {NEAR.name} WHERE {_of_refresh(number)}"
    rows = of_near_lines({}, [*LINE_DAYS.stored], conditions, near)
    columns = ", ".join(f"`{name}`" for name in LINE_DAYS.stored)
    warehouse.command(
        f"INSERT INTO {LINE_DAYS.name} (build, {columns})"
        f" SELECT {_build_sql(number, 'day')}, {columns} FROM ({rows}){EAGER}"
    )


def _insert_from_lines(warehouse: Warehouse, cube: Cube, number: int) -> None:
    columns = ["day", *cube.keys, *cube.measures, *cube.values_of_rows]
    rows = of_cube({}, LINE_DAYS, columns, [_of_refresh(number)])
    _insert(warehouse, cube, number, GRAINS[cube.grain][0], rows)


def _refresh_scopes(warehouse: Warehouse, wanted: Wanted, stopped: Callable[[], bool]) -> None:
    """Make the rows of scopes for the months that lack some."""
    coverage = look(warehouse) if wanted.conditions else Coverage()
    lacking = [
        month
        for month in coverage.months()
        if coverage.is_built(month)
        and not all(coverage.builds_of(month, scope) for scope in wanted.conditions)
    ]
    for unit in _units(warehouse, lacking):
        if stopped():
            break
        _build_scopes(warehouse, [coverage.builds[month] for month in unit], wanted)


def _build_scopes(warehouse: Warehouse, builds: list[int], wanted: Wanted) -> None:
    """Make the rows of scopes for some months out of their builds, and then name them."""
    number = _refresh_number()
    numbers = [f"if({sql}, {scope}, 0)" for scope, sql in wanted.conditions.items()]
    seen_by = f"arrayJoin(arrayFilter(scope -> scope > 0, [{', '.join(numbers)}]))"
    parameters = {**wanted.parameters, "builds": builds}
    for cube in (each for each in TABLES if each.scoped):
        [*_, larger] = (each for each in TABLES if each.has_people_of(cube))  # the smallest
        rows = f"SELECT *, {seen_by} AS its_scope FROM {larger.name} WHERE {_OF_BUILDS}"
        _insert(warehouse, cube, number, "day", rows, _sorted_again, parameters)
    own_build = _build_sql(number, "month")
    warehouse.command(
        f"INSERT INTO rollup_months SELECT month, build, made_by, parts, {own_build},"
        f" {{scopes:Array(UInt64)}} FROM rollup_months FINAL WHERE {_OF_BUILDS}",
        parameters={"scopes": [*wanted.conditions], "builds": builds},
    )


def _insert_from_cube(warehouse: Warehouse, cube: Cube, number: int, larger: Cube) -> None:
    rows = f"SELECT * FROM {larger.name} WHERE {_of_refresh(number)}"
    grain = GRAINS[cube.grain][0] if larger.grain != cube.grain else "day"
    _insert(warehouse, cube, number, grain, rows, _sorted_again)


def _of_refresh(number: int) -> str:
    first = number * MONTHS_PER_REFRESH
    return f"build >= {first} AND build < {first + MONTHS_PER_REFRESH}"


def _insert(
    warehouse: Warehouse,
    cube: Cube,
    number: int,
    grain: str,
    rows: str,
    sorted_values: Callable[[str], str] | None = None,
    scoped: Mapping[str, Any] | None = None,
) -> None:
    """Make a cube of rows: lines or another cube's, whose values `sorted_values` puts in order.

    `scoped` binds the values in rows that have `its_scope`.
    """
    keys = ", ".join(f"`{key}`" for key in cube.keys)
    if cube.scoped:
        keys += ", its_scope"
        rows = rows if scoped else f"SELECT *, toUInt64(0) AS its_scope FROM ({rows})"
    take = (sorted_values or _sorted) if cube.of_values else _merged
    taken = {name: take(name) for name in cube.amounts}
    grouped = (
        f"SELECT {_build_sql(number, 'its_day')} AS its_build, {grain} AS its_day, {keys},"
        f" {', '.join(f'{sql} AS its_{name}' for name, sql in taken.items())}"
        f" FROM ({rows}) GROUP BY its_day, {keys}"
    )
    columns = [f"its_{name}" for name in taken]
    if cube.of_values:
        columns = [_counted(name) for name in columns]
    warehouse.command(
        f"INSERT INTO {cube.name} SELECT its_build, its_day, {keys}, {', '.join(columns)}"
        f" FROM ({grouped}){EAGER}",
        parameters=scoped,
    )


def _merged(name: str) -> str:
    measure = MEASURES[name]
    if measure.counted:
        return f"{measure.function}If({name}, {measure.counted} > 0)"
    return f"{measure.function}({name})"


def _sorted(quantity: str) -> str:
    """Write the rounded values of lines, in order, each as often as it occurs."""
    rounded = QUANTITIES[quantity].rounded_sql(f"{quantity}_value")
    return f"arraySort(groupArrayIf({rounded}, {quantity}_weight > 0))"


def _sorted_again(quantity: str) -> str:
    """Write the same of rows that have them with their counts."""
    each = f"{quantity}_values, {quantity}_weights"
    return (
        "arraySort(groupArrayArray(arrayFlatten(arrayMap("
        f"(value, weight) -> arrayWithConstant(weight, value), {each}))))"
    )


def _counted(values: str) -> str:
    """Write two arrays of one that is in order: its different values, and the number of each."""
    before = f"arrayPopBack(arrayPushFront({values}, toFloat32(-1)))"
    starts = (
        f"arrayFilter((number, differs) -> differs, arrayEnumerate({values}),"
        f" arrayMap((value, last) -> value != last, {values}, {before}))"
    )
    ends = f"arrayPushBack({starts}, toUInt32(length({values}) + 1))"
    return f"arrayMap(number -> {values}[number], {starts}), arrayPopFront(arrayDifference({ends}))"


def doubting_attempts(warehouse: Warehouse, coverage: Coverage) -> Coverage:
    """Take for stale the days too of other lines of the attempts that have got new ones since."""
    doubtful = [
        (day - DAY, day + 2 * DAY)
        for first, end in coverage.unseen()
        for day in other_days(warehouse, seconds(first), seconds(end) - 1)
    ]
    return coverage.doubting(doubtful)
