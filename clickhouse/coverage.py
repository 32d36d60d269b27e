"""What the rollups cover: each month was made from certain parts of the table, and parts change.

New rows make a new part, whoever wrote them, so days that a part covers which a month was not made
from are answered from the lines: an answer is right before the rollups are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from clickhouse.connection import Warehouse
from clickhouse.cubes import build_of_year
from clickhouse.days import (
    DAY,
    Days,
    clipped,
    day_of,
    months_between,
    months_of,
    next_month,
    united,
)
from clickhouse.errors import WarehouseError
from clickhouse.shards import SERVER, Shards
from clickhouse.spans import Built, Part, Span

UNKNOWN = (47, 60)  # a column, a table
MOST_REMEMBERED = 500  # of what questions have found out
NOTHING = object()
Found = TypeVar("Found")

# `data_version` is the first block of a part that no mutation has touched.
_PARTS = """
    SELECT groupArray((partition, min_block_number, max_block_number,
        if(data_version = min_block_number, 0, data_version), toUInt32(min_time),
        toUInt32(max_time))) AS parts
    FROM system.parts
    WHERE database = {database} AND table = 'accounting' AND active AND rows > 0
"""
_UUID = """
    SELECT toString(uuid) AS uuid FROM system.tables
    WHERE database = {database} AND name = 'accounting'
"""
_BUILT = """
    SELECT groupArray((made_by, spans, its_parts, made_scopes)) AS built FROM
        (SELECT made_by, made_scopes, parts AS its_parts,
            groupArray((month, if(recent, split, month),
                if(recent, addMonths(month, 1), split), build)) AS spans
        FROM rollup_months FINAL GROUP BY made_by, made_scopes, parts)
"""
_MADE = "(rollups, derived, lines_view)"
_LOOK = f"""
    SELECT (SELECT {_MADE} FROM definitions) AS made, ({_UUID}), ({_PARTS}), ({_BUILT})
""".replace("{database}", "currentDatabase()")
# What changes with any of this: new rows, or others, make a part. `pychart migrate` remembers what
# it did to the view in a row too; in the path of a part is the UUID of its table.
_STATE = """
    SELECT groupArray((path, name)) FROM system.parts WHERE database = currentDatabase() AND active
        AND table IN ('accounting', 'rollup_months', 'migrations')
"""
# The same of each shard, with its server: of a scalar subquery the first server's value would do
# for all.
_LOOK_AT_SHARDS = f"""
    SELECT {_MADE} AS made, uuid, parts, built, {SERVER} AS server FROM definitions
    CROSS JOIN ({_UUID}) AS its_table CROSS JOIN ({_PARTS}) AS stored CROSS JOIN ({_BUILT}) AS named
