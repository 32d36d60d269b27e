"""Days and spans of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta

DAY = timedelta(days=1)

Days = tuple[date, date]  # from the first up to, not including, the second


def day_of(instant: int) -> date:
    """Give the day in UTC of a time in seconds."""
    return datetime.fromtimestamp(instant, UTC).date()


def seconds(day: date) -> int:
    """Give the time at which a day begins in UTC, within what a DateTime can hold."""
    begins = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    return min(max(begins, 0), 2**32 - 1)


def next_month(day: date) -> date:
    """Give the first day of the month after that of `day`."""
    return (day.replace(day=28) + 4 * DAY).replace(day=1)


def months_between(start: date, end: date) -> Iterator[date]:
    """List the months of which there are days in a span, each by its first day."""
    month = start.replace(day=1)
    while month < end:
        yield month
        month = next_month(month)


def months_of(year: int) -> list[Days]:
    """List the months of a year."""
    firsts = [date(year, month, 1) for month in range(1, 13)]
    return [(first, next_month(first)) for first in firsts]


def whole_years(spans: Iterable[Days]) -> list[int]:
    """List the years all of whose months are among some spans of days."""
    found = {*spans}
    return [
        year
        for year in sorted({start.year for start, _ in found})
        if found.issuperset(months_of(year))
    ]


def told_by(day: date) -> str:
    """Write what of a row's day tells whether it is before another one: its year, if that will do.

    Rows of months and years tell no more.
    """
    if (day.month, day.day) == (1, 1):
        return "toStartOfYear(day)"
    return "toStartOfMonth(day)" if day.day == 1 else "day"


def clipped(spans: Iterable[Days], bounds: Days) -> Iterator[Days]:
    """Cut spans of days to those within `bounds`."""
    for start, end in spans:
        if max(start, bounds[0]) < min(end, bounds[1]):
            yield max(start, bounds[0]), min(end, bounds[1])


def united(spans: Iterable[Days]) -> Iterator[Days]:
    """Join spans of days that meet or overlap, in order."""
    current: Days | None = None
    for start, end in sorted(spans):
        if current is not None and start <= current[1]:
            current = (current[0], max(current[1], end))
            continue
        if current is not None:
            yield current
        current = (start, end)
    if current is not None:
        yield current


def without(whole: Days, holes: Iterable[Days]) -> Iterator[Days]:
    """Give what of a span of days remains without `holes`, which are in order and apart."""
    start = whole[0]
    for first, end in holes:
        if start < first:
            yield start, min(first, whole[1])
        start = max(start, end)
    if start < whole[1]:
        yield start, whole[1]
