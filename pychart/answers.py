"""How an answer is written: a table or bars for people, CSV, JSON or Parquet for programs."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clickhouse import columns
from clickhouse.dimensions import DIMENSIONS
from clickhouse.errors import QuestionError, SourceError
from clickhouse.metrics import METRICS
from clickhouse.query import Question

WIDE = 500  # characters of a table that goes to a file
LABEL_WIDTH = 40  # characters at most of what stands before a bar
EIGHTHS = " ▏▎▍▌▋▊▉█"
NAMED_ROWS = {columns.OTHER: "(other)", columns.TOTAL: "(total)"}
BOOKED = {
    "end": "wall time on the day of the end",
    "spread": "wall time spread over the days that jobs ran",
}

Writer = Callable[[Question, pa.Table, TextIO], None]


def write(format_name: str, question: Question, answer: pa.Table, output: Path | None) -> None:
    """Write an answer to a file, or to standard output."""
    with _opened(output) as file:
        if format_name == "parquet":
            _write_parquet(question, answer, file.buffer)
        else:
            WRITERS[format_name](question, answer, file)


def note(question: Question) -> str | None:
    """Say on which days wall time was counted; None where there is none in the answer."""
    told = any(METRICS[name].can_spread for name in question.metrics)
    return BOOKED[question.booked] if told else None


def check_format(format_name: str, output: Path | None) -> None:
    """Refuse a format that does not exist, and one that a terminal cannot show."""
    if format_name not in (*WRITERS, "parquet"):
        known = ", ".join([*WRITERS, "parquet"])
        raise QuestionError(f"--format: {format_name!r} is none of {known}")
    if format_name == "parquet" and output is None and sys.stdout.isatty():
        raise QuestionError("--format parquet is not for a terminal: give --output FILE")


@contextmanager
def _opened(output: Path | None) -> Iterator[Any]:
    if output is None:
        yield sys.stdout
        return
    try:
        with output.open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise SourceError(f"{output}: {error.strerror}") from error


def _write_csv(question: Question, answer: pa.Table, file: TextIO) -> None:
    out = csv.writer(file, lineterminator="\n")
    out.writerow(answer.column_names)
    for row in answer.to_pylist():
        out.writerow([plain(name, value) for name, value in row.items()])


def _write_json(question: Question, answer: pa.Table, file: TextIO) -> None:
    rows = [{k: plain(k, v) for k, v in row.items()} for row in answer.to_pylist()]
    json.dump(rows, file, indent=1, ensure_ascii=False)
    file.write("\n")


def _write_parquet(question: Question, answer: pa.Table, file: BinaryIO) -> None:
    """Write typed columns, each with its label, unit and formula."""
    from pyarrow import parquet

    fields = [field.with_metadata(_metadata(field.name)) for field in answer.schema]
    described = answer.cast(pa.schema(fields, {"booked": BOOKED[question.booked]}))
    parquet.write_table(described, file)


def _metadata(name: str) -> dict[str, str]:
    column = columns.describe(name)
    found = {"label": column.label, "unit": column.unit}
    return found | ({"formula": METRICS[name].formula} if name in METRICS else {})


def _write_table(question: Question, answer: pa.Table, file: TextIO) -> None:
    names = [name for name in answer.column_names if name != columns.ROW]
    table = Table(caption=note(question), caption_justify="left")
    for name in names:
        is_name = name in DIMENSIONS
        table.add_column(str(columns.describe(name)), justify="left" if is_name else "right")
    for row in answer.to_pylist():
        labels = [escape(label) for label in _labels(question, row)]
        figures = [shown(name, row[name]) for name in names if name not in DIMENSIONS]
        kind = row.get(columns.ROW, columns.PART)
        table.add_row(*labels, *figures, style="bold" if kind == columns.TOTAL else None)
    width = None if file.isatty() else WIDE
    Console(width=width, file=file).print(table)


def _write_bars(question: Question, answer: pa.Table, file: TextIO) -> None:
    """Draw a block of bars for each metric, as long as the terminal is wide; the total has none."""
    rows = answer.to_pylist()
    labels = [", ".join(_labels(question, row)) or "all" for row in rows]
    for name in question.metrics:
        beside = [name + ending for ending in (columns.SHARE, columns.CHANGE_PERCENT)]
        told = [name, *(column for column in beside if column in answer.column_names)]
        said = note(replace(question, metrics=(name,)))
        title = "; ".join(str(columns.describe(column)) for column in told)
        print(", ".join(filter(None, (title, said))), file=file)
        cells = [[shown(column, row[column]) for row in rows] for column in told]
        parts = [row.get(columns.ROW) != columns.TOTAL for row in rows]
        values = [row[name] if part else None for row, part in zip(rows, parts, strict=True)]
        for line in _bars(labels, values, [_aligned(column) for column in cells]):
            print(line, file=file)


def _aligned(cells: Sequence[str]) -> list[str]:
    width = max(map(len, cells), default=0)
    return [f"{cell:>{width}}" for cell in cells]


def _bars(
    labels: Sequence[str], values: Sequence[Any], cells: Sequence[Sequence[str]]
) -> Iterator[str]:
    figures = ["  ".join(row) for row in zip(*cells, strict=True)]
    left = min(LABEL_WIDTH, max(map(len, labels), default=0))
    right = max(map(len, figures), default=0)
    room = max(10, shutil.get_terminal_size().columns - left - right - 2)
    most = max((value for value in values if value), default=0)
    for label, value, figure in zip(labels, values, figures, strict=True):
        short = label if len(label) <= left else f"{label[: left - 1]}…"
        eighths = round(8 * room * value / most) if value and value > 0 else 0
        bar = "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()
        yield f"{short:{left}} {figure} {bar}".rstrip()


WRITERS: dict[str, Writer] = {
    "table": _write_table,
    "csv": _write_csv,
    "json": _write_json,
    "bar": _write_bars,
}


def _labels(question: Question, row: dict[str, Any]) -> list[str]:
    """Write what a row is of, a word for each dimension."""
    labels = [_label(name, row[name]) for name in question.dimensions]
    kind = row.get(columns.ROW, columns.PART)
    if kind == columns.TOTAL and labels:
        return [NAMED_ROWS[kind], *("" for _ in labels[1:])]
    if kind == columns.OTHER and question.ranked:
        labels[question.dimensions.index(question.ranked)] = NAMED_ROWS[kind]
    return labels


def _label(dimension: str, value: Any) -> str:  # noqa: ANN401 - whatever a cell of Arrow holds
    if value is None or value == "":
        return "(none)"
    if isinstance(value, date):
        return str(plain(dimension, value))
    # control characters of a name could move a terminal's cursor
    text = DIMENSIONS[dimension].text(value)
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def plain(name: str, value: Any) -> Any:  # noqa: ANN401 - whatever a cell of Arrow holds
    """Give a value as CSV and JSON have it: a month as 2018-03, a day as 2018-03-01."""
    if isinstance(value, date):
        return value.strftime("%Y-%m") if name == "month" else value.isoformat()
    return value


def shown(name: str, value: Any) -> str:  # noqa: ANN401 - whatever a cell of Arrow holds
    """Give a figure as people read it."""
    if value is None:
        return "–"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
