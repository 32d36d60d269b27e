"""Questions: what is asked of the warehouse, turned into SQL with bound values, answered as Arrow.

A name in a question is a key of `METRICS` or `DIMENSIONS`, never SQL; a value is always a bound
`{name:Type}` parameter.

>>> ask(warehouse, Question(metrics=("jobs",), dimensions=("user",), limit=10))
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from clickhouse.connection import Warehouse
from clickhouse.dimensions import DIMENSIONS
from clickhouse.errors import QuestionError
from clickhouse.metrics import METRICS

# Evaluating an argument only where it is needed copies the columns first: sums take a third longer.
EAGER = " SETTINGS short_circuit_function_evaluation = 'disable'"
MAX_INTEGER = {"UInt16": 2**16 - 1, "UInt32": 2**32 - 1}


@dataclass(frozen=True)
class Period:
    """Calendar days in the cluster's time zone, from `start` up to but not including `end`."""

    start: date | None = None
    end: date | None = None

    @classmethod
    def parse(cls, text: str) -> Period:
        """Read `2018`, `2018-03`, `2018-03-01`, `2018-03..2019` (both ends included) or `all`."""
        if text == "all":
            return cls()
        first, dots, last = text.partition("..")
        start = _days(first, text)[0] if first else None
        end = _days(last, text)[1] if last else None if dots else _days(first, text)[1]
        if start and end and start >= end:
            raise QuestionError(f"period {text!r} ends before it begins")
        return cls(start, end)


def _days(text: str, whole: str) -> tuple[date, date]:
    """Give the first day of a year, month or day, and the day after its last."""
    if not re.fullmatch(r"\d{4}(-\d{2}){0,2}", text):
        raise QuestionError(
            f"period {whole!r} is none of 2018, 2018-03, 2018-03-01, 2018-03..2019-06, all"
        )
    year, month, day = ([int(part) for part in text.split("-")] + [0, 0])[:3]
    try:
        start = date(year, month or 1, day or 1)
        if not month:
            return start, date(year + 1, 1, 1)
        days = 1 if day else calendar.monthrange(year, month)[1]
        return start, start + timedelta(days=days)
    except (ValueError, OverflowError):
        raise QuestionError(f"period {whole!r}: {text} is no date") from None


@dataclass(frozen=True)
class Filter:
    """Keep the lines whose dimension has one of these values, or drop them with `exclude`."""

    dimension: str
    values: tuple[str, ...]
    exclude: bool = False


@dataclass(frozen=True)
class Question:
    """Metrics, by dimensions, over a period, of the filtered lines.

    `limit` keeps the `limit` largest by the first metric (the smallest with `ascending`): of the
    first dimension that is not a time, each with all of its rows.
    """

    metrics: tuple[str, ...]
    dimensions: tuple[str, ...] = ()
    period: Period = Period()
    filters: tuple[Filter, ...] = ()
    limit: int | None = None
    ascending: bool = False

    def check(self) -> None:
        """Refuse names that do not exist, and what cannot be answered."""
        if not self.metrics:
            raise QuestionError("a question needs at least one metric")
        for name in self.metrics:
            _known(name, METRICS, "metric")
        for name in (*self.dimensions, *(kept.dimension for kept in self.filters)):
            _known(name, DIMENSIONS, "dimension")
        for names in (self.metrics, self.dimensions):
            if len(set(names)) < len(names):
                raise QuestionError(f"named twice: {', '.join(names)}")
        if self.limit is not None and not 0 < self.limit <= 1_000_000:
            raise QuestionError(f"a limit is from 1 to 1000000, not {self.limit}")


def ask(warehouse: Warehouse, question: Question) -> pa.Table:
    """Answer with a column per dimension, then one per metric, in their units (see `METRICS`).

    Rows come in the order of time where a dimension is a time, else by the first metric, largest
    first. A figure without a row behind it is null.
    """
    sql, parameters = to_sql(question)
    table = warehouse.arrow(sql, parameters)
    return table.rename_columns([*question.dimensions, *question.metrics])


def values(warehouse: Warehouse, dimension: str, contains: str = "", limit: int = 100) -> list[str]:
    """List the values of a dimension that contain a text, those with most lines first."""
    _known(dimension, DIMENSIONS, "dimension")
    sql = (
        f"SELECT {_output(dimension)} AS value FROM {_lines([dimension])}"
        f" GROUP BY {_key(dimension)}"
        " HAVING value != '' AND positionCaseInsensitiveUTF8(value, {contains:String}) > 0"
        f" ORDER BY count() DESC, value LIMIT {{limit:UInt32}}{EAGER}"
    )
    return [str(row[0]) for row in warehouse.rows(sql, {"contains": contains, "limit": limit})]


