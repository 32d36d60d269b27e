"""What the commands print: progress on a terminal or plain lines, summaries, tables, CSV, JSON."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from clickhouse.connection import Warehouse
from clickhouse.dimensions import DIMENSIONS
from clickhouse.errors import QuestionError, SourceError
from clickhouse.metrics import METRICS
from clickhouse.query import Question
from ingest.loader import Progress as LoadProgress
from ingest.loader import Summary, load_file
from ingest.sources import STANDARD_INPUT

PLAIN_SECONDS = 5.0  # between two lines of progress where there is no terminal

errors = Console(stderr=True)


def check_readable(path: Path) -> None:
    """Refuse what cannot be read before anything is done."""
    if path == STANDARD_INPUT:
        return
    if path.is_dir():
        raise SourceError(f"{path}: is a directory; name the accounting file in it")
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error


def load_with_progress(warehouse: Warehouse, cluster: str, path: Path) -> Summary:
    """Load a file, showing how far it is, and print the summary."""
    with _loading(path) as progress:
        summary = load_file(warehouse, cluster, path, progress)
    print_summary(summary)
    return summary


@contextmanager
def _loading(path: Path) -> Iterator[Callable[[LoadProgress], None]]:
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with _bar(f"Loading {path}", *columns) as move:

        def progress(at: LoadProgress) -> None:
            move(at.done, at.size or None, f"{at.lines:,} lines, {at.loaded / 1e6:,.0f} MB")

        yield progress


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a count that grows to `total`."""
    columns = (BarColumn(), MofNCompleteColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with _bar(what, *columns) as move:

        def progress(done: int) -> None:
            move(done, total, f"{done:,} of {total:,}")

        yield progress


@contextmanager
def _bar(what: str, *columns: ProgressColumn) -> Iterator[Callable[[int, int | None, str], None]]:
    """Show progress as a bar on a terminal, as a line every few seconds elsewhere."""
    if not errors.is_terminal:
        yield _plain(what)
        return
    with Progress(
        TextColumn("{task.description}"), *columns, console=errors, transient=True
    ) as bar:
        task = bar.add_task(escape(what), total=None)

        def move(done: int, total: int | None, text: str) -> None:
            bar.update(task, completed=done, total=total)

        yield move


def _plain(what: str) -> Callable[[int, int | None, str], None]:
    began = last = time.monotonic()

    def move(done: int, total: int | None, text: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < PLAIN_SECONDS:
            return
        last = now
        left = f", {(now - began) * (total - done) / done:.0f} s left" if total and done else ""
        share = f" ({100 * done / total:.0f} %{left})" if total else ""
        print(f"{what}: {text}{share}", file=sys.stderr, flush=True)

    return move


def print_summary(summary: Summary) -> None:
    """Print what a load did, with the first rejects and what still waits for its line to end."""
    if not summary.lines:
        print(f"{summary.path}: nothing new")
    else:
        rate = summary.bytes / 1e6 / summary.seconds
        print(
            f"{summary.path}: {summary.lines:,} lines = {summary.records:,} records"
            f" + {summary.rejects:,} rejects + {summary.ignored:,} ignored;"
            f" {summary.seconds:.1f} s, {rate:.0f} MB/s"
        )
    for offset, reason in summary.first_rejects:
        print(f"  rejected at byte {offset}: {reason}")
    if summary.rejects > len(summary.first_rejects):
        print("  all of them: pychart sql 'SELECT * FROM rejects'")
    if summary.waiting:
        print(f"  {summary.waiting:,} bytes after the last newline wait for their line to end")


def writer(format_name: str) -> Callable[[Question, pa.Table], None]:
    """Give what prints an answer as a table, CSV or JSON."""
    writers = {"table": _write_table, "csv": _write_csv, "json": _write_json}
    if format_name not in writers:
        raise QuestionError(f"--format: {format_name!r} is none of {', '.join(writers)}")
    return writers[format_name]


def _write_csv(question: Question, answer: pa.Table) -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(answer.column_names)
    for row in answer.to_pylist():
        out.writerow([plain(name, value) for name, value in row.items()])


def _write_json(question: Question, answer: pa.Table) -> None:
    rows = [{k: plain(k, v) for k, v in row.items()} for row in answer.to_pylist()]
    json.dump(rows, sys.stdout, indent=1, ensure_ascii=False)
    print()


def _write_table(question: Question, answer: pa.Table) -> None:
    table = Table()
    for name in question.dimensions:
        table.add_column(DIMENSIONS[name].label)
    for name in question.metrics:
        unit = METRICS[name].unit
        label = f"{METRICS[name].label} ({unit})" if unit else METRICS[name].label
        table.add_column(label, justify="right")
    for row in answer.to_pylist():
        table.add_row(*(escape(shown(name, value)) for name, value in row.items()))
    Console(width=None if sys.stdout.isatty() else 500).print(table)


def plain(name: str, value: Any) -> Any:  # noqa: ANN401 - whatever a cell of Arrow holds
    """Give a value as CSV and JSON have it: a month as 2018-03, a day as 2018-03-01."""
    if isinstance(value, date):
        return value.strftime("%Y-%m") if name == "month" else value.isoformat()
    return value


def shown(name: str, value: Any) -> str:  # noqa: ANN401 - whatever a cell of Arrow holds
    """Give a value as a table for people has it."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, int) and name in METRICS:
        return f"{value:,}"
    return str(plain(name, value)) or "(none)"
