"""Which days of which months a refresh makes: together where it can, recent ones apart."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import groupby

from clickhouse.connection import Warehouse
from clickhouse.coverage import Coverage
from clickhouse.days import DAY, Days, next_month

# New lines are of the last day, and their attempts' other ones of a few before it. Once recent days
# are more by so many, those before them are made again, as long as all the month takes.
RECENT_DAYS = 3
MORE_DAYS = 4

# Where none has come for so long, none is waited for.
QUIET_DAYS = 14

# A year whose months have stayed as they are for so long is made as one: each part of a table
# that a question reads takes its time, and each refresh makes one.
TOGETHER_SECONDS = 86_400

# Up to so many lines, years are made together: each time takes a second or two, however few.
LINES_AT_ONCE = 1_000_000


def today() -> date:
    """Give the day that it is in UTC."""
    return datetime.now(UTC).date()


def stale(coverage: Coverage) -> list[Days]:
    """List what is to be made of months that are not as the lines are."""
    months = (month for month in coverage.months() if coverage.stale(month))
    return [span for month in months for span in _to_make(coverage, month)]


def _to_make(coverage: Coverage, month: date) -> list[Days]:
    """Say which days of a month are made: all, apart where more may come soon, or these alone."""
    end = next_month(month)
    newest = min(max(part.ends for part in coverage.parts), today())
    if today() - newest > QUIET_DAYS * DAY:
        return [(month, end)]
    split = newest - RECENT_DAYS * DAY
    if coverage.is_built(month):
        last, [(stale, _), *_] = coverage.spans[month][-1], coverage.stale(month)
        if last.start <= stale and split - last.start <= MORE_DAYS * DAY:
            return [(last.start, end)]
    return [(month, split), (split, end)] if month < split < end else [(month, end)]


def by_year(
    warehouse: Warehouse, spans: Sequence[Days], users: Sequence[str] = ()
) -> Iterator[list[Days]]:
    """Group spans of months by year, the latest first: what is looked at most is there first.

    Years of which few lines are to be made, of all or of some users alone, are one group with those
    before them.
    """
    lines = (_users_lines(warehouse, users) if users else _lines(warehouse)) if spans else {}
    unit: list[Days] = []
    taken = 0.0
    for year, found in groupby(sorted(spans, reverse=True), key=lambda span: span[0].year):
        its_spans = [*found]
        share = sum((end - start).days for start, end in its_spans) / 366
        if unit and taken + lines.get(year, 0) * share > LINES_AT_ONCE:
            yield sorted(unit)
            unit, taken = [], 0
        unit += its_spans
        taken += lines.get(year, 0) * share
    if unit:
        yield sorted(unit)


def scattered(coverage: Coverage) -> Iterator[list[Days]]:
    """Group by year what several refreshes have made, all of them long ago."""
    long_ago = time.time_ns() // 1000 - TOGETHER_SECONDS * 1_000_000
    settled = (
        month
        for month in coverage.months()
        if not coverage.stale(month)
        and all(span.refresh < long_ago for span in coverage.spans[month])
    )
    for _, months in groupby(settled, key=lambda month: month.year):
        unit = [*months]
        if len({span.refresh for month in unit for span in coverage.spans[month]}) > 1:
            yield [(month, next_month(month)) for month in unit]


def apart(unit: Iterable[Days]) -> list[list[Days]]:
    """Take apart what is of one month: a refresh has one build of each."""
    found: list[list[Days]] = []
    for _, spans in groupby(unit, key=lambda span: span[0].replace(day=1)):
        for place, span in enumerate(spans):
            found += [[]] if place == len(found) else []
            found[place].append(span)
    return found


def _lines(warehouse: Warehouse) -> dict[int, int]:
    """Count the lines by year."""
    found = warehouse.rows(
        "SELECT toInt32(partition), sum(rows) FROM system.parts"
        " WHERE database = currentDatabase() AND table = 'accounting' AND active GROUP BY partition"
    )
    return {int(year): int(rows) for year, rows in found}


def _users_lines(warehouse: Warehouse, users: Sequence[str]) -> dict[int, int]:
    """Count the lines of some users by year, those twice that have just been made again."""
    found = warehouse.rows(
        "SELECT toInt32(toYear(day)) AS year, sum(line_count) FROM user_months"
        " WHERE scope = 0 AND owner IN {users:Array(String)} GROUP BY year",
        {"users": [*users]},
    )
    return {int(year): int(rows) for year, rows in found}
