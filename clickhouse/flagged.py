"""How many lines have something odd or missing, as `codes.FLAGS` has it."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from clickhouse.connection import Warehouse
from clickhouse.query import grouped_sql
from clickhouse.question import Filter, Question


def flagged(warehouse: Warehouse, clusters: Sequence[str] = ()) -> pa.Table:
    """Count the accepted lines with each flag, of all clusters or those named, most first.

    The columns are `name` and `lines`; a line with several flags is in each, one with none nowhere.
    """
    of_clusters = (Filter("cluster", tuple(clusters)),) if clusters else ()
    question = Question(("attempts",), ("flag",), filters=of_clusters)
    sql, parameters, _ = grouped_sql(warehouse, question, ["sum(line_count)"], ["flag != ''"])
    found = warehouse.arrow(sql, parameters).rename_columns(["name", "lines"])
    return found.sort_by([("lines", "descending"), ("name", "ascending")])
