"""The table: a row of sums for each value of what is split by, laid out as qacct lays it out.

qacct adds numbers of 53 bits line after line, so the last digits that it prints of a large sum are
rounding errors that depend on the order. Up to ORDERED_ROWS rows are added in that order too; more
of them in any order, for speed, with the errors carried along: right to 15 digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from clickhouse.connection import Warehouse
from pychart.qacct import formats
from pychart.qacct.columns import ACCOUNT, COLUMNS, HOST, RESERVATION, SLOTS, Column, shown
from pychart.qacct.options import Options
from pychart.qacct.selection import HOST_KEY, Selection

ORDERED_ROWS = 5_000_000
NUMBER_WIDTH = 5
FIGURES = ("trunc(ru_wallclock)", "ru_utime", "ru_stime", "cpu", "mem", "io", "iow")
TITLES = b"%13s %13s %13s %13s %18s %18s %18s" % (
    b"WALLCLOCK",
    b"UTIME",
    b"STIME",
    b"CPU",
    b"MEMORY",
    b"IO",
    b"IOW",
)
ROW = b"%13.0f %13.3f %13.3f %13.3f %18.3f %18.3f %18.3f\n"


@dataclass(frozen=True)
class Row:
    """The values of the columns that are split by, when the first line was met, and the sums."""

    cells: dict[Column, bytes | int]
    first: int
    figures: tuple[float, ...]


def table(warehouse: Warehouse, selection: Selection, options: Options) -> bytes:
    """Sum up the selected rows and lay them out."""
    split = [column for column in COLUMNS if column in options.split]
    rows = sorted(_rows(warehouse, selection, split), key=_rank)
    return b"".join(_layout(rows, options))


def _rank(row: Row) -> tuple[object, ...]:
    """Order by all columns but the account; what is equal then comes last seen first."""
    cells = [cell for column, cell in row.cells.items() if column is not ACCOUNT]
    return (*cells, -row.first)


def _rows(warehouse: Warehouse, selection: Selection, split: list[Column]) -> Iterator[Row]:
    ordered = selection.count_at_most(warehouse) <= ORDERED_ROWS
    sql = _sums_sql(selection, split, ordered)
    for found in warehouse.rows(sql, selection.parameters):
        cells = {column: _cell(column, cell) for column, cell in zip(split, found, strict=False)}
        yield Row(cells, int(found[len(split)]), tuple(found[len(split) + 1 :]))


def _cell(column: Column, value: str | int) -> bytes | int:
    return value if isinstance(value, int) else shown(column.field, bytes.fromhex(value))


def _sums_sql(selection: Selection, split: list[Column], ordered: bool) -> str:
    keys = [HOST_KEY if column is HOST else column.sql for column in split]
    inner = [f"{key} AS k{i}" for i, key in enumerate(keys)]
    inner += [f"{figure} AS f{i}" for i, figure in enumerate(FIGURES)]
    outer = [_cell_sql(column, f"k{i}") for i, column in enumerate(split)]
    outer.append("min(place)" if ACCOUNT in split else "0")
    add = "arrayCumSum(groupArray(f{0}))[-1]" if ordered else "sumKahan(f{0})"
    outer += [add.format(i) for i in range(len(FIGURES))]
    source = f"SELECT {', '.join(inner)}, hostname, {selection.place} AS place"
    source += f" FROM {selection.source}{' ORDER BY place' if ordered else ''}"
    group = f" GROUP BY {', '.join(f'k{i}' for i in range(len(keys)))}" if keys else ""
    return f"SELECT {', '.join(outer)} FROM ({source}){group}"


def _cell_sql(column: Column, key: str) -> str:
    if column.is_number:
        return key
    # of the spellings of a host, the first that was met
    return "hex(argMin(hostname, place))" if column is HOST else f"hex({key})"


def _layout(rows: list[Row], options: Options) -> Iterator[bytes]:
    columns = [column for column in COLUMNS if column in options.split or column in options.only]
    widths = {column: _width(column, rows, options) for column in columns}
    heads = dict(widths)
    if RESERVATION in heads:  # its title is as wide as that of the slots
        heads[RESERVATION] = _width(SLOTS, rows, options)
    if not columns:
        yield b"Total System Usage\n"
    yield b"".join(column.title.ljust(heads[column]) for column in columns)
    yield TITLES + b"\n" + b"=" * (sum(heads.values()) + len(TITLES)) + b"\n"
    if any(row.figures[0] for row in rows):  # qacct shows no row where no time was used at all
        for row in rows:
            yield b"".join(_print(column, row, options).ljust(widths[column]) for column in columns)
            yield ROW % row.figures


def _print(column: Column, row: Row, options: Options) -> bytes:
    value = options.only[column] if column in options.only else row.cells[column]
    return value if isinstance(value, bytes) else formats.narrow(value)


def _width(column: Column, rows: list[Row], options: Options) -> int:
    """Give a column the width that qacct gives it, where it is split by or not."""
    if column.is_number:
        cells = [row.cells.get(column, 0) for row in rows if options.split]
        listed = [formats.narrow(cell) for cell in cells if isinstance(cell, int)]
        return max([NUMBER_WIDTH, *(len(text) + 1 for text in listed)])
    only = options.only.get(column, b"")
    texts = [column.title, only if isinstance(only, bytes) else b""]
    if column is not ACCOUNT:
        texts += [cell for row in rows if isinstance(cell := row.cells.get(column), bytes)]
    return max(len(text) for text in texts) + 1
