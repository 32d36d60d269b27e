"""Series without gaps: every step of time that a question's period has, whether or not it has rows.

`filled` works on an answer, so that it costs no query.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from itertools import product

import pyarrow as pa

from clickhouse import columns
from clickhouse.dimensions import DIMENSIONS
from clickhouse.errors import QuestionError
from clickhouse.public import is_public
from clickhouse.question import MOST_ROWS, Question

DAY = timedelta(days=1)
MONTHS = {"year": 12, "academic_year": 12, "quarter": 3, "month": 1}  # that a step lasts
# What goes round whatever the period is.
ROUNDS: Mapping[str, Sequence[int]] = {
    "hour": range(24),
    "submission_hour": range(24),
    "submission_weekday": range(1, 8),
}

Value = int | date
Step = tuple[Value, ...]  # one of each of some dimensions


def filled(question: Question, answer: pa.Table, academic_year_starts: int = 9) -> pa.Table:
    """Add a row for each step of time without one, for all that the answer is split by besides.

    What is counted or added up is 0 there, other figures are null. Rows come in the order of time,
    in each step in that in which they first occur. Of an open period the steps go as far as the
    answer does. Refuses a question that is not split by a time, and more than a million rows.
    """
    timed = check_timed(question)
    others = [name for name in question.dimensions if name not in timed]
    others += [columns.ROW] if columns.ROW in answer.column_names else []
    both = zip(columns.keys(answer, timed), columns.keys(answer, others), strict=True)
    rows = {key: number for number, key in enumerate(both)}
    steps = _steps(question, answer, timed, academic_year_starts)
    wanted: dict[tuple[object, ...], None] = dict.fromkeys(steps)
    wanted |= dict.fromkeys(step for step, _ in rows)  # of lines that lack it
    series = dict.fromkeys(other for _, other in rows) or ({} if others else {(): None})
    _refuse_many(len(wanted) * len(series))
    keys = [*product(wanted, series)]
    return columns.rearranged(
        answer,
        [rows.get(key) for key in keys],
        [*timed, *others],
        [(*step, *other) for step, other in keys],
        nothing=None if is_public(question.scope) else 0,
    )


def check_timed(question: Question) -> list[str]:
    """List the dimensions that have steps of time; refuse a question without one."""
    found = [name for name in question.dimensions if _is_timed(name)]
    if not found:
        raise QuestionError("only a split by time can have gaps to be filled")
    return found


def _refuse_many(rows: int) -> None:
    if rows > MOST_ROWS:
        raise QuestionError(f"without gaps there would be more than {MOST_ROWS} rows")


def _is_timed(name: str) -> bool:
    return DIMENSIONS[name].is_time or name == "weekday" or name in ROUNDS


def _steps(
    question: Question, answer: pa.Table, timed: Sequence[str], academic_year_starts: int
) -> list[Step]:
    """List the steps of the period in order: time first, then what goes round."""
    of_day = [name for name in timed if name not in ROUNDS]
    start, end = _span(question, answer, of_day, academic_year_starts)
    _refuse_many((end - start).days)
    days: list[Step] = [()]
    if of_day:
        days = calendar_steps(of_day, start, end, academic_year_starts)
    going_round = [name for name in timed if name in ROUNDS]
    order = [(*of_day, *going_round).index(name) for name in timed]
    rounds = [*product(*(ROUNDS[name] for name in going_round))]
    both = ((*day, *rest) for day, rest in product(days, rounds))
    return [tuple(step[number] for number in order) for step in both]


def _span(
    question: Question, answer: pa.Table, of_day: Sequence[str], academic_year_starts: int
) -> tuple[date, date]:
    """Give the first day and the one after the last, of an open period those of the answer."""
    start, end = question.period.start, question.period.end
    times = [name for name in of_day if DIMENSIONS[name].is_time]
    rows = columns.keys(answer, times) if times else []
    if not rows and not (start and end):
        # without a time any week will do
        return (date(2018, 1, 1), date(2018, 1, 8)) if not times else (date.min, date.min)
    spans = [
        [
            _span_of(name, value, academic_year_starts)
            for name, value in zip(times, row, strict=True)
        ]
        for row in set(rows)
    ]
    return (
        start or min(max(begin for begin, _ in row) for row in spans),
        end or max(min(after for _, after in row) for row in spans),
    )


def calendar_steps(
    dimensions: Sequence[str], start: date, end: date, academic_year_starts: int
) -> list[Step]:
    """List what some dimensions of the calendar are on the days from `start` to before `end`."""
    days = (start + DAY * number for number in range((end - start).days))
    rules = [_rule(name, academic_year_starts) for name in dimensions]
    # time before weekdays
    order = sorted(range(len(rules)), key=lambda number: not DIMENSIONS[dimensions[number]].is_time)
    found = {tuple(rule(day) for rule in rules) for day in days}
    return sorted(found, key=lambda step: [step[number] for number in order])


def _rule(name: str, academic_year_starts: int) -> Callable[[date], Value]:
    rules: dict[str, Callable[[date], Value]] = {
        "year": lambda day: day.year,
        "academic_year": lambda day: day.year - (day.month < academic_year_starts),
        "quarter": lambda day: date(day.year, (day.month - 1) // 3 * 3 + 1, 1),
        "month": lambda day: day.replace(day=1),
        "week": lambda day: day - DAY * day.weekday(),
        "day": lambda day: day,
        "weekday": date.isoweekday,
    }
    return rules[name]


def _span_of(name: str, value: object, academic_year_starts: int) -> tuple[date, date]:
    """Give the first day of a step and the day after its last."""
    month = academic_year_starts if name == "academic_year" else 1
    begins = value if isinstance(value, date) else date(int(str(value)), month, 1)
    if name in MONTHS:
        return begins, months_later(begins, MONTHS[name])
    return begins, begins + (7 * DAY if name == "week" else DAY)


def months_later(day: date, months: int) -> date:
    """Give the same day of another month, or the last one that it has."""
    years, month = divmod(day.month - 1 + months, 12)
    first = date(day.year + years, month + 1, 1)
    last = (first.replace(day=28) + 4 * DAY).replace(day=1) - DAY
    return first.replace(day=min(day.day, last.day))
