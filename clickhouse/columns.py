"""The columns of an answer: what they are called, which rows they tell apart, new orders of them.

Besides dimensions and metrics they are named after a metric, with what of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from clickhouse.dimensions import DIMENSIONS
from clickhouse.metrics import METRICS

ROWS, ROWS_SHARE = "_rows", "_rows_share"
SHARE = "_share"
PREVIOUS, CHANGE, CHANGE_PERCENT = "_previous", "_change", "_change_percent"

# What a row is: `part` of the whole, the `other` ones summed up, or the `total`.
ROW = "row"
PART, OTHER, TOTAL = "part", "other", "total"

# ending: what is said of the metric, and the unit where it is not the metric's
_ENDINGS: dict[str, tuple[str, str | None]] = {
    ROWS_SHARE: ("of the rows", "%"),
    ROWS: ("rows behind", ""),
    SHARE: ("share", "%"),
    PREVIOUS: ("before", None),
    CHANGE_PERCENT: ("change", "%"),
    CHANGE: ("change", None),
}


@dataclass(frozen=True)
class Column:
    """How a column is called for people, and its unit, '' where it has none."""

    label: str
    unit: str = ""

    def __str__(self) -> str:
        """Give the heading."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


def describe(name: str) -> Column:
    """Describe a column of an answer."""
    if name in DIMENSIONS:
        return Column(DIMENSIONS[name].label)
    if name in METRICS:
        return Column(METRICS[name].label, METRICS[name].unit)
    for ending, (what, unit) in _ENDINGS.items():
        metric = METRICS.get(name.removesuffix(ending))
        if metric and name.endswith(ending):
            return Column(f"{metric.label}, {what}", metric.unit if unit is None else unit)
    return Column(name)


def counts(name: str) -> bool:
    """Tell whether a column is 0 where there is nothing, rather than null."""
    metric = METRICS.get(name)
    return metric.kind != "figure" if metric else name.removesuffix(ROWS) in METRICS


def keys(answer: pa.Table, names: Sequence[str]) -> list[tuple[object, ...]]:
    """List what each row has in these columns."""
    if not names:
        return [()] * answer.num_rows
    return [*zip(*(answer.column(name).to_pylist() for name in names), strict=True)]


def rearranged(
    answer: pa.Table,
    rows: Sequence[int | None],
    names: Sequence[str],
    keys: Sequence[tuple[object, ...]],
    *,
    nothing: int | None = 0,
) -> pa.Table:
    """Take rows by number, an empty one for None, and put these keys into the columns `names`.

    `nothing` is what counts are in an empty one: null where it may be one that is not shown.
    """
    table = answer.take(pa.array(rows, pa.int64()))
    for number, name in enumerate(names):
        field = answer.schema.field(name)
        values = pa.array([key[number] for key in keys], field.type)
        table = table.set_column(answer.schema.get_field_index(name), field, values)
    for index, name in enumerate(table.column_names):
        if counts(name) and nothing is not None:
            table = table.set_column(index, name, table.column(name).fill_null(nothing))
    return table
