"""Explains how one line of an accounting file is read, by giving it to the real parser.

The line goes through `landing` of a throw-away embedded database; nothing is parsed here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

from clickhouse.connection import Warehouse
from clickhouse.errors import SourceError
from clickhouse.migrate import migrate
from clickhouse.settings import Settings
from ingest.batch import Frame
from ingest.landing import INSERT_SETTINGS
from ingest.sources import STANDARD_INPUT, Source, is_ignored, open_source, read_line
from ingest.tail import Block

SEARCH_BYTES = 64 * 1024  # read at once, backwards to where a line begins
NEVER = "1970-01-01 00:00:00"  # of a time: 0, no such time
MOST_FIELDS = 200  # shown of a line that is no accounting
SHOWN = 60  # characters of a value; the rest is counted

LAYOUTS = {
    0: "a JSON object: Open Cluster Scheduler and Gridware 9",
    43: "SGE 6.0 and 6.1",
    44: "SGE 6.1, branch with advance reservations",
    45: "SGE 6.2, Open Grid Scheduler, Son of Grid Engine, OCS 9 with old_accounting",
    46: "Univa Grid Engine 8.1",
    52: "Univa Grid Engine 8.2",
    53: "Univa Grid Engine 8.3",
    54: "Univa Grid Engine 8.4",
    55: "Univa Grid Engine 8.6.2",
    74: "Univa, Altair Grid Engine 2022",
}

# accounting(5)'s names in their order, with the unit of what is stored; '' = no name is known
FIELDS = {
    **dict.fromkeys(("qname", "hostname", "group", "owner", "job_name", "job_number"), ""),
    **dict.fromkeys(("account", "priority"), ""),
    **dict.fromkeys(("submission_time", "start_time", "end_time"), "UTC"),
    **dict.fromkeys(("failed", "exit_status"), ""),
    **dict.fromkeys(("ru_wallclock", "ru_utime", "ru_stime"), "s"),
    **{"ru_maxrss": "KiB", "ru_ixrss": "", "ru_ismrss": "", "ru_idrss": "", "ru_isrss": ""},
    **dict.fromkeys(("ru_minflt", "ru_majflt", "ru_nswap", "ru_inblock", "ru_oublock"), ""),
    **dict.fromkeys(("ru_msgsnd", "ru_msgrcv", "ru_nsignals", "ru_nvcsw", "ru_nivcsw"), ""),
    **dict.fromkeys(("project", "department", "granted_pe", "slots", "task_number"), ""),
    **{"cpu": "s", "mem": "GiB s", "io": "GiB", "category": "", "iow": "s", "pe_taskid": ""},
    **{"maxvmem": "bytes", "arid": "", "ar_submission_time": "UTC"},
    **{"job_class": "", "qdel_info": "", "maxrss": "bytes", "maxpss": "bytes"},
    **dict.fromkeys(("submit_host", "cwd", "submit_cmd"), ""),
    **{"wallclock": "s", "ioops": "", "bound_cores": "", "resource_map": "", "devices": ""},
    **{"gpus": "", "gpu_usage": ""},
}
LATER_FIELDS = {65: "hold_jid", 73: "granted_req", 74: "exec_host_list"}
PARTS = {"submission_time": "submission_us", "start_time": "start_us", "end_time": "end_us"}

FLAGS = {
    "no wall time": "it has only one of start and end, or ends before it starts",
    "no wait time": "it was submitted after its start, or at no known time",
    "clock skew": "a time before 1990, after tomorrow, or out of order",
    "unknown layout": "no scheduler is known to write so many fields; the first 45 are read",
    "hole": "NUL bytes stood before it: the file was truncated while it was written",
    "still running": "exit status -1; it does not count as executed",
    "colons": "a colon within job_name, account or category was told from the separators",
    "reserved usage": "cpu is slots × wall time: reserved, not measured (ACCT_RESERVED_USAGE)",
    "no end": "it has a start and no end",
    "slots missing": "slots is 0",
    "maxvmem missing": "maxvmem is no number, negative or above the cluster's maxvmem_cap",
    **{
        f"{name} missing": f"{name} is no number, or infinite"
        for name in ("cpu", "mem", "io", "iow", "ru_wallclock", "ru_utime", "ru_stime", "ru_maxrss")
    },
}


@dataclass(frozen=True)
class Line:
    """One line of a file, at byte `offset` of the decompressed stream.

    `waits` where it has no newline yet but may get one, `torn` where it never will.
    """

    place: str
    offset: int
    data: bytes
    waits: bool = False
    torn: bool = False


@dataclass(frozen=True)
class Field:
    """A field as the parser took it from the line, and as a column of `records` has it."""

    name: str
    raw: bytes
    stored: str | None


@dataclass(frozen=True)
class Reading:
    """What the parser made of a line; a reject has a `reason` and no stored values."""

    layout: int
    fields: list[Field]
    reason: str
    flags: list[str]
    meaning: dict[str, str | None]


def print_explained(settings: Settings, cluster: str, text: str) -> None:
    """Print how the line at `text` (FILE or FILE:OFFSET) is read, or why it is not."""
    path, offset = parse_place(text)
    line = find_line(path, offset)
    if is_ignored(line.data):
        what = "a comment" if b"#" in line.data[:1] else "empty, or one character"
        print(f"{line.place}: byte {line.offset}: {what}: ignored, counted, no record")
        return
    with Explainer(settings, cluster) as explainer:
        reading = explainer.read(line)
    for row in described(line, reading):
        print(row)


def parse_place(text: str) -> tuple[Path, int | None]:
    """Tell a file from an offset after it; a file that has the whole name wins."""
    name, colon, offset = text.rpartition(":")
    if colon and offset.isascii() and offset.isdigit() and not Path(text).exists():
        return Path(name), int(offset)
    if colon and Path(name).is_file() and not Path(text).exists():
        raise SourceError(f"{text}: {offset!r} is no byte of a file, which are counted from 0")
    return Path(text), None


def find_line(path: Path, offset: int | None) -> Line:
    """Find the line that has byte `offset`, else the first that is neither empty nor a comment."""
    with open_source(path) as source:
        if offset is None:
            start, data = _first_line(source)
        elif source.seekable:
            start, data = _line_around(source, offset)
        else:
            start, data = _line_after_all_before(source, offset)
        ended = data.endswith(b"\n") or path == STANDARD_INPUT
        place = "standard input" if path == STANDARD_INPUT else str(path)
        return Line(
            place,
            start,
            data.removesuffix(b"\n"),
            waits=not ended and not source.complete,
            torn=not ended and source.complete,
        )


def _first_line(source: Source) -> tuple[int, bytes]:
    position = 0
    while data := read_line(source.stream, source.path, position):
        if not is_ignored(data.rstrip(b"\n")):
            return position, data
        position += len(data)
    raise SourceError(f"{source.path}: nothing but comments and empty lines")


def _line_around(source: Source, offset: int) -> tuple[int, bytes]:
    end = source.stream.seek(0, 2)
    if offset >= end:
        raise _beyond(source, offset, end)
    start = _line_begin(source.stream, offset)
    source.stream.seek(start)
    return start, read_line(source.stream, source.path, start)


def _line_begin(stream: BinaryIO, offset: int) -> int:
    """Look backwards for the newline before `offset`."""
    end = offset
    while end > 0:
        start = max(0, end - SEARCH_BYTES)
        stream.seek(start)
        found = stream.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _line_after_all_before(source: Source, offset: int) -> tuple[int, bytes]:
    position = 0
    while data := read_line(source.stream, source.path, position):
        if position + len(data) > offset:
            return position, data
        position += len(data)
    raise _beyond(source, offset, position)


def _beyond(source: Source, offset: int, end: int) -> SourceError:
    return SourceError(f"{source.path}: no byte {offset}: it ends after {end} bytes, decompressed")


class Explainer:
    """The real parser, in a database of its own that is removed again. Use it in a `with`."""

    def __init__(self, settings: Settings, cluster: str) -> None:
        """Take what `settings` say of the cluster, and never its database."""
        self._settings = settings
        self._cluster = cluster
        self._count = 0

    def __enter__(self) -> Self:
        """Open the database."""
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="pychart-explain-"))
            own = {"database": f"chdb://{folder}/warehouse"}
            settings = self._settings.model_copy(update=own)
            self._warehouse = stack.enter_context(Warehouse(settings, create=True))
            migrate(self._warehouse)
            # a sound line is never examined on its way: it is sent again, to see its fields
            for statement in (
                "CREATE TABLE explained AS examined_lines ENGINE = Memory",
                "CREATE MATERIALIZED VIEW keep_examined TO explained"
                " AS SELECT * FROM examined_lines",
            ):
                self._warehouse.command(statement)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the database."""
        self._stack.close()

    def read(self, line: Line) -> Reading:
        """Give the line to the parser and see what became of it."""
        self._count += 1
        self._send("landing", "block", line, line.data + (b"" if line.torn else b"\n"))
        values = self._stored()
        flags = self._rows("SELECT arrayJoin(flags) FROM records")
        reasons = self._rows("SELECT hex(reason) FROM rejects")
        meaning = self._meaning()
        self._send("suspect_lines", "line", line, line.data)
        found = self._rows("SELECT layout, arrayMap(x -> hex(x), fields) FROM explained")[0]
        raw = [bytes.fromhex(field) for field in found[1]]
        return Reading(
            layout=int(found[0]),
            fields=[
                Field(name, field, values.get(name))
                for name, field in zip(_names(len(raw)), raw, strict=True)
            ],
            reason=printable(bytes.fromhex(reasons[0][0])) if reasons else "",
            flags=[str(flag) for (flag,) in flags],
            meaning=meaning,
        )

    def _send(self, table: str, column: str, line: Line, data: bytes) -> None:
        columns = ("cluster", "file_id", "generation", "offset", column, "maxvmem_cap")
        cap = self._settings.cluster(self._cluster).maxvmem_cap
        block = Block(line.offset, bytearray(data))
        frame = Frame(self._cluster, str(self._count), 0, block, cap)
        self._warehouse.insert(table, columns, frame, INSERT_SETTINGS)

    def _rows(self, sql: str) -> Sequence[Sequence[Any]]:
        """Answer a query about the line that was sent last, told by its file_id."""
        return self._warehouse.rows(
            f"{sql} WHERE file_id = {{file_id:String}}", {"file_id": str(self._count)}
        )

    def _values(self, table: str, names: Sequence[str]) -> dict[str, str | None]:
        """Give the line's row of a table as texts by column, nothing where it has none."""
        # in hexadecimal, since a text need not be UTF-8
        columns = ", ".join(f"hex(toString(`{name}`))" for name in names)
        found = self._rows(f"SELECT {columns} FROM {table}")
        return {
            name: None if value is None else printable(bytes.fromhex(value))
            for row in found[:1]
            for name, value in zip(names, row, strict=True)
        }

    def _stored(self) -> dict[str, str | None]:
        values = self._values("records", [*FIELDS, *LATER_FIELDS.values(), *PARTS.values()])
        for name, part in PARTS.items():
            if values and values[part] != "0":
                values[name] = f"{values[name]}.{int(values[part] or 0):06d}"
        return values

    def _meaning(self) -> dict[str, str | None]:
        """Give what `jobs` adds to what is stored of a line."""
        own = {*self._columns("records"), *self._columns("accounting")}
        return self._values("jobs", [name for name in self._columns("jobs") if name not in own])

    def _columns(self, table: str) -> list[str]:
        return [str(row[0]) for row in self._warehouse.rows(f"DESCRIBE TABLE {table}")]


