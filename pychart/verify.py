"""Reads a file again, independently of the loader, and compares: lines, ledger, and each row.

A line's row stands under the line's place, or, where an equal line was loaded from another file,
under the place of that one: what no place holds is looked for by what it says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from clickhouse.connection import Warehouse
from ingest import identity, ledger
from ingest.identity import Line
from ingest.sources import Source, is_ignored, open_source, read_line
from ingest.tail import TAIL_BYTES, read_head, tail_hash

PORTION_LINES = 100_000  # in memory at a time
SHOWN = 3  # offsets in a message

Bounds = dict[int, tuple[int, int]]  # lines and ignored lines before an offset


@dataclass
class Faults:
    """What differs, by kind: how many, and the first of them."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[int]] = field(default_factory=dict)

    def add(self, kind: str, offsets: list[int]) -> None:
        """Note the places of one kind of fault."""
        self.counts[kind] += len(offsets)
        shown = self.first.setdefault(kind, [])
        shown += offsets[: SHOWN - len(shown)]

    def lines(self) -> list[str]:
        """Say it, one line for each kind."""
        return [
            f"{count:,} {kind}, at byte {', '.join(f'{at:,}' for at in self.first[kind])}"
            for kind, count in self.counts.items()
            if count
        ]


@dataclass
class Recount:
    """A file read again up to where it is loaded."""

    lines: int = 0
    ignored: int = 0
    bytes: int = 0
    bounds: Bounds = field(default_factory=dict)  # where batches begin or end


def print_verified(warehouse: Warehouse, cluster: str, path: Path) -> bool:
    """Print how a file's lines compare with the ledger and the rows; False where they differ."""
    with open_source(path) as source:
        head = read_head(source)
    if head is None:
        print(f"{path}: nothing to load in it")
        return True
    at = loaded_position(warehouse, cluster, path, head.file_id)
    faults = Faults()
    with open_source(path) as source:
        counted = _recount(warehouse, cluster, head.file_id, at, source, faults)
    found = [*ledger_faults(warehouse, cluster, head.file_id, at, counted), *faults.lines()]
    if not at.offset:
        found.append("nothing of it is loaded")
    verdict = f"{len(found)} differences" if found else "ledger and rows agree"
    print(f"{path}: {counted.lines:,} lines in {counted.bytes:,} loaded bytes: {verdict}")
    for fault in found:
        print(f"  {fault}")
    return not found


def loaded_position(
    warehouse: Warehouse, cluster: str, path: Path, file_id: str
) -> ledger.Position:
    """Choose the generation whose end has the file's own content before it, else the newest."""
    found = ledger.positions(warehouse, cluster, file_id)
    for at in sorted(found, key=lambda each: each.offset, reverse=True):
        with open_source(path) as source:
            if at.offset and _content_before(source, at.offset) == at.tail_hash:
                return at
    return found[0]


def _content_before(source: Source, offset: int) -> str:
    if source.seekable:
        source.stream.seek(max(0, offset - TAIL_BYTES))
        return tail_hash(source.stream.read(min(offset, TAIL_BYTES)))
    tail, left = b"", offset
    while left and (piece := source.stream.read(min(left, 1024**2))):
        tail, left = (tail + piece)[-TAIL_BYTES:], left - len(piece)
    return tail_hash(tail)


def _recount(
    warehouse: Warehouse,
    cluster: str,
    file_id: str,
    at: ledger.Position,
    source: Source,
    faults: Faults,
) -> Recount:
    """Read a file portion by portion and look for the rows of each."""
    place = {"cluster": cluster, "file_id": file_id, "generation": at.generation}
    wanted = _bounds_of_batches(warehouse, place)
    counted = Recount()
    while counted.bytes < at.offset:
        start = counted.bytes
        lines = list(_read_portion(source, at.offset, counted, wanted))
        if counted.bytes == start:
            break
        span = place | {"start": start, "end": counted.bytes}
        _compare(warehouse, span, lines, faults)
    counted.bounds[counted.bytes] = (counted.lines, counted.ignored)
    return counted


def _read_portion(source: Source, end: int, counted: Recount, wanted: set[int]) -> Iterator[Line]:
    for _ in range(PORTION_LINES):
        if counted.bytes in wanted:
            counted.bounds[counted.bytes] = (counted.lines, counted.ignored)
        if counted.bytes >= end:
            return
        line = read_line(source.stream, source.path, counted.bytes)
        if not line:
            return
        content = line.removesuffix(b"\n")
        if is_ignored(content):
            counted.ignored += 1
        else:
            yield Line(counted.bytes, content)
        counted.lines += 1
        counted.bytes += len(line)


