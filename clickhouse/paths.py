"""Which rows answer a question: a rollup where it has what is needed, and lines for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from clickhouse.attempts import doubting_attempts, multi_node_lines, reach
from clickhouse.cells import Cells, Source, cells_of
from clickhouse.connection import Warehouse
from clickhouse.coverage import Coverage, coverage_of
from clickhouse.cubes import (
    CUBES,
    DAY_CUBES,
    LINE_DAYS,
    VALUE_CUBES,
    YEAR_CUBES,
    Cube,
)
from clickhouse.days import DAY, Days, next_month, seconds, united
from clickhouse.measures import JOBS_OF_NAMES, QUANTITIES, VALUES
from clickhouse.need import FIRST_DAY, LAST_DAY, NO_DAY, Need
from clickhouse.rowset import (
    ALL,
    Absent,
    Derived,
    can_be_of_arrays,
    of_arrays,
    of_counted_sets,
    of_cube,
    of_lines,
    of_near_lines,
    of_sets,
    type_of,
)
from clickhouse.scope import Scope
from clickhouse.seen import for_whom
from clickhouse.shards import OTHER_REPLICA, SERVER, Shards, rows_of

BUILDS = "Array(UInt64)"
UNION = " UNION ALL "
LINES = "lines"  # what a path says that it reads where it takes them


@dataclass(frozen=True)
class Part:
    """What the rollups of a part of a question cover, each its own, and what lines are left for."""

    sources: Sequence[Source]
    cells: Sequence[Cells]
    lines: list[Days]

    @property
    def need(self) -> Need:
        """What it takes."""
        return self.sources[-1].need

    @property
    def is_of_scope_alone(self) -> bool:
        """Tell whether all its rows are those that rollups have for its scope alone."""
        [*_, rest] = self.cells
        return len(self.cells) > 1 and not (self.lines or rest.years or rest.months or rest.days)

    @property
    def has_arrays_alone(self) -> bool:
        """Tell whether all are of years or months, of which a rollup has the values in arrays."""
        return any(each.years or each.months for each in self.cells) and not (
            self.lines or any(each.days for each in self.cells)
        )


@dataclass(frozen=True)
class Path:
    """Rows as SQL, the values of its parameters, and the names of the tables that it reads.

    On a cluster each shard selects its own: to be read through `rows`. All are of the scope `alone`
    where rollups have its rows, under this number, or of a part of it that a filter has `chosen`.
    """

    sql: str
    parameters: dict[str, Any]
    tables: tuple[str, ...]
    shards: Shards | None = None
    in_arrays: bool = False
    in_sets: bool = False
    alone: int = 0
    chosen: Scope | None = None

    def for_whom(self, warehouse: Warehouse, scope: Scope | None) -> dict[str, str]:
        """Say to a server's row policies for whom a query of the rows is."""
        return for_whom(warehouse, scope, self.alone, self.chosen)

    def figures(self, sql: str) -> str:
        """Write what is made of the rows, which may have their values in arrays, names in sets."""
        sql = of_arrays(sql) if self.in_arrays else sql
        return of_counted_sets(sql) if self.in_sets else sql

    @property
    def rows(self) -> str:
        """The rows, to stand after FROM."""
        return rows_of(self.shards, self.sql)


def smallest(warehouse: Warehouse, coverage: Coverage, need: Need) -> Path:
    """Take the smallest rollups that have what is needed, and lines where they are behind."""
    derived = dict(coverage.derived)
    sources = [_sources(derived, part) for part in need.parts(derived)]
    if not coverage.origin or not all(sources):
        return _of_lines(warehouse, coverage, need.of_everybody)
    if "node_spread" in need.of_everybody.behind(derived):
        coverage = doubting_attempts(warehouse, coverage)
    return _union(warehouse, coverage, need, _joined(sources))


