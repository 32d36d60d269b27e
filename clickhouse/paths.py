"""Which rows answer a question: a rollup where it has what is needed, and lines for the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from clickhouse.attempts import multi_node_lines, reach
from clickhouse.connection import Warehouse
from clickhouse.coverage import (
    DAY,
    Coverage,
    Days,
    clipped,
    look,
    next_month,
    seconds,
    united,
    without,
)
from clickhouse.measures import CUBES, DAYS, KEYS, LINE_COLUMNS, MEASURES, Cube
from clickhouse.rollups import doubting_attempts
from clickhouse.rowset import (
    DERIVED,
    Derived,
    needed,
    of_cube,
    of_lines,
    of_near_lines,
    words,
)

COLUMNS = frozenset({"day", "node_spread", *KEYS, *MEASURES, *LINE_COLUMNS, *DERIVED})
FIRST_DAY, LAST_DAY, NO_DAY = date(1970, 1, 1), date(2106, 2, 6), date(2149, 6, 6)
# Time that a month alone tells, so that a rollup by month will do.
COARSE = ("toYear(day)", "toStartOfMonth(day)", "toStartOfQuarter(day)", "academic_year_start")


@dataclass(frozen=True)
class Need:
    """What a question takes: SQL over the rows (`texts`), and the filters that rows must meet."""

    texts: tuple[str, ...]
    conditions: tuple[str, ...] = ()
    start: date = FIRST_DAY
    end: date = NO_DAY

    def columns(self) -> list[str]:
        """List the columns that the rows must show."""
        return sorted(words(self.texts) & COLUMNS)

    def behind(self, derived: Derived) -> set[str]:
        """List the columns that the rows must be made of."""
        return (needed(derived, (*self.texts, *self.conditions)) & COLUMNS) - set(DERIVED)

    def needs_days(self, derived: Derived) -> bool:
        """Tell whether months are too coarse."""
        found = " ".join((*self.texts, *self.conditions))
        for coarse in COARSE:
            found = found.replace(coarse, "")
        return "day" in needed(derived, [found])


@dataclass
class Cells:
    """How the days of a period are covered: whole months, days of others, and days of lines."""

    months: list[int] = field(default_factory=list)  # builds
    built: list[int] = field(default_factory=list)  # builds of the months that `days` are of
    days: list[Days] = field(default_factory=list)
    lines: list[Days] = field(default_factory=list)


@dataclass(frozen=True)
class Path:
    """Rows as SQL, the values of its parameters, and the names of the tables that it reads."""

    sql: str
    parameters: dict[str, Any]
    tables: tuple[str, ...]


def choose(warehouse: Warehouse, need: Need) -> Path:
    """Take the smallest rollup that has what is needed, and lines where it is behind."""
    coverage = look(warehouse)
    derived = dict(coverage.derived)
    behind, by_day = need.behind(derived), need.needs_days(derived)
    cube = next((cube for cube in CUBES if behind <= cube.columns), None)
    days = behind <= DAYS.columns
    if not coverage.origin or cube is None or by_day and not days:
        return _of_lines(warehouse, coverage, need)
    if "node_spread" in behind:
        coverage = doubting_attempts(warehouse, coverage)
    cells = _cells(coverage, need, by_month=not by_day, by_day=days)
    return _union(warehouse, coverage, need, cube, cells)


def from_lines(warehouse: Warehouse, need: Need) -> Path:
    """Take everything from the lines."""
    return _of_lines(warehouse, look(warehouse), need)


def _cells(coverage: Coverage, need: Need, *, by_month: bool, by_day: bool) -> Cells:
    cells = Cells()
    for month in coverage.months():
        whole = (month, next_month(month))
        wanted = list(clipped([(need.start, need.end)], whole))
        stale = coverage.stale(month)
        if not wanted:
            continue
        if by_month and not stale and wanted == [whole]:
            cells.months.append(coverage.builds[month])
        elif by_day and stale != [whole]:
            cells.built.append(coverage.builds[month])
            cells.days += without(wanted[0], stale)
            cells.lines += clipped(stale, wanted[0])
        else:
            cells.lines += wanted
    return cells


def _union(warehouse: Warehouse, coverage: Coverage, need: Need, cube: Cube, cells: Cells) -> Path:
    parameters: dict[str, Any] = {}
    parts: list[tuple[str, str]] = []
    if cells.months:
        parameters["months"] = cells.months
        parts.append((cube.name, "build IN {months:Array(UInt64)}"))
    if cells.days:
        parameters["built"] = cells.built
        known = f"build IN {{built:Array(UInt64)}} AND ({_days_between(cells.days, parameters)})"
        parts.append((DAYS.name, known))
    derived, columns = dict(coverage.derived), need.columns()
    selected = {
        table: of_cube(derived, table, columns, [known, *need.conditions]) for table, known in parts
    }
    if cells.lines or not parts:
        spans = list(united(cells.lines)) or [(NO_DAY, NO_DAY)]
        selected["lines"] = _lines_sql(warehouse, coverage, need, spans, parameters)
    return Path(" UNION ALL ".join(selected.values()), parameters, tuple(selected))


def _of_lines(warehouse: Warehouse, coverage: Coverage, need: Need) -> Path:
    parameters: dict[str, Any] = {}
    sql = _lines_sql(warehouse, coverage, need, [(need.start, need.end)], parameters)
    return Path(sql, parameters, ("lines",))


def _lines_sql(
    warehouse: Warehouse,
    coverage: Coverage,
    need: Need,
    spans: list[Days],
    parameters: dict[str, Any],
) -> str:
    """Select lines of these days; multi-node attempts are looked for as far as the days reach."""
    columns, derived = need.columns(), dict(coverage.derived)
    first, end = spans[0][0], spans[-1][1]
    conditions = [*need.conditions]
    if (first, end) != (FIRST_DAY, NO_DAY):
        conditions.insert(0, _lines_between(spans, parameters))
    if "node_spread" not in need.behind(derived) or first == FIRST_DAY or end == NO_DAY:
        return of_lines(columns, conditions)
    low, high = seconds(max(first - DAY, FIRST_DAY)), seconds(min(end, LAST_DAY) + DAY)
    near = multi_node_lines(*reach(warehouse, low, high))
    return of_near_lines(derived, columns, conditions, near)


def _days_between(spans: Iterable[Days], parameters: dict[str, Any]) -> str:
    return " OR ".join(
        f"day >= {_bound(start, parameters)} AND day < {_bound(end, parameters)}"
        for start, end in united(spans)
    )


def _lines_between(spans: Iterable[Days], parameters: dict[str, Any]) -> str:
    """Limit the calendar day, and `time` a day wider on each side, which the key can use."""
    return " OR ".join(_line_span(start, end, parameters) for start, end in spans)


def _line_span(start: date, end: date, parameters: dict[str, Any]) -> str:
    conditions = []
    if start > FIRST_DAY:
        first = _bound(start, parameters)
        conditions += [f"day >= {first}", f"time >= toDateTime({first}, 'UTC') - 86400"]
    if end < NO_DAY:
        last = _bound(end, parameters)
        conditions += [f"day < {last}", f"time < toDateTime({last}, 'UTC') + 86400"]
    return f"({' AND '.join(conditions) or '1'})"


def _bound(day: date, parameters: dict[str, Any]) -> str:
    name = f"day{len(parameters)}"
    parameters[name] = day
    return f"{{{name}:Date}}"
