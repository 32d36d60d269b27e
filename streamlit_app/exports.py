"""Tables as files that other programs open."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

_FORMULA = r"^[=+\-@\t\r]"  # what a spreadsheet takes for the beginning of one


def write_csv(table: pa.Table) -> bytes:
    """Write a table as CSV; a text that a spreadsheet would run as a formula begins with a `'`."""
    output = io.BytesIO()
    columns = [_inert(column) for column in table.columns]
    pa.csv.write_csv(pa.table(columns, names=table.column_names), output)
    return output.getvalue()


def _inert(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    return pc.replace_substring_regex(column, _FORMULA, r"'\0")