def has_rollups(warehouse: Warehouse, need: Need) -> bool:
    """Tell whether there are rollups of months or days, not of lines, that have what is needed.

    Whether they are behind or not.
    """
    derived = dict(coverage_of(warehouse).derived)
    sources = (_sources(derived, part) for part in need.parts(derived))
    return all(each and (each[-1].whole or each[-1].days != LINE_DAYS) for each in sources)


def _sources(derived: Derived, need: Need) -> list[Source]:
    """Choose for a part of a question: what has rows of its scope alone, then what has them too."""
    source = _source(derived, need.of_everybody)
    if source is None:
        return []
    scoped = _source(derived, need, scoped_only=True) if need.seen.number else None
    return [each for each in (scoped, source) if each]


def _source(derived: Derived, need: Need, *, scoped_only: bool = False) -> Source | None:
    of_values = need.kind in QUANTITIES
    whole, days = (
        next((c for c in some if c.scoped >= scoped_only and need.can_take(c, derived)), None)
        for some in (VALUE_CUBES if of_values else CUBES, DAY_CUBES)
    )
    alike = (c for c in YEAR_CUBES if whole and not need.few and c.is_of_years_of(whole))
    years = next((c for c in alike if need.can_take(c, derived)), None)
    return Source(need, whole, days, years) if whole or days else None


def _joined(parts: Iterable[list[Source]]) -> list[list[Source]]:
    """Put parts together that the same rollups have, which are then read once."""
    found: dict[tuple[tuple[Cube | None, ...], ...], list[Source]] = {}
    for sources in parts:
        tables = tuple(each.tables for each in sources)
        before = found.get(tables, sources)
        found[tables] = [
            replace(each, need=each.need.with_texts(its.need.texts))
            for each, its in zip(before, sources, strict=True)
        ]
    return [*found.values()]


def from_lines(warehouse: Warehouse, need: Need) -> Path:
    """Take everything from the lines."""
    return _of_lines(warehouse, coverage_of(warehouse), need.of_everybody)


def _union(
    warehouse: Warehouse, coverage: Coverage, need: Need, parts: Iterable[Sequence[Source]]
) -> Path:
    parameters: dict[str, Any] = {}
    covered = [Part(sources, *cells_of(coverage, sources)) for sources in parts]
    in_arrays = can_be_of_arrays(need.texts) and all(
        part.has_arrays_alone for part in covered if {*part.need.columns()} & {*VALUES}
    )
    counting = [part.need.counts_alone for part in covered if part.need.counts]
    in_sets = len(covered) > 1 and bool(counting) and all(counting)
    columns = [name for name in need.columns() if not (in_sets and name in JOBS_OF_NAMES)]
    tables: list[str] = []
    selects: list[str] = []
    for part in covered:
        own = part.need.columns()
        absent = {
            name: type_of(name, in_arrays=in_arrays, in_sets=in_sets)
            for name in columns
            if name not in own
        }
        if in_sets and part.need.counts:
            rows = _rows_of(warehouse, coverage, part, own, ALL, in_arrays, parameters)
            selects.append(of_sets(UNION.join(sql for _, sql in rows), columns, absent))
        else:
            rows = _rows_of(warehouse, coverage, part, columns, absent, in_arrays, parameters)
            selects += (sql for _, sql in rows)
        tables += (table for table, _ in rows)
    alone = need.seen.number * all(part.is_of_scope_alone for part in covered)
    return Path(
        UNION.join(selects),
        parameters,
        tuple(dict.fromkeys(tables)),
        warehouse.shards,
        in_arrays,
        in_sets,
        alone,
    )


