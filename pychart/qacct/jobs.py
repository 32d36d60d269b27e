"""`-j`: the selected lines in full, each as qacct prints it, local times by $TZ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from clickhouse.connection import Warehouse
from pychart.qacct import formats
from pychart.qacct.columns import shown
from pychart.qacct.selection import Selection

PAGE_ROWS = 100_000  # that are held at once
RULE = b"=" * 62 + b"\n"
# A copy of a line stands at another place: which one counts is settled before places are looked at.
FINAL_FIRST = " SETTINGS optimize_move_to_prewhere_if_final = 0"
OTHER_MEMORY = ("ru_ixrss", "ru_ismrss", "ru_idrss", "ru_isrss")
OTHER_COUNTS = (
    "ru_minflt", "ru_majflt", "ru_nswap", "ru_inblock", "ru_oublock", "ru_msgsnd", "ru_msgrcv",
    "ru_nsignals", "ru_nvcsw", "ru_nivcsw",
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One line of a job's text: its label, the SQL of its value, and how that is printed."""

    label: str
    sql: str
    form: Callable[[Any], bytes]

    def text(self, value: Any) -> bytes:  # noqa: ANN401
        """Lay out the line."""
        return b"%-13s%s\n" % (self.label.encode(), self.form(value))


def _name(label: str, field: str = "", form: bytes = b"%-20s") -> Line:
    stored = field or label
    return Line(label, f"hex(`{stored}`)", lambda word: form % shown(stored, bytes.fromhex(word)))


def _time(label: str, form: Callable[[int], bytes], field: str = "") -> Line:
    return Line(label, f"toUInt32({field or label})", form)


LINES = (
    *map(_name, ("qname", "hostname", "group", "owner", "project", "department")),
    _name("jobname", "job_name"),
    Line("jobnumber", "job_number", formats.whole),
    Line("taskid", "task_number", formats.whole_or_undefined),
    _name("account"),
    Line("priority", "priority", formats.whole),
    _time("qsub_time", formats.moment, "submission_time"),
    _time("start_time", formats.moment_or_dashes),
    _time("end_time", formats.moment_or_dashes),
    _name("granted_pe"),
    Line("slots", "slots", formats.whole),
    Line("failed", "failed", formats.failure),
    Line("exit_status", "exit_status", formats.exit_status),
    Line("ru_wallclock", "ru_wallclock", formats.whole_seconds),
    Line("ru_utime", "ru_utime", formats.seconds),
    Line("ru_stime", "ru_stime", formats.seconds),
    Line("ru_maxrss", "ru_maxrss", formats.whole_memory),
    *(
        Line(label, f"ru_other[{i}]", formats.whole_memory)
        for i, label in enumerate(OTHER_MEMORY, 1)
    ),
    *(Line(label, f"ru_other[{i}]", formats.count) for i, label in enumerate(OTHER_COUNTS, 5)),
    Line("cpu", "cpu", formats.seconds),
    Line("mem", "mem", formats.gibibyte_seconds),
    Line("io", "io", formats.gibibytes),
    Line("iow", "iow", formats.seconds),
    Line("maxvmem", "maxvmem", formats.memory),
    Line("arid", "arid", formats.whole_or_undefined),
    _time("ar_sub_time", formats.moment_or_undefined, "ar_submission_time"),
    _name("category", form=b"%s"),
)


def texts(warehouse: Warehouse, selection: Selection) -> Iterator[bytes]:
    """Give the text of each selected line, in the order in which the lines were loaded."""
    columns = ", ".join(line.sql for line in LINES)
    for page in _pages(warehouse, selection):
        sql = f"SELECT {columns} FROM {page.source} ORDER BY {page.place}{FINAL_FIRST}"
        for row in warehouse.rows(sql, page.parameters):
            yield RULE + b"".join(map(Line.text, LINES, row))


def _pages(warehouse: Warehouse, selection: Selection) -> Iterator[Selection]:
    """Cut what is too much to be held at once into stretches of the files."""
    if selection.count_at_most(warehouse) <= PAGE_ROWS:
        yield selection
        return
    for file in selection.files:
        stretch = max(1, file.bytes * PAGE_ROWS // max(file.records, 1))
        for start in range(0, file.bytes, stretch):
            yield selection.limited(
                "file_id = {file_id:String} AND generation = {generation:UInt32}"
                " AND offset >= {start:UInt64} AND offset < {end:UInt64}",
                file_id=file.file_id,
                generation=file.generation,
                start=start,
                end=start + stretch,
            )