"""


@dataclass(frozen=True)
class Coverage:
    """The months that are made, and the parts that there are now."""

    origin: str = ""  # how months are made, and of which table
    derived: tuple[tuple[str, str], ...] = ()  # SQL of columns that are made of others, by name
    lines_view: str = ""  # the statement that made it
    parts: tuple[Part, ...] = ()
    spans: dict[date, list[Span]] = field(default_factory=dict)  # of the first day of a month
    doubtful: tuple[Days, ...] = ()  # stale too, whatever the parts say
    servers: tuple[str, ...] = ()  # of a cluster: those that this was seen on
    memo: dict[Any, Any] = field(default_factory=dict)  # what questions have found out of it
    _stale: dict[date, list[Days]] = field(default_factory=dict)
    _between: dict[Days, tuple[int, ...] | None] = field(default_factory=dict)

    def remembered(self, asked: object, find: Callable[[], Found]) -> Found:
        """Find something out once for as long as the coverage stays as it is."""
        if (found := self.memo.get(asked, NOTHING)) is NOTHING:
            found = find()  # which may remember something itself
            if len(self.memo) >= MOST_REMEMBERED:
                self.memo.clear()
            self.memo[asked] = found
        return cast(Found, found)

    def midnight(self) -> str:
        """Write when a `day` begins in the time zone of a row's cluster."""
        try:
            return dict(self.derived)["midnight"]
        except KeyError:
            raise WarehouseError("no day has a time zone before `pychart migrate`") from None

    def months(self) -> list[date]:
        """List the months in which there may be a line, each by its first day."""
        return self._months

    @cached_property
    def _months(self) -> list[date]:
        found: set[date] = set()
        for begins, ends in {(part.begins, part.ends) for part in self.parts}:
            found.update(months_between(begins - DAY, ends + 2 * DAY))
        return sorted(found)

    def stale(self, month: date) -> list[Days]:
        """List the days of a month that its build does not know, all where there is none."""
        if month not in self._stale:
            self._stale[month] = self._find_stale(month)
        return self._stale[month]

    def builds_of(self, month: date, scope: int = 0) -> list[int]:
        """List the builds that have a month, on each shard that has lines of it.

        With a scope those that have its rows, none where one is missing.
        """
        spans = self.spans[month]
        has_all = not scope or all(scope in span.scopes for span in spans)
        return [span.build_for(scope) for span in spans] if has_all else []

    def builds_of_year(self, year: int, scope: int = 0) -> list[int]:
        """List the builds that have a year as one, on each shard that has lines of it.

        There is one where one refresh made all its months, and they are as the lines are.
        """
        refreshes: set[int] = set()
        for month in months_of(year):
            spans = self.spans.get(month[0], ())
            if [(span.start, span.end) for span in spans] != [month] or self.stale(month[0]):
                return []
            refreshes |= {span.refresh_for(scope) for span in spans}
        refresh, *others = refreshes
        return [build_of_year(refresh, year)] if refresh and not others else []

    def builds_between(self, start: date, end: date) -> tuple[int, ...] | None:
        """List the builds of the months of a period, None where there are lines that none knows."""
        if (start, end) not in self._between:
            months = [each for each in self.months() if each < end and next_month(each) > start]
            known = not any(map(self.stale, months))
            builds = (build for month in months for build in self.builds_of(month))
            self._between[start, end] = (*builds,) if known else None
        return self._between[start, end]

    def is_built(self, month: date) -> bool:
        """Tell whether a month is made, stale or not."""
        return month in self.spans

    def unseen(self) -> list[Days]:
        """List the days in UTC of lines that no build knows; none where no month is made."""
        if not any(map(self.is_built, self.months())):
            return []
        return list(united(days for month in self.months() for days in self._unseen(month)))

    @cached_property
    def is_fresh(self) -> bool:
        """Whether all lines that there are have been seen by a build."""
        return not any(map(self.stale, self.months()))

    @property
    def knows_all(self) -> bool:
        """Whether there are lines, and builds have seen all of them."""
        return bool(self.months()) and self.is_fresh

    @cached_property
    def made(self) -> str:
        """Name how months are made, and what is made of their columns."""
        return hashlib.sha256(repr((self.origin, self.derived)).encode()).hexdigest()

    def doubting(self, spans: Iterable[Days]) -> Coverage:
        """Take these days for stale too."""
        doubtful = (*self.doubtful, *spans)
        return replace(self, doubtful=doubtful, memo={}, _stale={}, _between={})

    def _find_stale(self, month: date) -> list[Days]:
        found = [(first - DAY, end + DAY) for first, end in self._unseen(month)]
        return list(united(clipped([*found, *self.doubtful], (month, next_month(month)))))

    def _unseen(self, month: date) -> list[Days]:
        """List the days in UTC, of those that a month may have, that its build does not know."""
        spans = self.spans.get(month, ())
        found = [days for span in spans for days in self._unseen_by(span)]
        return found if spans else [(month - DAY, next_month(month) + DAY)]

    def _unseen_by(self, span: Span) -> Iterator[Days]:
        whole = (span.start - DAY, span.end + DAY)
        unknown = [*self.unknown_to(span)]
        lost = any(span.seen.lost(each, self.parts) for each in span.partitions)
        if lost or any(map(span.seen.changed_in, unknown)):
            return iter([whole])
        return clipped(((part.begins, part.ends + DAY) for part in unknown), whole)

    def unknown_to(self, span: Span) -> Iterator[Part]:
        """List the parts that a build does not know, of the partitions that concern it."""
        for part in self.parts:
            if part.partition in span.partitions and not span.seen.knows(part):
                yield part


@dataclass(frozen=True)
class CoverageOfShards(Coverage):
    """The same of a cluster: days that are stale on a shard are answered from all shards' lines."""

    shards: tuple[Coverage, ...] = ()

    def months(self) -> list[date]:
        """List the months in which there may be a line on any shard."""
        return sorted(self._having)

    def builds_of(self, month: date, scope: int = 0) -> list[int]:
        """List the builds that have a month: one, on each shard that has lines of it.

        With a scope those that have its rows, none where one is missing.
        """
        having = [shard for shard in self._having[month] if shard.is_built(month)]
        found = [shard.builds_of(month, scope) for shard in having]
        return [build for each in found for build in each] if all(found) else []

    def builds_of_year(self, year: int, scope: int = 0) -> list[int]:
        """List the builds that have a year as one: one, on each shard that has lines of it."""
        months = [month for month, _ in months_of(year) if month in self._having]
        if any(map(self.stale, months)):
            return []
        having = [each for each in self.shards if any(m.year == year for m in each.months())]
        found = [shard.builds_of_year(year, scope) for shard in having]
        return [build for each in found for build in each] if all(found) else []

    def is_built(self, month: date) -> bool:
        """Tell whether a month is made wherever it has lines, stale or not."""
        return all(shard.is_built(month) for shard in self._having[month])

    @cached_property
    def _having(self) -> dict[date, list[Coverage]]:
        found: dict[date, list[Coverage]] = {}
        for shard in self.shards:
            for month in shard.months():
                found.setdefault(month, []).append(shard)
        return found

    def _unseen(self, month: date) -> list[Days]:
        return [days for shard in self._having[month] for days in shard._unseen(month)]


