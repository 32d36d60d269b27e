"""Filters as SQL: what rows must meet, with values that are always bound parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from clickhouse.dimensions import DIMENSIONS
from clickhouse.question import LACKING, Filter, Question, typed_values

LEADING = ("user", "queue")  # come first in the keys of rollups: an index finds their names


def bind(value: object, kind: str, parameters: dict[str, Any]) -> str:
    """Bind a value as a parameter, and write it as SQL has it."""
    name = f"p{len(parameters)}"
    parameters[name] = value
    return f"{{{name}:{kind}}}"


def bind_values(values: Iterable[str], dimension: str, parameters: dict[str, Any]) -> str:
    """Bind the values of a dimension as an array; raises `QuestionError` for what can be none."""
    return bind(typed_values(values, dimension), f"Array({type_of(dimension)})", parameters)


def of_filters(question: Question, parameters: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Write what rows must meet, and what the parts must into which a split takes a row."""
    of_rows, of_parts = [], []
    for kept in question.filters:
        if kept.is_range:
            of_rows.append(_in_range(kept, parameters))
            continue
        values = bind_values(kept.values, kept.dimension, parameters)
        of_rows.append(has_sql(kept, values))
        # of a line with several, a split shows the values that were asked for
        is_many = DIMENSIONS[kept.dimension].is_many
        if is_many and not kept.exclude and kept.dimension in question.dimensions:
            of_parts.append(is_one_of(kept.dimension, values))
    return of_rows, of_parts


def has_sql(kept: Filter, values: str) -> str:
    """Write that a row has one of the values, which are bound, or that it has none."""
    dimension = DIMENSIONS[kept.dimension]
    if not dimension.is_many:
        column = bare_sql(kept.dimension)
        if dimension.type == "String" and kept.dimension not in LEADING:
            column = f"identity({column})"  # looking in the index would take longer than it saves
        return f"{column} {'NOT IN' if kept.exclude else 'IN'} {values}"
    has = dimension.has.replace("{values}", values)
    return f"NOT {has}" if kept.exclude else has


def _in_range(kept: Filter, parameters: dict[str, Any]) -> str:
    low, high = kept.bounds()
    if low is None and DIMENSIONS[kept.dimension].can_lack:
        low = 0
    kind, bare = type_of(kept.dimension), bare_sql(kept.dimension)
    ends = [
        f"{bare} {sign} {bind(end, kind, parameters)}"
        for sign, end in ((">=", low), ("<=", high))
        if end is not None
    ]
    return f"{'NOT ' if kept.exclude else ''}({' AND '.join(ends)})"


def is_one_of(dimension: str, values: str) -> str:
    """Write that a part is one of the values into which a split takes a row."""
    if DIMENSIONS[dimension].is_many:
        return f"has({values}, {output_sql(dimension, DIMENSIONS[dimension].sql)})"
    return f"{bare_sql(dimension)} IN {values}"


def bare_sql(dimension: str) -> str:
    """Write a key that is never null, so that it is in a list or not in it."""
    chosen = DIMENSIONS[dimension]
    return f"ifNull({chosen.sql}, {LACKING})" if chosen.can_lack else chosen.sql


def type_of(dimension: str) -> str:
    """Name the type that the values of a dimension are compared in."""
    return "Int64" if DIMENSIONS[dimension].can_lack else DIMENSIONS[dimension].type


def output_sql(dimension: str, key: str) -> str:
    """Write a dimension as it is shown, one value for each group."""
    chosen = DIMENSIONS[dimension]
    return chosen.shown.replace(chosen.sql, key) or key