def to_sql(question: Question) -> tuple[str, dict[str, Any]]:
    """Write the SQL of a question, and the values for its parameters."""
    question.check()
    parameters: dict[str, Any] = {}
    conditions = [*_period_sql(question.period, parameters)]
    conditions += [_filter_sql(kept, question, parameters) for kept in question.filters]
    if question.limit is not None:
        parameters["limit"] = question.limit
    ranked = next((n for n in question.dimensions if not DIMENSIONS[n].is_time), None)
    alone = question.dimensions == (ranked,)
    if question.limit is not None and ranked and not alone:
        conditions.append(_top_sql(question, ranked, conditions))
    sql = _select(question, conditions)
    if question.limit is not None and (alone or not ranked):
        sql += " LIMIT {limit:UInt32}"
    return sql + EAGER, parameters


def _select(question: Question, conditions: list[str]) -> str:
    columns = [f"{_output(name)} AS d{i}" for i, name in enumerate(question.dimensions)]
    columns += [f"{_measured(name, question)} AS m{i}" for i, name in enumerate(question.metrics)]
    sql = f"SELECT {', '.join(columns)} FROM {_lines(question.dimensions)}{_where(conditions)}"
    if question.dimensions:
        sql += f" GROUP BY {', '.join(map(_key, question.dimensions))}"
    return sql + f" ORDER BY {_order(question)}"


def _lines(dimensions: Iterable[str]) -> str:
    """Write the lines, those with several values of a dimension once for each."""
    many = [DIMENSIONS[name].array_join for name in dimensions if DIMENSIONS[name].is_many]
    return " ARRAY JOIN ".join(["lines", *many])


def _measured(metric: str, question: Question) -> str:
    share = " * share" if "metagroup" in question.dimensions else ""
    return METRICS[metric].sql.replace("{share}", share)


def _order(question: Question) -> str:
    times = [f"d{i}" for i, n in enumerate(question.dimensions) if DIMENSIONS[n].is_time]
    others = [f"d{i}" for i, n in enumerate(question.dimensions) if not DIMENSIONS[n].is_time]
    return ", ".join([*times, f"m0 {_direction(question)}", *others])


def _direction(question: Question) -> str:
    return "ASC NULLS LAST" if question.ascending else "DESC NULLS LAST"


def _top_sql(question: Question, ranked: str, conditions: list[str]) -> str:
    column = DIMENSIONS[ranked].sql
    return (
        f"{column} IN (SELECT {column} FROM {_lines(question.dimensions)}{_where(conditions)}"
        f" GROUP BY {column}"
        f" ORDER BY {_measured(question.metrics[0], question)} {_direction(question)}, {column}"
        " LIMIT {limit:UInt32})"
    )


def _where(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _key(dimension: str) -> str:
    """Write what rows are grouped by: names are bytes in the file, and any of them may occur."""
    chosen = DIMENSIONS[dimension]
    of_file = chosen.type == "String" and not chosen.is_many
    return f"toValidUTF8({chosen.sql})" if of_file else chosen.sql


def _output(dimension: str) -> str:
    """Write a dimension as it is shown, one value for each group."""
    return DIMENSIONS[dimension].shown or _key(dimension)


def _period_sql(period: Period, parameters: dict[str, Any]) -> Iterable[str]:
    """Limit the calendar day, and `time` a day wider on each side, which the key can use."""
    if period.start:
        parameters["start"] = period.start
        yield "day >= {start:Date} AND time >= toDateTime({start:Date}, 'UTC') - 86400"
    if period.end:
        parameters["end"] = period.end
        yield "day < {end:Date} AND time < toDateTime({end:Date}, 'UTC') + 86400"


def _filter_sql(kept: Filter, question: Question, parameters: dict[str, Any]) -> str:
    dimension = DIMENSIONS[kept.dimension]
    name = f"f{len(parameters)}"
    parameters[name] = [_typed(value, kept.dimension) for value in kept.values]
    values = f"{{{name}:Array({dimension.type})}}"
    if not dimension.is_many:
        return f"{_key(kept.dimension)} {'NOT IN' if kept.exclude else 'IN'} {values}"
    has = dimension.has.replace("{values}", values)
    if kept.exclude:
        return f"NOT {has}"
    # of a line with several, a split shows the values that were asked for
    split = kept.dimension in question.dimensions
    return f"{has} AND has({values}, {_output(kept.dimension)})" if split else has


def _typed(value: str, dimension: str) -> str | int | date:
    kind = DIMENSIONS[dimension].type
    try:
        if kind == "Date":
            return date.fromisoformat(value)
        if kind in MAX_INTEGER:
            number = int(value)
            if not 0 <= number <= MAX_INTEGER[kind]:
                raise ValueError
            return number
    except ValueError:
        what = "date (2018-03-01)" if kind == "Date" else "number"
        raise QuestionError(f"{dimension}: {value!r} is no {what}") from None
    return value


def _known(name: str, known: Iterable[str], kind: str) -> None:
    if name not in known:
        raise QuestionError(f"unknown {kind} {name!r}; there are {', '.join(known)}")