def _compare(
    warehouse: Warehouse, span: dict[str, object], lines: list[Line], faults: Faults
) -> None:
    """Compare the rows that stand under the places of a portion with its lines."""
    kept, doubled = _records(warehouse, span)
    rejected = _rejects(warehouse, span)
    expected = {line.offset for line in lines}
    missing = [line for line in lines if line.offset not in kept and line.offset not in rejected]
    absent = identity.absent(warehouse, str(span["cluster"]), str(span["file_id"]), missing)
    faults.add("lines have no row", [line.offset for line in absent])
    faults.add("places have several records", sorted(doubled))
    faults.add("lines are both record and reject", sorted(kept & rejected))
    faults.add("rows stand where no line begins", sorted((kept | rejected) - expected))


def _records(warehouse: Warehouse, span: dict[str, object]) -> tuple[set[int], set[int]]:
    """Give the places of records, and those that several different records stand under."""
    found = warehouse.rows(
        "SELECT offset, uniqExact((time, job_number, record_id)) FROM accounting"
        f" WHERE {_PLACE} GROUP BY offset",
        span,
    )
    return {int(row[0]) for row in found}, {int(row[0]) for row in found if row[1] > 1}


def _rejects(warehouse: Warehouse, span: dict[str, object]) -> set[int]:
    found = warehouse.rows(f"SELECT DISTINCT offset FROM rejected_lines WHERE {_PLACE}", span)
    return {int(row[0]) for row in found}


_PLACE = (
    "cluster = {cluster:String} AND file_id = {file_id:String}"
    " AND generation = {generation:UInt32}"
    " AND offset >= {start:UInt64} AND offset < {end:UInt64}"
)


def _bounds_of_batches(warehouse: Warehouse, place: dict[str, object]) -> set[int]:
    return {int(bound) for start, end, *_ in _batches(warehouse, place) for bound in (start, end)}


def _batches(warehouse: Warehouse, place: dict[str, object]) -> list[tuple[int, ...]]:
    found = warehouse.rows(
        "SELECT start_offset, end_offset, lines, records, rejects, ignored FROM ledger"
        " WHERE cluster = {cluster:String} AND file_id = {file_id:String}"
        " AND generation = {generation:UInt32} ORDER BY start_offset, end_offset",
        place,
    )
    return [tuple(int(value) for value in row) for row in found]


def ledger_faults(
    warehouse: Warehouse, cluster: str, file_id: str, at: ledger.Position, counted: Recount
) -> list[str]:
    """Compare each batch of the ledger with the lines between its offsets, and look for gaps."""
    place = {"cluster": cluster, "file_id": file_id, "generation": at.generation}
    batches = _batches(warehouse, place)
    found = []
    for start, end, *numbers in batches:
        if start in counted.bounds and end in counted.bounds:
            found += _batch_faults(start, end, numbers, counted.bounds)
        elif end <= at.offset:
            found.append(f"the ledger's batch of byte {start:,} to {end:,} does not end at a line")
    beyond = max((end for _, end, *_ in batches), default=0)
    if beyond > at.offset:
        found.append(f"the ledger has a gap after byte {at.offset:,}, and goes on to {beyond:,}")
    if counted.bytes < at.offset:
        found.append(f"the ledger goes up to byte {at.offset:,}, the file to {counted.bytes:,}")
    elif at.offset and at.offset not in counted.bounds:
        found.append(f"byte {at.offset:,}, where the ledger ends, is within a line")
    return found


def _batch_faults(start: int, end: int, numbers: list[int], bounds: Bounds) -> list[str]:
    lines, records, rejects, ignored = numbers
    in_file = bounds[end][0] - bounds[start][0]
    ignored_in_file = bounds[end][1] - bounds[start][1]
    have = (lines, records + rejects, ignored)
    want = (in_file, in_file - ignored_in_file, ignored_in_file)
    names = ("lines", "records and rejects", "ignored lines")
    return [
        f"from byte {start:,} to {end:,} the ledger has {is_:,} {name}, the file {should:,}"
        for name, is_, should in zip(names, have, want, strict=True)
        if is_ != should
    ]
