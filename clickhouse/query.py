"""Questions: what is asked of the warehouse, turned into SQL with bound values, answered as Arrow.

A name in a question is a key of `METRICS` or `DIMENSIONS`, never SQL; a value is always a bound
`{name:Type}` parameter.

>>> ask(warehouse, Question(metrics=("jobs",), dimensions=("user",), limit=10))
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from clickhouse import columns
from clickhouse.chosen import choose
from clickhouse.connection import Warehouse
from clickhouse.cubes import WHOLE
from clickhouse.dimensions import DIMENSIONS
from clickhouse.filtering import (
    bare_sql,
    bind,
    bind_values,
    is_one_of,
    of_filters,
    output_sql,
)
from clickhouse.metrics import METRICS
from clickhouse.need import FIRST_DAY, NO_DAY, Need
from clickhouse.paths import LINES, Path, from_lines
from clickhouse.paths import has_rollups as rollups_have
from clickhouse.public import PEOPLE, enough, is_public, people_of, without_few
from clickhouse.question import Filter, Period, Question, known
from clickhouse.rowset import AT_ONCE, EAGER
from clickhouse.scope import FEWEST_PEOPLE, Scope, refuse_personal
from clickhouse.seen import of_scope
from clickhouse.spread import spread_lines
from clickhouse.totals import is_one_query, whole, with_total

__all__ = [
    "Explained", "Filter", "Period", "Question", "ask", "explain", "has_rollups", "to_sql",
    "values",
]  # fmt: skip

_PEOPLE = "people "  # begins the names of columns that say who is behind a cell


def ask(warehouse: Warehouse, question: Question) -> pa.Table:
    """Answer with a column per dimension, then one per metric, in their units (see `METRICS`).

    Rows come in the order of time where a dimension is a time, else by the first metric, largest
    first. A figure without a row behind it is null. With `rows_behind` two columns more for each
    metric follow; with `other` or `total` a last one, `row`, says whether a row is a `part`, the
    `other` ones, for which the ranked dimension is null, or the `total`. The public gets no cell of
    too few people, see `public`, and of a whole that is theirs nulls.
    """
    question.check()
    if question.total and not is_one_query(question):
        parts = ask(warehouse, replace(question, total=False))
        return with_total(question, parts, ask(warehouse, whole(question)))
    if is_public(question.scope):
        return _for_the_public(warehouse, question)
    return _asked(warehouse, question)


def _for_the_public(warehouse: Warehouse, question: Question) -> pa.Table:
    """Ask for all cells and leave out the few's; of a part of them what the whole would show."""
    found = _asked(warehouse, replace(question, limit=None, names=(), other=False))
    people = [name for name in found.column_names if name.startswith(_PEOPLE)]
    if not leaves_enough_out(warehouse, question):
        found = found.slice(0, 0) if question.dimensions else _of_nobody(found, people)
    shown = without_few(found, question.dimensions, people, question.metrics[0])
    if not question.keeps_some:
        return shown.slice(0, question.limit)
    keys = {*columns.keys(shown, question.dimensions)}
    found = _asked(warehouse, replace(question, other=True))
    found = found if keys else found.slice(0, 0)
    rows = columns.keys(found, (columns.ROW, *question.dimensions))
    also = {i for i, (row, *key) in enumerate(rows) if row == columns.PART and (*key,) not in keys}
    some = without_few(found, question.dimensions, people, question.metrics[0], also)
    if question.other:
        return some
    return some.filter(pc.equal(some[columns.ROW], columns.PART)).drop_columns([columns.ROW])


def _of_nobody(found: pa.Table, people: Iterable[str]) -> pa.Table:
    for name in people:
        index, field = found.schema.get_field_index(name), found.schema.field(name)
        found = found.set_column(index, field, pa.array([[]] * found.num_rows, field.type))
    return found


def leaves_enough_out(warehouse: Warehouse, question: Question) -> bool:
    """Tell whether what each filter leaves out is of enough people, or nothing at all.

    It is the difference between the question without the filter and this one.
    """
    parameters: dict[str, Any] = {}
    filters, _ = of_filters(replace(question, dimensions=()), parameters)
    if not filters:
        return True
    start, end = question.period.start or FIRST_DAY, question.period.end or NO_DAY
    without = [
        " AND ".join([f"NOT ({left})", *(f"({each})" for each in filters if each is not left)])
        for left in filters
    ]
    who = [people_of(question.metrics, each) for each in without]
    texts = [sql for each in who for sql in each]
    path = _path(warehouse, question, Need((*texts, "line_count"), (), start, end))
    left_out = ", ".join(f"[{', '.join(each)}]" for each in who)
    sql = f"SELECT {left_out} FROM {path.rows}{EAGER}"
    [found] = warehouse.rows(sql, parameters | path.parameters)
    return all(not everyone or enough([everyone, *having]) for everyone, *having in found)