def _rows_of(
    warehouse: Warehouse,
    coverage: Coverage,
    part: Part,
    columns: list[str],
    absent: Absent,
    in_arrays: bool,
    parameters: dict[str, Any],
) -> list[tuple[str, str]]:
    """Select from each table what it has of the columns, and nothing for the others."""
    derived = dict(coverage.derived)
    found: list[tuple[str, str]] = []
    for source, cells in zip(part.sources, part.cells, strict=True):
        kept = [*source.need.conditions]
        for builds, cube in ((cells.years, source.years), (cells.months, source.whole)):
            if builds and cube:
                known = _of_builds(coverage, builds, parameters)
                its = [known, *kept, *_of_scope(source, cube, parameters)]
                sql = of_cube(derived, cube, columns, its, absent, in_arrays=in_arrays)
                found.append((cube.name, sql))
        if cells.days and (cube := source.days):
            kept.insert(0, _of_builds(coverage, cells.built, parameters))
            if not all(map(_is_month, cells.days)):
                kept.insert(1, _days_between(cells.days, parameters))
            its = [*kept, *_of_scope(source, cube, parameters)]
            found.append((cube.name, of_cube(derived, cube, columns, its, absent)))
    if part.lines or not found:
        spans = list(united(part.lines)) or [(NO_DAY, NO_DAY)]
        sql = _lines_sql(warehouse, coverage, part.need, spans, columns, absent, parameters)
        found.append((LINES, sql))
    return found


def _of_lines(warehouse: Warehouse, coverage: Coverage, need: Need) -> Path:
    parameters: dict[str, Any] = {}
    spans = [(need.start, need.end)]
    sql = _lines_sql(warehouse, coverage, need, spans, need.columns(), ALL, parameters)
    return Path(sql, parameters, (LINES,), warehouse.shards)


def _of_scope(source: Source, cube: Cube, parameters: dict[str, Any]) -> list[str]:
    """Limit a rollup to rows of a scope, or of everybody: a build says so, but the key is by it."""
    if not cube.scoped:
        return []
    return [f"scope = {_bound(source.need.seen.number, parameters, 'UInt64')}"]


def _of_builds(coverage: Coverage, builds: list[int], parameters: dict[str, Any]) -> str:
    """Limit rollups to these builds; a server that was not looked at has others, and must say so.

    It says so where it makes the list, since no row of its own would have it look at a condition.
    """
    wanted = _bound(builds, parameters, BUILDS)
    if not coverage.servers:
        return f"build IN {wanted}"
    servers = _bound(list(coverage.servers), parameters, "Array(String)")
    other = f"throwIf(NOT has({servers}, {SERVER}), '{OTHER_REPLICA}')"
    return f"build IN (SELECT arrayJoin({wanted}) FROM system.one WHERE {other} = 0)"


def _lines_sql(
    warehouse: Warehouse,
    coverage: Coverage,
    need: Need,
    spans: list[Days],
    columns: list[str],
    absent: Absent,
    parameters: dict[str, Any],
) -> str:
    """Select lines of these days; multi-node attempts are looked for as far as the days reach."""
    derived = dict(coverage.derived)
    first, end = spans[0][0], spans[-1][1]
    conditions = [*need.conditions]
    if (first, end) != (FIRST_DAY, NO_DAY):
        conditions.insert(0, _lines_between(spans, parameters))
    if "node_spread" not in need.behind(derived) or first == FIRST_DAY or end == NO_DAY:
        return of_lines(coverage.lines_view, columns, conditions, absent)
    low, high = seconds(max(first - DAY, FIRST_DAY)), seconds(min(end, LAST_DAY) + DAY)
    near = multi_node_lines(*reach(warehouse, low, high))
    return of_near_lines(coverage.lines_view, derived, columns, conditions, near, absent)


def _is_month(days: Days) -> bool:
    """Tell whether they are all days of a month, which its build says already."""
    first, end = days
    return first.day == 1 and end == next_month(first)


def _days_between(spans: Iterable[Days], parameters: dict[str, Any]) -> str:
    """Limit the days; looking for them in the index would take longer than reading the months."""
    day = "identity(day)"
    return " OR ".join(
        f"{day} >= {_bound(start, parameters)} AND {day} < {_bound(end, parameters)}"
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


def _bound(value: object, parameters: dict[str, Any], kind: str = "Date") -> str:
    name = f"day{len(parameters)}"
    parameters[name] = value
    return f"{{{name}:{kind}}}"