def _names(count: int) -> list[str]:
    known = dict(enumerate(FIELDS, start=1)) | LATER_FIELDS
    return [known.get(number, f"field {number}") for number in range(1, count + 1)]


def printable(text: bytes) -> str:
    """Give a text for people, with what is not UTF-8 or not visible as an escape."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text.decode("utf-8", "backslashreplace")
    )


def described(line: Line, reading: Reading) -> Iterator[str]:
    """Give the explanation row by row."""
    yield f"{line.place}: byte {line.offset}: {len(line.data):,} bytes"
    yield f"Layout: {_layout(reading)}"
    if line.waits:
        yield "No newline yet: the loader waits for it; this is how the line reads as it stands"
    if reading.reason:
        yield f"Rejected: {reading.reason}"
        yield from _tried(reading)
    yield ""
    yield from _table(reading)
    yield ""
    if reading.reason:
        yield "No record; its bytes are kept in `rejects`"
        return
    for flag in reading.flags:
        yield f"Flag {flag}: {FLAGS.get(flag, '')}"
    yield from _explained_meaning(reading)


def _layout(reading: Reading) -> str:
    if reading.layout == 0:
        return LAYOUTS[0]
    return f"{reading.layout} fields: {LAYOUTS.get(reading.layout, 'of no known scheduler')}"


def _tried(reading: Reading) -> Iterator[str]:
    """Say which other readings the parser tried, where its reason speaks of colons."""
    if "colons within" not in reading.reason:
        return
    words = len(reading.fields)
    tried = "; ".join(
        f"{words - fields} of them ({fields} fields)"
        for fields in reversed(LAYOUTS)
        if 0 < fields < words
    )
    yield f"Tried: as it stands, then colons within job_name, account or category: {tried}"


def _table(reading: Reading) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [("#", "field", "on the line", "stored", "unit")]
    for number, field in enumerate(reading.fields[:MOST_FIELDS], start=1):
        unit = FIELDS.get(field.name, "")
        raw = _short(printable(field.raw))
        rows.append((str(number), field.name, raw, _shown(field, reading), unit))
    if reading.reason:
        rows = [row[:3] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = (f"{text:<{width}}" for text, width in zip(others, widths[1:], strict=True))
        yield f"{first:>{widths[0]}}  {'  '.join(cells)}".rstrip()
    if len(reading.fields) > MOST_FIELDS:
        yield f"… and {len(reading.fields) - MOST_FIELDS:,} more"


def _shown(field: Field, reading: Reading) -> str:
    if field.name.startswith("field "):
        return "(kept as it is)"
    if field.stored is None:
        return "(missing)"
    if field.stored == NEVER:
        return "(none)"
    return _short(field.stored) or "(none)"


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text):,} characters)"


def _explained_meaning(reading: Reading) -> Iterator[str]:
    if not reading.meaning:
        yield "The line of a task: no job itself, its usage is added to the job's own line"
        return
    yield "As a job, from this line alone:"
    width = max(map(len, reading.meaning))
    for name, value in reading.meaning.items():
        yield f"  {name:<{width}}  {'(not known)' if value is None else value or '(none)'}"
