"""The same question of an earlier period beside the answer: of the one before, or a year ago."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Literal, cast

import pyarrow as pa
import pyarrow.compute as pc

from clickhouse import columns
from clickhouse.connection import Warehouse
from clickhouse.dimensions import DIMENSIONS
from clickhouse.errors import QuestionError
from clickhouse.public import is_public
from clickhouse.query import ask
from clickhouse.question import Period, Question
from clickhouse.series import DAY, Step, calendar_steps, months_later

Earlier = Literal["previous", "year"]
Key = tuple[object, ...]


def compare(warehouse: Warehouse, question: Question, to: Earlier = "previous") -> pa.Table:
    """Answer, and beside each metric say what it was before: two queries.

    After the columns of the answer come, for each metric, `<metric>_previous`, `<metric>_change`
    (now − before, in the metric's unit) and `<metric>_change_percent` (null where it was 0). Rows
    that only the earlier period has come last. Needs a period with a beginning and an end.
    """
    shifted(question.period, to)
    now = ask(warehouse, question)
    before = ask(warehouse, earlier(question, now, to))
    return compared(question, now, before, to, warehouse.settings.academic_year_starts)


def shifted(period: Period, to: Earlier = "previous") -> Period:
    """Give the period of equal length before this one, or the same one a year before.

    One of whole months is as many months long, whatever number of days those have.
    """
    if period.start is None or period.end is None:
        raise QuestionError("a comparison needs a period with a beginning and an end")
    try:
        months, days = _shift(period, to)
        start, end = (months_later(day, -months) - days * DAY for day in (period.start, period.end))
        return Period(start, end)
    except (ValueError, OverflowError):
        raise QuestionError("there is no period before this one") from None


def _shift(period: Period, to: Earlier) -> tuple[int, int]:
    """Give the months and the days between both periods."""
    start, end = cast(date, period.start), cast(date, period.end)
    if to == "year":
        return 12, 0
    if start.day == end.day == 1:
        return (end.year - start.year) * 12 + end.month - start.month, 0
    return 0, (end - start).days


def earlier(question: Question, answer: pa.Table, to: Earlier = "previous") -> Question:
    """Ask of the earlier period, and there of the same names as in this answer."""
    asked = replace(question, period=shifted(question.period, to))
    if not question.keeps_some or question.ranked is None:
        return asked
    kept = answer
    if question.other:
        kept = kept.filter(pc.equal(kept.column(columns.ROW), columns.PART))
    found = dict.fromkeys(kept.column(question.ranked).to_pylist())
    names = tuple("" if name is None else str(name) for name in found)
    return replace(asked, limit=None, names=names) if names else asked


def compared(
    question: Question,
    now: pa.Table,
    before: pa.Table,
    to: Earlier = "previous",
    academic_year_starts: int = 9,
) -> pa.Table:
    """Put the answer of the earlier period beside that of this one; see `compare`."""
    times = [name for name in question.dimensions if DIMENSIONS[name].is_time]
    others = [name for name in question.dimensions if name not in times]
    others += [columns.ROW] if columns.ROW in now.column_names else []
    later = _later_steps(question.period, times, to, academic_year_starts)
    past = zip(columns.keys(before, times), columns.keys(before, others), strict=True)
    rows = {later[step] + other: i for i, (step, other) in enumerate(past) if step in later}
    present = {key: i for i, key in enumerate(columns.keys(now, times + others))}
    keys = [*(present | rows)]
    nothing = None if is_public(question.scope) else 0

    def rearranged(answer: pa.Table, numbers: dict[Key, int]) -> pa.Table:
        found = [numbers.get(key) for key in keys]
        return columns.rearranged(answer, found, times + others, keys, nothing=nothing)

    table, was = rearranged(now, present), rearranged(before, rows)
    known = {*later.values()}
    has_past = pa.array([key[: len(times)] in known for key in keys], pa.bool_())
    return _beside(question, table, was, has_past)


def _later_steps(
    period: Period, times: Sequence[str], to: Earlier, academic_year_starts: int
) -> dict[Key, Key]:
    """Say for each step of the earlier period with which of this one it is compared.

    Days go by their date, whatever is longer by its place in the period.
    """

    def steps(start: date, end: date) -> list[Step]:
        return calendar_steps(times, start, end, academic_year_starts)

    if not times:
        return {(): ()}
    start, end = cast(date, period.start), cast(date, period.end)
    if "day" not in times:
        past = shifted(period, to)
        before = steps(cast(date, past.start), cast(date, past.end))
        return dict(zip(before, steps(start, end), strict=False))
    found: dict[Key, Key] = {}
    for number in range((end - start).days):
        day = start + DAY * number
        for one in _same_day(day, *_shift(period, to)):
            [step], [was] = steps(day, day + DAY), steps(one, one + DAY)
            found[was] = step
    return found


def _same_day(day: date, months: int, days: int) -> Iterator[date]:
    """Give the day so much earlier, none where that month is too short."""
    found = months_later(day, -months) - days * DAY
    if days or found.day == day.day:
        yield found


def _beside(question: Question, table: pa.Table, was: pa.Table, has_past: pa.Array) -> pa.Table:
    for name in question.metrics:
        now, before = table.column(name), pc.if_else(has_past, was.column(name), None)
        change = pc.subtract(_signed(now), _signed(before))
        whole = pc.cast(before, pa.float64())
        percent = pc.divide(
            pc.multiply(pc.cast(change, pa.float64()), 100.0),
            pc.if_else(pc.equal(whole, 0.0), None, whole),
        )
        table = table.append_column(name + columns.PREVIOUS, before)
        table = table.append_column(name + columns.CHANGE, change)
        table = table.append_column(name + columns.CHANGE_PERCENT, percent)
    return table


def _signed(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(values, pa.int64()) if pa.types.is_integer(values.type) else values