def _asked(warehouse: Warehouse, question: Question) -> pa.Table:
    sql, parameters, path = to_sql(warehouse, question)
    found = warehouse.arrow(sql, parameters, path.for_whom(warehouse, question.scope))
    return found.rename_columns(_columns(question))


def _columns(question: Question) -> list[str]:
    endings = (columns.ROWS, columns.ROWS_SHARE) if question.rows_behind else ()
    behind = [name + ending for name in question.metrics for ending in endings]
    people = [f"{_PEOPLE}{i}" for i, _ in enumerate(_people(question))]
    row = [columns.ROW] if question.other or question.total else []
    return [*question.dimensions, *question.metrics, *behind, *people, *row]


def _people(question: Question) -> list[str]:
    return people_of(question.metrics) if is_public(question.scope) else []


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
    whom = path.for_whom(warehouse, question.scope)
    answered = warehouse.text(sql, "JSONCompact", parameters, whom)
    found = json.loads(answered)["statistics"]
    seconds = time.monotonic() - began
    return Explained(path.tables, found["rows_read"], found["bytes_read"], seconds, sql)


def has_rollups(warehouse: Warehouse, question: Question) -> bool:
    """Tell whether rollups can answer a question: it is quick then, however long the period."""
    if question.exact or question.booked == "spread":
        return False
    return rollups_have(warehouse, _need(warehouse, question, _needed_texts(question), {})[0])


def values(
    warehouse: Warehouse,
    dimension: str,
    contains: str = "",
    limit: int = 100,
    scope: Scope | None = None,
) -> list[str]:
    """List the values of a dimension that contain a text, those with most lines first."""
    known(dimension, DIMENSIONS, "dimension")
    refuse_personal(scope, [dimension])
    parameters: dict[str, Any] = {"contains": contains, "limit": limit}
    seen = of_scope(warehouse, scope, parameters)
    of_many = f" AND length({PEOPLE}) >= {FEWEST_PEOPLE}" if is_public(scope) else ""
    path = choose(warehouse, Need((*_texts([dimension], [of_many]), "line_count"), seen=seen))
    key = DIMENSIONS[dimension].sql
    sql = (
        f"SELECT toString({output_sql(dimension, key)}) AS value FROM {_rows(path, [dimension])}"
        f" GROUP BY {key}"
        f" HAVING value != ''{of_many}"
        " AND positionCaseInsensitiveUTF8(value, {contains:String}) > 0"
        f" ORDER BY sum(line_count) DESC, value LIMIT {{limit:UInt32}}{EAGER}"
    )
    whom = path.for_whom(warehouse, scope)
    found = warehouse.rows(sql, parameters | path.parameters, whom)
    return [str(row[0]) for row in found]


def to_sql(warehouse: Warehouse, question: Question) -> tuple[str, dict[str, Any], Path]:
    """Write the SQL of a question, the values for its parameters, and where its rows are from.

    A total that takes a query of its own is not in it.
    """
    question.check()
    question = replace(question, total=question.total and is_one_query(question))
    parameters: dict[str, Any] = {}
    need, of_parts = _need(warehouse, question, _needed_texts(question), parameters)
    path = _path(warehouse, question, need)
    rows = _rows(path, question.dimensions)
    is_kept = _is_kept(question, rows, of_parts, parameters)
    if is_kept and not question.other:
        of_parts.append(is_kept)
    sql = _select(question, rows, of_parts, is_kept if question.other else "")
    if question.limit is not None and not is_kept:
        sql += f" LIMIT {bind(question.limit, 'UInt32', parameters)}"
    if any("{first:Date}" in text for text in need.texts):
        parameters |= _span(warehouse, question.period)
    return path.figures(sql) + _settings(question, path), parameters | path.parameters, path


