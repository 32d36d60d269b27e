"""What the commands print: progress on a terminal or plain lines, and summaries."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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

from clickhouse.connection import Warehouse
from clickhouse.errors import SourceError
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
