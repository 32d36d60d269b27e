"""The rows of all rollups that a refresh makes, each month's under a build number of its own."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from clickhouse.attempts import multi_node_lines, reach
from clickhouse.connection import Warehouse
from clickhouse.cubes import (
    GRAINS,
    LINE_DAYS,
    MONTHS_PER_REFRESH,
    NEAR,
    TABLES,
    Cube,
    build_of_year_sql,
    build_sql,
)
from clickhouse.days import DAY, Days, seconds, united, whole_years
from clickhouse.measures import MEASURES, QUANTITIES
from clickhouse.rowset import EAGER, of_cube, of_near_lines
from clickhouse.scopes import Scopes

MANY_MONTHS = 3  # from which on it is faster to look for multi-node lines in more months
OF_BUILDS = "build IN {builds:Array(UInt64)}"


def make(warehouse: Warehouse, spans: list[Days]) -> int:
    """Make the rows of months, or of days of different ones, and give the number of the refresh."""
    number = refresh_number()
    _insert_near_lines(warehouse, number, spans)
    _insert_lines(warehouse, number, spans)
    years = whole_years(spans)
    for place, cube in enumerate(TABLES[1:], 1):
        if cube.of_years and not years:
            continue
        [*_, larger] = (each for each in TABLES[:place] if each.has_all_of(cube))  # the smallest
        if larger == LINE_DAYS:
            _insert_from_lines(warehouse, cube, number)
        else:
            _insert_from_cube(warehouse, cube, number, larger, years)
    return number


def make_scoped(
    warehouse: Warehouse, number: int, made: Mapping[Days, int], scopes: Scopes
) -> None:
    """Make the rows of scopes out of the builds of some days, under the number of a refresh."""
    seen_by = f"arrayJoin(arrayFilter(scope -> scope > 0, {scopes.numbers_sql}))"
    bound = {**scopes.bound, "builds": [*made.values()]}
    years = whole_years(made)
    for cube in (each for each in TABLES if each.scoped):
        if cube.of_years and not years:
            continue
        [*_, larger] = (each for each in TABLES if each.has_people_of(cube))  # the smallest
        rows = (
            f"SELECT *, {seen_by} AS its_scope FROM {larger.name}"
            f" WHERE {OF_BUILDS} AND {scopes.found_sql}{_of_years(cube, years)}"
        )
        _insert(warehouse, cube, number, _grain(cube, larger), rows, _sorted_again, bound)


def refresh_number() -> int:
    """Give the time in µs, so made that another process can hardly get the same."""
    return time.time_ns() // 1_000_000 * 1000 + secrets.randbelow(1000)


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
        f" SELECT {build_sql(number, 'day')}, {columns} FROM ({rows}){EAGER}"
    )


def _insert_from_lines(warehouse: Warehouse, cube: Cube, number: int) -> None:
    columns = ["day", *cube.keys, *cube.measures, *cube.values_of_rows]
    rows = of_cube({}, LINE_DAYS, columns, [_of_refresh(number)])
    _insert(warehouse, cube, number, GRAINS[cube.grain][0], rows)


def _insert_from_cube(
    warehouse: Warehouse, cube: Cube, number: int, larger: Cube, years: list[int]
) -> None:
    rows = f"SELECT * FROM {larger.name} WHERE {_of_refresh(number)}{_of_years(cube, years)}"
    _insert(warehouse, cube, number, _grain(cube, larger), rows, _sorted_again)


def _grain(cube: Cube, larger: Cube) -> str:
    """Write the day of a cube's row that a row of a larger one is added to."""
    return GRAINS[cube.grain][0] if larger.grain != cube.grain else "day"


def _of_years(cube: Cube, years: list[int]) -> str:
    """Limit what a cube of years is made of: years of which some months are not made have none."""
    return f" AND toYear(day) IN {years}" if cube.of_years else ""


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
    build = build_of_year_sql if cube.of_years else build_sql
    grouped = (
        f"SELECT {build(number, 'its_day')} AS its_build, {grain} AS its_day, {keys},"
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