def grouped_sql(
    warehouse: Warehouse,
    question: Question,
    figures: Sequence[str],
    conditions: Sequence[str],
    key: str = "",
    bound: Mapping[str, Any] | None = None,
) -> tuple[str, dict[str, Any], Path]:
    """Write SQL that splits a question's rows by its dimensions, and a key more, into figures.

    They, the conditions on rows and the key are SQL, not names; `bound` has values for them.
    """
    question.check()
    parameters = dict(bound or {})
    texts = _texts(question.dimensions, [*figures, *conditions, key])
    need, of_parts = _need(warehouse, question, texts, parameters)
    path = _path(warehouse, question, need)
    its = {name: DIMENSIONS[name].sql for name in question.dimensions}
    also = [key] if key else []
    keys, shown = [*its.values(), *also], [*(output_sql(*each) for each in its.items()), *also]
    columns = [f"{sql} AS c{number}" for number, sql in enumerate((*shown, *figures))]
    order = ", ".join(f"c{number}" for number, _ in enumerate(shown))
    sql = (
        f"SELECT {', '.join(columns)} FROM {_rows(path, question.dimensions)}"
        f"{_where([*of_parts, *conditions])}"
    )
    if keys:
        sql += f" GROUP BY {', '.join(keys)} ORDER BY {order}"
    return path.figures(sql) + _settings(question, path), parameters | path.parameters, path


def _need(
    warehouse: Warehouse, question: Question, texts: Sequence[str], parameters: dict[str, Any]
) -> tuple[Need, list[str]]:
    """Say what rows a question takes, and which conditions its parts have to meet."""
    of_rows, of_parts = of_filters(question, parameters)
    spread = question.booked == "spread"
    seen = of_scope(warehouse, question.scope, parameters, filters=question.filters, spread=spread)
    start, end = question.period.start or FIRST_DAY, question.period.end or NO_DAY
    few = any(each.dimension == "user" and not each.exclude for each in question.filters)
    return Need((*texts, *of_parts), tuple(of_rows), start, end, seen, few), of_parts


def _needed_texts(question: Question) -> tuple[str, ...]:
    return _texts(question.dimensions, [sql for sql, _ in _figures(question)])


def _path(warehouse: Warehouse, question: Question, need: Need) -> Path:
    if question.booked == "spread":
        return spread_lines(warehouse, need)
    return from_lines(warehouse, need) if question.exact else choose(warehouse, need)


def _settings(question: Question, path: Path) -> str:
    is_whole = {*path.tables} <= WHOLE or question.scope is None and LINES not in path.tables
    return AT_ONCE if not question.filters and is_whole else EAGER


def _texts(dimensions: Iterable[str], metrics: Iterable[str]) -> tuple[str, ...]:
    chosen = [DIMENSIONS[name] for name in dimensions]
    return (*(each.sql for each in chosen), *(each.array_join for each in chosen), *metrics)


def _is_kept(
    question: Question, rows: str, conditions: list[str], parameters: dict[str, Any]
) -> str:
    """Write the condition that a row's value is one of those kept; '' where a LIMIT does it."""
    ranked = question.ranked
    if ranked is None or not question.keeps_some:
        return ""
    if question.names:
        return is_one_of(ranked, bind_values(question.names, ranked, parameters))
    alone = question.dimensions == (ranked,) and not DIMENSIONS[ranked].is_ordered
    if alone and not question.other:
        return ""
    bare, first = bare_sql(ranked), _measured(question.metrics[0], question, ranked_only=True)
    return (
        f"{bare} IN (SELECT {bare} FROM {rows}{_where(conditions)} GROUP BY {bare}"
        f" ORDER BY {first} {_direction(question)}, {bare}"
        f" LIMIT {bind(question.limit, 'UInt32', parameters)})"
    )


def _select(question: Question, rows: str, conditions: list[str], is_kept: str) -> str:
    """Write the query; `is_kept` tells which rows are not to be summed up as the other ones."""
    if question.total:
        return _with_total(question, rows, conditions)
    its = {name: DIMENSIONS[name].sql for name in question.dimensions}
    split = {name: (key, output_sql(name, key)) for name, key in its.items()}
    if is_kept and question.ranked:
        split[question.ranked] = _kept_or_null(question.ranked)
    selected = [f"{output} AS d{i}" for i, (_, output) in enumerate(split.values())]
    selected += [f"{sql} AS {alias}" for sql, alias in _figures(question)]
    keys = [key for key, _ in split.values()]
    if is_kept:
        selected.append(f"if(is_kept, '{columns.PART}', '{columns.OTHER}') AS kind")
        keys.append("is_kept")
        rows = f"(SELECT *, {is_kept} AS is_kept FROM {rows})"
    sql = f"SELECT {', '.join(selected)} FROM {rows}{_where(conditions)}"
    sql += f" GROUP BY {', '.join(keys)}" if keys else ""
    return f"{sql} ORDER BY {_order(question)}"


