"""Counts the lines of a file again, independently of the loader, and compares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clickhouse.connection import Warehouse
from ingest import ledger
from ingest.sources import Source, is_ignored, open_source, read_line
from ingest.tail import read_head


@dataclass(frozen=True)
class Recount:
    """What a file holds up to where the ledger says it is loaded.

    `repeated` lines are equal to an earlier one: of a started attempt, only one of them is kept.
    """

    lines: int
    ignored: int
    repeated: int
    bytes: int


def print_verified(warehouse: Warehouse, cluster: str, path: Path) -> bool:
    """Print how a file's lines compare with the ledger and the rows; False where they differ."""
    with open_source(path) as source:
        head = read_head(source)
    if head is None:
        print(f"{path}: nothing to load in it")
        return True
    at = ledger.position(warehouse, cluster, head.file_id)
    with open_source(path) as source:
        counted = recount(source, at.offset)
    faults = [
        *ledger_faults(warehouse, cluster, head.file_id, at, counted),
        *row_faults(warehouse, cluster, head.file_id, at.generation, counted),
    ]
    verdict = f"{len(faults)} differences" if faults else "ledger and rows agree"
    print(f"{path}: {counted.lines:,} lines in {counted.bytes:,} loaded bytes: {verdict}")
    for fault in faults:
        print(f"  {fault}")
    return not faults


def recount(source: Source, end: int) -> Recount:
    """Read a file line by line up to byte `end`."""
    lines = ignored = position = 0
    seen: set[int] = set()
    while position < end and (line := read_line(source.stream, source.path, position)):
        position += len(line)
        lines += 1
        if is_ignored(line.rstrip(b"\n")):
            ignored += 1
        else:
            seen.add(hash(line))
    return Recount(lines, ignored, lines - ignored - len(seen), position)


def ledger_faults(
    warehouse: Warehouse, cluster: str, file_id: str, at: ledger.Position, counted: Recount
) -> list[str]:
    """Compare the ledger's sums with what was counted."""
    found = warehouse.rows(
        "SELECT sum(lines), sum(records) + sum(rejects), sum(ignored) FROM ledger"
        " WHERE cluster = {cluster:String} AND file_id = {file_id:String}"
        " AND generation = {generation:UInt32} AND end_offset <= {end:UInt64}",
        {
            "cluster": cluster,
            "file_id": file_id,
            "generation": at.generation,
            "end": at.offset,
        },
    )
    expected = (counted.lines, counted.lines - counted.ignored, counted.ignored)
    names = ("lines", "records and rejects", "ignored lines")
    faults = [
        f"the ledger has {have:,} {name}, the file {want:,}"
        for name, have, want in zip(names, found[0], expected, strict=True)
        if have != want
    ]
    if counted.bytes < at.offset:
        faults.append(f"the ledger goes up to byte {at.offset:,}, the file to {counted.bytes:,}")
    return faults


def row_faults(
    warehouse: Warehouse, cluster: str, file_id: str, generation: int, counted: Recount
) -> list[str]:
    """Compare the rows that came from this file with what was counted."""
    found = warehouse.rows(
        "SELECT uniqExact(offset) FROM (SELECT cluster, file_id, generation, offset FROM accounting"
        " UNION ALL SELECT cluster, file_id, generation, offset FROM rejected_lines)"
        " WHERE cluster = {cluster:String} AND file_id = {file_id:String}"
        " AND generation = {generation:UInt32} AND offset < {end:UInt64}",
        {
            "cluster": cluster,
            "file_id": file_id,
            "generation": generation,
            "end": counted.bytes,
        },
    )
    rows, want = int(found[0][0]), counted.lines - counted.ignored
    if want - counted.repeated <= rows <= want:
        return []
    return [
        f"{rows:,} rows came from here for {want:,} lines ({counted.repeated:,} of them repeated);"
        " the others are lost, or were loaded from another file as well"
    ]
