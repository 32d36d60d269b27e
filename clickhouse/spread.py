"""Lines with their wall time on each day that they ran, cut at midnight in the cluster's zone.

The parts of a line add up to its wall time, since they meet at the same midnights.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from clickhouse.connection import Warehouse
from clickhouse.coverage import Coverage, coverage_of
from clickhouse.days import DAY, day_of, seconds
from clickhouse.need import NO_DAY, Need
from clickhouse.paths import Path, from_lines
from clickhouse.words import words

# What is of the day rather than of the line: in a condition too it means the day on which it ran.
OF_DAY = frozenset({"day", "academic_year_start"})
PARTED = frozenset({"run_time", "core_time"})
NEEDED = frozenset(
    {"cluster", "day", "start_day", "start_time", "start_us", "wall_seconds", "slots"}
)
RAN = "is_executed AND wall_seconds IS NOT NULL"


def spread_lines(warehouse: Warehouse, need: Need) -> Path:
    """Take a row for each day on which a line ran in the period, with its wall and core seconds."""
    need, coverage = need.of_everybody, coverage_of(warehouse)
    of_days = [each for each in need.conditions if words([each]) & OF_DAY]
    of_lines = [each for each in need.conditions if each not in of_days]
    kept = {*need.columns()} - OF_DAY - PARTED
    lines = from_lines(warehouse, _ran(warehouse, need, kept, of_lines))
    sql = _spread_sql(lines.sql, coverage, sorted(kept), of_days)
    ends = {"spread_first": need.start, "spread_last": need.end - DAY}
    return replace(lines, sql=sql, parameters=lines.parameters | ends)


def _ran(warehouse: Warehouse, need: Need, kept: set[str], conditions: list[str]) -> Need:
    """Want the lines that ran in the period: they ended in it or later and began before its end."""
    texts, found = tuple(kept | NEEDED), (RAN, *conditions)
    if need.end == NO_DAY:
        return Need(texts, found, need.start)
    began = f"start_time <= {seconds(need.end + DAY)}"
    return Need(texts, (began, *found), need.start, _last_end(warehouse, need.end))


def _last_end(warehouse: Warehouse, day: date) -> date:
    """Give the day up to which lines ended that began before `day`."""
    sql = (
        "SELECT toUInt32(max(time)) FROM accounting"
        " WHERE start_time > 0 AND start_time <= {edge:UInt32} AND time >= {edge:UInt32}"
    )
    [(last,)] = warehouse.rows(sql, {"edge": seconds(day + DAY)})
    return max(day, day_of(last)) + 2 * DAY


def _spread_sql(lines: str, coverage: Coverage, kept: list[str], conditions: list[str]) -> str:
    """Write the rows: of each line its days, and of each day what it ran on it.

    Where clocks go back over midnight, an end can be on the day before the start.
    """
    columns = "".join(f"`{name}`, " for name in kept)
    first = "greatest(least(start_day, day), {spread_first:Date})"
    days = f"range(toUInt32(greatest(0, least(day, {{spread_last:Date}}) - {first} + 1)))"
    parts = (
        f"WITH (cluster, day) -> {coverage.midnight()} AS midnight,"
        " toUInt32(start_time) + start_us / 1e6 AS began,"
        " began + assumeNotNull(wall_seconds) AS ended"
        f" SELECT {columns}slots AS its_slots, ran_day,"
        " if(ran_day <= start_day, began,"
        " least(greatest(midnight(cluster, ran_day), began), ended)) AS since,"
        " if(ran_day = day, ended,"
        " least(greatest(midnight(cluster, ran_day + 1), began), ended)) AS until"
        f" FROM ({lines}) ARRAY JOIN arrayMap(i -> {first} + i, {days}) AS ran_day"
    )
    of_day = f"SELECT {columns}ran_day AS day, until - since AS run_time,"
    where = "".join(f" AND ({each})" for each in conditions)
    return (
        f"SELECT *, {dict(coverage.derived)['academic_year_start']} AS academic_year_start"
        f" FROM ({of_day} run_time * its_slots AS core_time FROM ({parts})) WHERE 1{where}"
    )
