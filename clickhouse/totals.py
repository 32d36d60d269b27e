"""The row of an answer that sums up all others: asked with them where one query can say both."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from clickhouse import columns
from clickhouse.dimensions import DIMENSIONS
from clickhouse.metrics import METRICS
from clickhouse.public import is_public
from clickhouse.question import Question


def whole(question: Question) -> Question:
    """Ask the same of all that it asks of, without a split."""
    return replace(question, dimensions=(), limit=None, names=(), other=False, total=False)


def is_one_query(question: Question) -> bool:
    """Tell whether parts and their total are of the same rows, each of which is read once.

    They are not where some parts are left out, where a row is several parts, where a figure is of
    the days that a part has, and where a part may be left out for being of too few people.
    """
    return not (
        question.limit is not None
        or question.names
        or is_public(question.scope)
        or any(DIMENSIONS[name].is_many for name in question.dimensions)
        or any("{days}" in METRICS[name].sql for name in question.metrics)
    )


def with_total(question: Question, answer: pa.Table, total: pa.Table) -> pa.Table:
    """Add a last row for the whole; a last column `row` says what each row is.

    `total` answers `whole(question)`: its averages, maxima and distinct counts are of all rows.
    """
    kinds = [columns.PART] * answer.num_rows
    if columns.ROW in answer.column_names:
        kinds = answer.column(columns.ROW).to_pylist()
        answer = answer.drop_columns([columns.ROW])
    figures = {name: total.column(name).to_pylist() for name in total.column_names}
    for name in answer.column_names:
        if name.endswith(columns.SHARE) and name.removesuffix(columns.SHARE) in question.metrics:
            figures[name] = [100.0]
    last = pa.table(
        {
            field.name: pa.array(figures.get(field.name, [None]), field.type)
            for field in answer.schema
        },
        schema=answer.schema,
    )
    return pa.concat_tables([answer, last]).append_column(
        columns.ROW, pa.array([*kinds, columns.TOTAL])
    )


def without_total(answer: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Take an answer apart: its parts, and its total, both without the column `row`."""
    kinds = answer.column(columns.ROW).to_pylist()
    bare = answer.drop_columns([columns.ROW])
    rows = [number for number, kind in enumerate(kinds) if kind == columns.TOTAL]
    parts = [number for number, kind in enumerate(kinds) if kind != columns.TOTAL]
    return bare.take(pa.array(parts, pa.int64())), bare.take(pa.array(rows, pa.int64()))