_looked: WeakKeyDictionary[Warehouse, tuple[Any, Coverage]] = WeakKeyDictionary()


def coverage_of(warehouse: Warehouse) -> Coverage:
    """Give what a question has to know: what the warehouse has been told of, else what is seen."""
    return warehouse.coverage() if warehouse.coverage else look(warehouse)


def look(warehouse: Warehouse) -> Coverage:
    """See which months are made as they should be, and which parts there are.

    One look does as long as a warehouse is in the state that it was in before that look.
    """
    if warehouse.shards:
        return _look_at_shards(warehouse, warehouse.shards)
    state = warehouse.rows(_STATE)
    before, coverage = _looked.get(warehouse, (None, None))
    if coverage is None or state != before:
        coverage = _look_at_server(warehouse)
        _looked[warehouse] = (state, coverage)
    return coverage


def _look_at_server(warehouse: Warehouse) -> Coverage:
    try:
        [row] = warehouse.rows(_LOOK)
    except WarehouseError as error:
        if error.code not in UNKNOWN:  # no rollups before the next `pychart migrate`
            raise
        return Coverage()
    return _coverage(*map(_frozen, row))


def _look_at_shards(warehouse: Warehouse, shards: Shards) -> Coverage:
    sql = shards.rows(_LOOK_AT_SHARDS.replace("{database}", f"'{shards.database}'"))
    found = warehouse.rows(f"SELECT * FROM {sql} ORDER BY server")
    before, coverage = _looked.get(warehouse, (None, None))
    if coverage is None or found != before:
        coverage = _of_shards(found)
        _looked[warehouse] = (found, coverage)
    return coverage


def _of_shards(found: Sequence[Sequence[Any]]) -> Coverage:
    seen = [_coverage(*map(_frozen, row[:-1])) for row in found]
    servers = tuple(str(row[-1]) for row in found)
    alike = len({shard.origin.split()[0] for shard in seen}) == 1  # else one is not migrated yet
    return CoverageOfShards(
        seen[0].origin if alike else "",
        seen[0].derived,
        seen[0].lines_view,
        servers=servers,
        shards=tuple(seen),
    )


def _frozen(value: Any) -> Any:  # noqa: ANN401 - what the driver makes of tuples and arrays
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


@lru_cache(maxsize=32)  # a shard's is the same until something is loaded, merged or refreshed
def _coverage(
    made: tuple[str, tuple[tuple[str, str], ...], str],
    uuid: str,
    parts: Sequence[Sequence[Any]],
    built: Sequence[Sequence[Any]],
) -> Coverage:
    # another table of the name `accounting` has other rows in blocks of the same numbers
    rollups, derived, lines_view = made
    origin = f"{rollups} {uuid}"
    spans: dict[date, list[Span]] = {}
    for made_by, its_spans, its_parts, scopes in built:
        if made_by != origin:
            continue
        seen = Built(its_parts)
        its_scopes = dict(scopes)
        for month, start, end, build in its_spans:
            if start < end:
                span = Span(start, end, build, seen, its_scopes)
                spans.setdefault(month, []).append(span)
    whole = {month: in_order for month, its in spans.items() if (in_order := _whole(month, its))}
    return Coverage(origin, derived, lines_view, tuple(map(_part, parts)), whole)


def _whole(month: date, spans: Iterable[Span]) -> list[Span]:
    """Put the builds of a month in order; none where two refreshes at a time left days to none."""
    found = sorted(spans, key=lambda span: span.start)
    meeting = [(month, month), *((span.start, span.end) for span in found)]
    if any(before[1] != after[0] for before, after in pairwise(meeting)):
        return []
    return found if found[-1].end == next_month(month) else []


def _part(row: Sequence[Any]) -> Part:
    partition, first, last, version, begins, ends = row
    return Part(str(partition), first, last, version, day_of(begins), day_of(ends))
