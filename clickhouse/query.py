"""Questions: what is asked of the warehouse, turned into SQL with bound values, answered as Arrow.

A name in a question is a key of `METRICS` or `DIMENSIONS`, never SQL; a value is always a bound
`{name:Type}` parameter.

>>> ask(warehouse, Question(metrics=("jobs",), dimensions=("user",), limit=10))
"""

from __future__ import annotations

import calendar
import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from clickhouse.connection import Warehouse
from clickhouse.dimensions import DIMENSIONS
from clickhouse.errors import QuestionError
from clickhouse.metrics import METRICS
from clickhouse.paths import FIRST_DAY, NO_DAY, Need, Path, choose, from_lines

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
    first dimension that is not a time, each with all of its rows. `exact` asks the lines, even
    where a rollup would do.
    """

    metrics: tuple[str, ...]
    dimensions: tuple[str, ...] = ()
    period: Period = Period()
    filters: tuple[Filter, ...] = ()
    limit: int | None = None
    ascending: bool = False
    exact: bool = False

    def check(self) -> None:
        """Refuse names that do not exist, and what cannot be answered."""
        if not self.metrics:
            raise QuestionError("a question needs at least one metric")
        for name in self.metrics:
            _known(name, METRICS, "metric")
        for name in (*self.dimensions, *(kept.dimension for kept in self.filters)):
            _known(name, DIMENSIONS, "dimension")
        for kept in self.filters:
            for value in kept.values:
                _typed(value, kept.dimension)
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
    sql, parameters, _ = to_sql(warehouse, question)
    table = warehouse.arrow(sql, parameters)
    return table.rename_columns([*question.dimensions, *question.metrics])


@dataclass(frozen=True)
class Explained:
    """How a question was answered: the tables, what was read of them, and how long it took."""

    tables: tuple[str, ...]
    rows: int
    bytes: int
    seconds: float
    sql: str

    def __str__(self) -> str:
        """Say it in a line."""
        read = f"{self.rows:,} rows, {self.bytes / 1e6:,.1f} MB read"
        return f"{' + '.join(self.tables)}: {read}, {self.seconds * 1e3:.0f} ms"


def explain(warehouse: Warehouse, question: Question) -> Explained:
    """Answer a question only to say how."""
    began = time.monotonic()
    sql, parameters, path = to_sql(warehouse, question)
    found = json.loads(warehouse.text(sql, "JSONCompact", parameters))["statistics"]
    seconds = time.monotonic() - began
    return Explained(path.tables, found["rows_read"], found["bytes_read"], seconds, sql)


def values(warehouse: Warehouse, dimension: str, contains: str = "", limit: int = 100) -> list[str]:
    """List the values of a dimension that contain a text, those with most lines first."""
    _known(dimension, DIMENSIONS, "dimension")
    path = choose(warehouse, Need((*_texts([dimension], []), "line_count")))
    sql = (
        f"SELECT {_output(dimension)} AS value FROM {_rows(path, [dimension])}"
        f" GROUP BY {_key(dimension)}"
        " HAVING value != '' AND positionCaseInsensitiveUTF8(value, {contains:String}) > 0"
        f" ORDER BY sum(line_count) DESC, value LIMIT {{limit:UInt32}}{EAGER}"
    )
    parameters = path.parameters | {"contains": contains, "limit": limit}
    return [str(row[0]) for row in warehouse.rows(sql, parameters)]


def to_sql(warehouse: Warehouse, question: Question) -> tuple[str, dict[str, Any], Path]:
    """Write the SQL of a question, the values for its parameters, and where its rows are from."""
    question.check()
    parameters: dict[str, Any] = {}
    of_rows, of_parts = _conditions(question, parameters)
    start, end = question.period.start or FIRST_DAY, question.period.end or NO_DAY
    texts = _texts(question.dimensions, [_measured(name, question) for name in question.metrics])
    need = Need((*texts, *of_parts), tuple(of_rows), start, end)
    path = from_lines(warehouse, need) if question.exact else choose(warehouse, need)
    rows = _rows(path, question.dimensions)
    if question.limit is not None:
        parameters["limit"] = question.limit
    ranked = next((n for n in question.dimensions if not DIMENSIONS[n].is_time), None)
    alone = question.dimensions == (ranked,)
    if question.limit is not None and ranked and not alone:
        of_parts.append(_top_sql(question, ranked, rows, of_parts))
    sql = _select(question, rows, of_parts)
    if question.limit is not None and (alone or not ranked):
        sql += " LIMIT {limit:UInt32}"
    return sql + EAGER, parameters | path.parameters, path


def _texts(dimensions: Iterable[str], metrics: Iterable[str]) -> tuple[str, ...]:
    chosen = [DIMENSIONS[name] for name in dimensions]
    return (*(each.sql for each in chosen), *(each.array_join for each in chosen), *metrics)


def _conditions(question: Question, parameters: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Write what rows must meet, and what the parts must into which a split takes a row."""
    of_rows, of_parts = [], []
    for kept in question.filters:
        dimension = DIMENSIONS[kept.dimension]
        name = f"f{len(parameters)}"
        parameters[name] = [_typed(value, kept.dimension) for value in kept.values]
        values = f"{{{name}:Array({dimension.type})}}"
        if not dimension.is_many:
            of_rows.append(f"{_key(kept.dimension)} {'NOT IN' if kept.exclude else 'IN'} {values}")
            continue
        has = dimension.has.replace("{values}", values)
        of_rows.append(f"NOT {has}" if kept.exclude else has)
        # of a line with several, a split shows the values that were asked for
        if not kept.exclude and kept.dimension in question.dimensions:
            of_parts.append(f"has({values}, {_output(kept.dimension)})")
    return of_rows, of_parts


def _select(question: Question, rows: str, conditions: list[str]) -> str:
    columns = [f"{_output(name)} AS d{i}" for i, name in enumerate(question.dimensions)]
    columns += [f"{_measured(name, question)} AS m{i}" for i, name in enumerate(question.metrics)]
    sql = f"SELECT {', '.join(columns)} FROM {rows}{_where(conditions)}"
    if question.dimensions:
        sql += f" GROUP BY {', '.join(map(_key, question.dimensions))}"
    return sql + f" ORDER BY {_order(question)}"


def _rows(path: Path, dimensions: Iterable[str]) -> str:
    """Write the rows, those with several values of a dimension once for each."""
    many = [DIMENSIONS[name].array_join for name in dimensions if DIMENSIONS[name].is_many]
    return " ARRAY JOIN ".join([f"({path.sql})", *many])


def _measured(metric: str, question: Question) -> str:
    share = " * share" if "metagroup" in question.dimensions else ""
    return METRICS[metric].sql.replace("{share}", share)


def _order(question: Question) -> str:
    times = [f"d{i}" for i, n in enumerate(question.dimensions) if DIMENSIONS[n].is_time]
    others = [f"d{i}" for i, n in enumerate(question.dimensions) if not DIMENSIONS[n].is_time]
    return ", ".join([*times, f"m0 {_direction(question)}", *others])


def _direction(question: Question) -> str:
    return "ASC NULLS LAST" if question.ascending else "DESC NULLS LAST"


def _top_sql(question: Question, ranked: str, rows: str, conditions: list[str]) -> str:
    column = DIMENSIONS[ranked].sql
    return (
        f"{column} IN (SELECT {column} FROM {rows}{_where(conditions)} GROUP BY {column}"
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
