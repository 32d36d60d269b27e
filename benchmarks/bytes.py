"""What lines take on disk, and what `xz` makes of them.

    python -m benchmarks.bytes --config pychart.toml [--year 2020] [--lines 200000]

Some lines of a year, in the order in which they are stored. Each column by itself is written in
several ways: as it is, as differences, floats as whole numbers of millionths, texts as numbers of
a list, all of these with the bytes of one place together. `xz` packs each, and the smallest one
counts: more than a database can do that has to answer from it, though no bound, since what follows
from other columns is packed too. Bytes per line, beside what the engine has stored of all lines.
"""

from __future__ import annotations

import argparse
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clickhouse.connection import Warehouse
from clickhouse.settings import load_settings

MILLIONTHS = 1_000_000
ASKED = 55.0  # bytes per line, with all columns


def written(column: pa.ChunkedArray) -> Iterator[bytes]:
    """Write a column in each way that may pack well."""
    kind = column.type
    if pa.types.is_fixed_size_binary(kind):
        yield b"".join(column.to_pylist())
        return
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        texts = np.array([bytes(each) for each in column.cast(pa.binary()).to_pylist()], object)
        yield b"\n".join(texts)
        different, numbers = np.unique(texts, return_inverse=True)
        listed = b"\n".join(different)
        yield from (listed + each for each in _numbers(numbers.astype(np.int64)))
        return
    values: Any = column.to_numpy()
    if values.dtype.kind == "f":
        yield values.tobytes()
        values = np.rint(values * MILLIONTHS)
    yield from _numbers(values.astype(np.int64))


def _numbers(values: Any) -> Iterator[bytes]:  # noqa: ANN401 - an array of numpy
    for each in (values, np.diff(values, prepend=0)):
        yield each.tobytes()
        yield each.view(np.uint8).reshape(-1, 8).T.tobytes()


def packed(column: pa.ChunkedArray) -> int:
    """Give the bytes of the smallest way to write a column, each place of an array by itself."""
    if pa.types.is_list(column.type):
        places = pc.max(pc.list_value_length(column)).as_py()
        return sum(packed(pc.list_element(column, place)) for place in range(places))
    return min(len(lzma.compress(each, preset=6)) for each in written(column))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--year", type=int, default=2020)
    parser.add_argument("--lines", type=int, default=200_000)
    options = parser.parse_args()
    with Warehouse(load_settings(options.config)) as db:
        stored = db.rows(
            "SELECT column, sum(column_data_compressed_bytes) / sum(rows)"
            " FROM system.parts_columns WHERE database = currentDatabase() AND active"
            " AND table = 'accounting' GROUP BY column ORDER BY min(column_position)"
        )
        total = {"stored": 0.0, "packed": 0.0}
        print(f"{'column':<20}{'stored':>8}{'packed':>10}   bytes per line")
        for name, taken in stored:
            found = db.arrow(
                f"SELECT `{name}` FROM accounting WHERE toYear(time) = {{year:UInt16}}"
                " ORDER BY cluster, time, job_number, record_id LIMIT {lines:UInt32}",
                {"year": options.year, "lines": options.lines},
            )
            smallest = packed(found.column(0)) / found.num_rows
            print(f"{name:<20}{taken:>8.2f}{smallest:>10.2f}", flush=True)
            total["stored"] += taken
            total["packed"] += smallest
    print(f"{'all':<20}{total['stored']:>8.1f}{total['packed']:>10.1f}   asked: {ASKED}")


if __name__ == "__main__":
    main()
