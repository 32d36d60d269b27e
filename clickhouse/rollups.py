"""Small tables that answer most questions, made from the deduplicated lines and never added to.

A refresh makes the months that are not as the lines are, each under a new build number; the row in
`rollup_months` that names the build is written last. Whatever ends half way, or runs twice at a
time, leaves rows behind that nothing names, and a later refresh drops them. Of a month that still
gets lines the recent days have a build of their own: they are made again within a second.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from clickhouse import askers, due
from clickhouse.attempts import doubting_attempts, multi_node_lines, reach
from clickhouse.connection import Warehouse
from clickhouse.coverage import (
    DAY,
    Coverage,
    Days,
    look,
    next_month,
    seconds,
    united,
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

REFRESH_SECONDS = 5.0  # between two refreshes of the daemon while lines keep coming, at least
MOST_SECONDS = 60.0  # and at most, though the last one made all months
AGAIN_SECONDS = 600.0  # between two while none come: somebody may have asked

MANY_MONTHS = 3  # from which on it is faster to look for multi-node lines in more months

_COLUMNS = "month, recent, split, build, made_by, parts, scoped, scopes"  # of `rollup_months`
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


def pause(seconds: float) -> float:
    """Give the seconds to wait while lines keep coming, after a refresh that took so many."""
    return min(REFRESH_SECONDS * max(1.0, 2 * seconds), MOST_SECONDS)


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
        stale = due.stale(coverage)
        if stale:
            drop_unnamed(warehouse)
        built = 0
        for unit in (*due.by_year(warehouse, stale), *due.scattered(coverage)):
            if stopped():
                break
            _build(warehouse, unit)
            built += len({first.replace(day=1) for first, _ in unit})
        if built:
            _know_parts(warehouse)
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


def _build(warehouse: Warehouse, unit: list[Days]) -> None:
    """Make some months or days of some, and then name them."""
    began = time.monotonic()
    seen = look(warehouse)
    made = [(_build_rows(warehouse, spans), spans) for spans in due.apart(unit)]
    if time.monotonic() - began > KEPT_SECONDS / 2:
        raise WarehouseError(f"rollups of {unit[0][0].year}: too slow, they could be dropped")
    _name(warehouse, made, seen)
    for number, _ in made:
        warehouse.command(f"ALTER TABLE {NEAR.name} DROP PARTITION {number}")


def _build_rows(warehouse: Warehouse, spans: list[Days]) -> int:
    """Make the rows of months, or of days of different ones, and give the number of the refresh."""
    number = _refresh_number()
    _insert_near_lines(warehouse, number, spans)
    _insert_lines(warehouse, number, spans)
    for place, cube in enumerate(TABLES[1:], 1):
        [*_, larger] = (each for each in TABLES[:place] if each.has_all_of(cube))  # the smallest
        if larger == LINE_DAYS:
            _insert_from_lines(warehouse, cube, number)
        else:
            _insert_from_cube(warehouse, cube, number, larger)
    return number


def _refresh_number() -> int:
    """Give the time in µs, so made that another process can hardly get the same."""
    return time.time_ns() // 1_000_000 * 1000 + secrets.randbelow(1000)


def _name(warehouse: Warehouse, made: Sequence[tuple[int, list[Days]]], seen: Coverage) -> None:
    """Remember the builds of some months or days, all at once: from here on they are read."""
    parts = _parts_around(seen, (first for _, spans in made for first, _ in spans))
    warehouse.insert_rows(
        "rollup_months",
        ["month", "recent", "split", "build", "made_by", "parts"],
        [
            [month.isoformat(), recent, split.isoformat(), build, seen.origin, parts]
            for number, spans in made
            for span in spans
            for month, recent, split, build in _named(number, *span)
        ],
    )


def _parts_around(seen: Coverage, days: Iterable[date]) -> list[tuple[str, int, int, int]]:
    """List the parts with lines of the years of these days, and of the years beside these."""
    years = {str(day.year + more) for day in days for more in (-1, 0, 1)}
    return [
        (part.partition, part.first, part.last, part.version)
        for part in seen.parts
        if part.partition in years
    ]


def _know_parts(warehouse: Warehouse) -> None:
    """Let all builds know the parts that have no news for them, with which theirs may merge.

    A part made of what a build knows and what it does not would make all of its year stale.
    """
    coverage = doubting_attempts(warehouse, look(warehouse))
    known = [
        span
        for month, spans in coverage.spans.items()
        if not coverage.stale(month)
        for span in spans
        if any(coverage.unknown_to(span))
    ]
    if known:
        parts = _parts_around(coverage, (span.start for span in known))
        warehouse.command(
            f"INSERT INTO rollup_months ({_COLUMNS}) SELECT month, recent, split, build, made_by,"
            f" {parts}, scoped, scopes FROM rollup_months FINAL WHERE {_OF_BUILDS}",
            parameters={"builds": [span.build for span in known]},
        )


def _named(number: int, start: date, end: date) -> Iterator[tuple[date, int, date, int]]:
    """Write the month of some days, whether they are the recent ones, the split, and the build."""
    month = start.replace(day=1)
    build = _build_number(number, month)
    if start == month:
        yield month, 0, end, build
    if end == next_month(month):  # none, where all are one
        yield month, 1, end if start == month else start, build


def _build_number(refresh_number: int, month: date) -> int:
    return refresh_number * MONTHS_PER_REFRESH + (month.year - 1970) * 12 + month.month


def _build_sql(refresh_number: int, day: str) -> str:
    """Write the build of the month in which a day is."""
    return f"{refresh_number * MONTHS_PER_REFRESH} + (toYear({day}) - 1970) * 12 + toMonth({day})"


def _times(spans: list[Days]) -> tuple[int, int]:
    """Give the span of `time` in which lines of these days are, whatever the time zone is."""
    return seconds(spans[0][0] - DAY), seconds(spans[-1][1] + DAY)


def _insert_near_lines(warehouse: Warehouse, number: int, spans: list[Days]) -> None:
    """Find the multi-node lines once for all rollups of these days."""
    span = reach(warehouse, *_times(spans), roughly=len(spans) > MANY_MONTHS)
    warehouse.command(
        f"INSERT INTO {NEAR.name} SELECT {number * MONTHS_PER_REFRESH}, record_id"
        f" FROM ({multi_node_lines(*span)})"
    )


def _insert_lines(warehouse: Warehouse, number: int, spans: list[Days]) -> None:
    """Work out what is made of each line, once for all rollups."""
    low, high = _times(spans)
    days = (f"day >= '{start}' AND day < '{end}'" for start, end in united(spans))
    conditions = [f"time BETWEEN {low} AND {high}", " OR ".join(days)]
    near = f"SELECT record_id FROM {NEAR.name} WHERE {_of_refresh(number)}"
    rows = of_near_lines("", {}, [*LINE_DAYS.stored], conditions, near)
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
    builds = {
        (span.start, span.end): span.build for month in lacking for span in coverage.spans[month]
    }
    for unit in due.by_year(warehouse, [*builds]):
        for spans in due.apart(unit):
            if stopped():
                return
            _build_scopes(warehouse, [builds[span] for span in spans], wanted)


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
        f"INSERT INTO rollup_months ({_COLUMNS})"
        f" SELECT month, recent, split, build, made_by, parts, {own_build},"
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