def _with_total(question: Question, rows: str, conditions: list[str]) -> str:
    """Write the query for the parts and their total, which is there whatever the rows."""
    keys = [DIMENSIONS[name].sql for name in question.dimensions]
    is_part = f"grouping({keys[0]}) = 0"
    selected = [
        f"if({is_part}, {output_sql(name, key)}, NULL) AS d{i}"
        for i, (name, key) in enumerate(zip(question.dimensions, keys, strict=True))
    ]
    selected += [f"{sql} AS {alias}" for sql, alias in _figures(question)]
    kind = f"if({is_part}, '{columns.PART}', '{columns.TOTAL}') AS kind"
    return (
        f"SELECT {', '.join([*selected, kind])} FROM {rows}{_where(conditions)}"
        f" GROUP BY GROUPING SETS (({', '.join(keys)}), ()) ORDER BY kind, {_order(question)}"
    )


def _kept_or_null(ranked: str) -> tuple[str, str]:
    chosen = DIMENSIONS[ranked]
    nothing = "''" if chosen.type == "String" and not chosen.shown else "0"
    key = f"if(is_kept, {chosen.sql}, {nothing})"
    return key, f"if(is_kept, {output_sql(ranked, key)}, NULL)"


def _figures(question: Question) -> list[tuple[str, str]]:
    """Write each metric and what is asked of it besides, with the name it has in the query."""
    found = [(_measured(name, question), f"m{i}") for i, name in enumerate(question.metrics)]
    if question.rows_behind:
        for i, metric in enumerate(METRICS[name] for name in question.metrics):
            found.append((metric.rows, f"b{i}"))
            found.append((f"100 * {metric.rows} / nullIf({metric.of}, 0)", f"s{i}"))
    return found + [(sql, f"h{i}") for i, sql in enumerate(_people(question))]


def _rows(path: Path, dimensions: Iterable[str]) -> str:
    """Write the rows, those with several values of a dimension once for each."""
    for many in (DIMENSIONS[name].array_join for name in dimensions if DIMENSIONS[name].is_many):
        # not all in one SELECT: a GROUP BY that computes with what it joins would not find it
        joined = ", ".join(re.findall(r" AS (\w+)", many))
        path = replace(path, sql=f"SELECT *, {joined} FROM ({path.sql}) ARRAY JOIN {many}")
    return path.rows


def _measured(metric: str, question: Question, *, ranked_only: bool = False) -> str:
    share = " * share" if "metagroup" in question.dimensions else ""
    days = _days([] if ranked_only else question.dimensions)
    return METRICS[metric].sql.replace("{share}", share).replace("{days}", days)


def _days(dimensions: Iterable[str]) -> str:
    """Write the number of days of the period, or of its part that has the row's times."""
    steps = [DIMENSIONS[name].step for name in dimensions if DIMENSIONS[name].is_time]
    begins = ", ".join(["{first:Date}", *(begin for begin, _ in steps)])
    ends = ", ".join(["{last:Date}", *(end for _, end in steps)])
    return f"greatest(1, dateDiff('day', greatest({begins}), least({ends})))"


def _span(warehouse: Warehouse, period: Period) -> dict[str, date]:
    """Give the ends of a period, of an open one those of the lines that there are."""
    [(first, last)] = warehouse.rows("SELECT toDate(min(time)), toDate(max(time)) FROM accounting")
    return {
        "first": max(period.start or first, FIRST_DAY),
        "last": min(period.end or last + timedelta(days=1), NO_DAY),
    }


def _order(question: Question) -> str:
    by_kind: dict[str, list[str]] = {"time": [], "ordered": [], "name": []}
    for i, dimension in enumerate(DIMENSIONS[name] for name in question.dimensions):
        kind = "time" if dimension.is_time else "ordered" if dimension.is_ordered else "name"
        by_kind[kind].append(f"d{i}")
    apart = ["is_kept DESC"] if question.other else []
    measured = f"m0 {_direction(question)}"
    return ", ".join([*by_kind["time"], *apart, *by_kind["ordered"], measured, *by_kind["name"]])


def _direction(question: Question) -> str:
    return "ASC NULLS LAST" if question.ascending else "DESC NULLS LAST"


def _where(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
