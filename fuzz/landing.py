"""Gives bytes to the real parser and compares what it made of them with a count of its own."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from clickhouse.connection import Warehouse
from ingest import batch
from ingest.landing import INSERT_SETTINGS
from ingest.tail import Block

PLACE = "cluster, file_id, offset, record_id"  # where a line stood, or what follows from it
MAXVMEM_CAP = 2.0**50
KEPT_TEXTS = 200  # before the tables are emptied

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Landed:
    """What the database made of a text, by offset: each record's columns, each reject's bytes."""

    records: dict[int, str]
    rejects: dict[int, bytes]
    cluster: str


def lines_of(content: bytes) -> dict[int, bytes]:
    """Split a text into its lines by offset, without newlines, leaving out what is ignored."""
    lines, offset = {}, 0
    for line in content.removesuffix(b"\n").split(b"\n"):
        if len(bare(line)) > 1 and not bare(line).startswith(b"#"):
            lines[offset] = line
        offset += len(line) + 1
    return lines


def bare(line: bytes) -> bytes:
    """Give a line without the NULs of a hole before it and without one carriage return."""
    return line.lstrip(b"\0").removesuffix(b"\r")


def land(
    warehouse: Warehouse, content: bytes, block_bytes: int = 2**24, row_bytes: int = 2**19
) -> Landed:
    """Insert a text in blocks and rows of whole lines of about these sizes, as another cluster."""
    number = next(_numbers)
    if number % KEPT_TEXTS == 0:
        for table in ("accounting", "rejected_lines"):
            warehouse.command(f"TRUNCATE TABLE {table}")
    cluster = f"text{number}"
    for block in _pieces(Block(0, bytearray(content)), block_bytes):
        rows = [
            piece
            for row in _pieces(block, row_bytes)
            for piece in batch.Frame(cluster, cluster, 0, row, MAXVMEM_CAP)
        ]
        data = io.BytesIO(b"".join(rows))
        warehouse.insert("landing", batch.COLUMNS, data, INSERT_SETTINGS)
    return landed(warehouse, cluster)


def landed(warehouse: Warehouse, cluster: str) -> Landed:
    """Look at what the database holds of a cluster."""
    mine = {"cluster": cluster}
    records = warehouse.rows(
        f"SELECT offset, hex(MD5(toString(tuple(* EXCEPT ({PLACE}))))) FROM records"
        " WHERE cluster = {cluster:String}",
        mine,
    )
    rejects = warehouse.rows(
        "SELECT offset, hex(line) FROM rejects WHERE cluster = {cluster:String}", mine
    )
    found = Landed(
        {int(offset): str(columns) for offset, columns in records},
        {int(offset): bytes.fromhex(line) for offset, line in rejects},
        cluster,
    )
    rows = len(found.records), len(found.rejects)
    assert rows == (len(records), len(rejects)), "two rows of one offset"
    return found


def faults(content: bytes, found: Landed, sound: Mapping[bytes, str]) -> list[str]:
    """Say what is lost, changed or of nowhere; `sound` lines must read as they do alone."""
    lines = lines_of(content)
    copies = {bare(lines[offset]) for offset in found.records if offset in lines}
    return [
        *_miscounted(content, len(lines)),
        *(f"byte {at}: no line begins here" for at in {*found.records, *found.rejects} - {*lines}),
        *(f"byte {at}: accepted and rejected" for at in {*found.records} & {*found.rejects}),
        *(
            f"byte {at}: lost: {line[:300]!r}"
            for at, line in lines.items()
            if at not in found.records and at not in found.rejects and bare(line) not in copies
        ),
        *(
            f"byte {at}: {line[:300]!r} was kept of {lines[at][:300]!r}"
            for at, line in found.rejects.items()
            if at in lines and line != lines[at]
        ),
        *(
            f"byte {at}: a sound line is read otherwise: {line!r}"
            for at, line in lines.items()
            if line in sound
            and at + len(line) < len(content)  # the text may end within its last line
            and found.records.get(at, "" if at in found.rejects else sound[line]) != sound[line]
        ),
    ]


def _miscounted(content: bytes, kept: int) -> list[str]:
    """Compare the loader's own count, which sees no fields either, with this one."""
    expected = len(content.removesuffix(b"\n").split(b"\n")) if content else 0
    counts = batch.count(Block(0, bytearray(content))) if content else batch.Counts(0, 0)
    if (counts.lines, counts.lines - counts.ignored) == (expected, kept):
        return []
    return [f"the loader counts {counts}, of {expected} lines {kept} are kept"]


def _pieces(block: Block, size: int) -> Iterator[Block]:
    """Cut a block after newlines, into pieces of at most `size` bytes, a longer line whole."""
    start, data = 0, bytes(block.data)
    while start < len(data):
        end = data.rfind(b"\n", start, start + size) + 1
        if end <= start:
            end = data.find(b"\n", start) + 1 or len(data)
        yield Block(block.offset + start, bytearray(data[start:end]))
        start = end
