"""Records to text, a column at a time: 45 fields as SGE 8.1.9 writes them, or another layout."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from pychart.demo.attempts import OUTCOMES, TIMED_OUT
from pychart.demo.columns import (
    MICRO,
    PE_TASKS,
    Moments,
    Rusage,
    decimals,
    draw_rusage,
    exact_moments,
    indices,
    integers,
    job_numbers,
    join,
    micros,
    texts,
)
from pychart.demo.json_lines import JsonFormatter
from pychart.demo.later import COLON, LaterFields
from pychart.demo.layouts import EXACT_TIMES, JSON_90, Layouts
from pychart.demo.placement import PLACES, queue_name
from pychart.demo.population import Population
from pychart.demo.records import Records
from pychart.demo.site import PES, PROJECTS
from pychart.demo.submissions import Submissions

ACCESS_LIST_GROUPS = frozenset({"chimie", "theochem", "genomique", "astro", "climat", "meca"})
USAGE = (
    *("user_seconds", "system_seconds", "gib_seconds", "io_gib", "io_wait_seconds"),
    *("maxvmem_bytes", "max_rss_kib"),
)

# group, whether a queue is asked for, sub-cluster, kind, h_rt in s, h_vmem in GiB, PE, slots
Asked = tuple[str, int, int, int, int, int, int, int]

PLACE_TEXTS = pa.array(PLACES)
OUTCOME_TEXTS = pa.array(OUTCOMES)
PE_TASK_TEXTS = pa.array(PE_TASKS)


class LineFormatter:
    """Formats the records of one chunk after the other, each line in the layout chosen for it."""

    def __init__(self, people: Population, layouts: Layouts) -> None:
        """Prepare the texts that depend on the users alone."""
        self._layouts = layouts
        self._groups = people.groups
        self._owners = pa.array(map(":".join, zip(people.groups, people.owners, strict=True)))
        self._job_names = pa.array(people.job_names)
        self._later = LaterFields(people)
        self._json = JsonFormatter(people)

    def format(
        self, records: Records, submissions: Submissions, rng: np.random.Generator
    ) -> pa.BinaryArray:
        """One text per record, each with its newline."""
        used = draw_rusage(records, rng)
        chosen = self._layouts.choose(records.logged, rng)
        kinds = np.unique(chosen).tolist()
        if len(kinds) == 1:
            return self._lines(kinds[0], records, used, submissions)
        rows = [np.flatnonzero(chosen == kind) for kind in kinds]
        parts = [
            self._lines(kind, records.take(mine), used.take(mine), submissions)
            for kind, mine in zip(kinds, rows, strict=True)
        ]
        return pa.concat_arrays(parts).take(pa.array(np.argsort(np.concatenate(rows))))

    def _lines(
        self, layout: int, records: Records, used: Rusage, submissions: Submissions
    ) -> pa.BinaryArray:
        """Lines of one layout: a number of fields, or JSON."""
        if layout <= 45:
            category = self._categories(submissions, "")
            ending = {43: [], 44: ["0"]}.get(layout, ["0:0"])
            return _joined([*self._core(records, used, submissions, category), *ending])
        when = exact_moments(records, submissions)
        if layout >= JSON_90:
            category = self._categories(submissions, ":")
            requests = (category, self._later.commands(submissions, category))
            return self._json.format(layout, records, used, submissions, requests, when)
        exact = layout >= EXACT_TIMES
        if exact:
            used = replace(used, wall=when.end // 1000 - when.start // 1000)
        records, used = _without_usage(records, used)
        category = self._categories(submissions, COLON if exact else "")
        core = self._core(records, used, submissions, category, when if exact else None)
        later = self._later.columns(layout, records, used, submissions, category, when)
        return _joined([*core, "0:0", *later])

    def _core(
        self,
        records: Records,
        used: Rusage,
        submissions: Submissions,
        category: pa.BinaryArray,
        exact: Moments | None = None,
    ) -> list[pa.Array | str]:
        """Fields 1 to 43; with `exact` times they and the wall time of `used` are in ms."""
        job = indices(records.submission)
        times = (records.submitted, records.start, records.end)
        if exact is not None:
            times = (exact.submitted // 1000, exact.start // 1000, exact.end // 1000)
        return [
            PLACE_TEXTS.take(indices(records.place)),
            self._identities(submissions).take(job),
            *(integers(column) for column in times),
            OUTCOME_TEXTS.take(indices(records.outcome)),
            integers(used.wall) if exact is None else decimals(used.wall, 3),
            *_rusage(records, used),
            self._allocations(submissions).take(job),
            *_totals(records, category.take(job)),
        ]

    def _identities(self, submissions: Submissions) -> pa.StringArray:
        """`group:owner:job_name:job_number:sge:priority` of each submission."""
        return join(
            [
                self._owners.take(indices(submissions.user)),
                self._job_names.take(indices(submissions.job_name)),
                integers(job_numbers(submissions)),
                "sge",
                integers(submissions.priority),
            ],
            ":",
        )

    def _allocations(self, submissions: Submissions) -> pa.StringArray:
        """`project:department:granted_pe:slots` of each submission."""
        return join(
            [
                pa.array(PROJECTS).take(indices(submissions.project)),
                "defaultdepartment",
                pa.array(PES).take(indices(submissions.pe)),
                integers(submissions.slots),
            ],
            ":",
        )

    def _categories(self, submissions: Submissions, colon: str) -> pa.BinaryArray:
        """Category of each submission; only the distinct ones are written out."""
        rows = zip(
            [self._groups[user] for user in submissions.user.tolist()],
            submissions.asks_queue.tolist(),
            submissions.cluster.tolist(),
            submissions.kind.tolist(),
            submissions.h_rt.tolist(),
            submissions.h_vmem.tolist(),
            submissions.pe.tolist(),
            submissions.slots.tolist(),
            strict=True,
        )
        known: dict[Asked, str] = {}
        return texts(
            [known.get(row) or known.setdefault(row, _category(row, colon)) for row in rows]
        )


def _category(asked: Asked, colon: str) -> str:
    """`-U list -q queue -l h_rt=…,h_vmem=… -pe name slots`, what was asked for, or NONE.

    With a `colon`, h_rt is in hours, minutes and seconds, as people write it.
    """
    group, asks_queue, cluster, kind, h_rt, h_vmem, pe, slots = asked
    limit = f"{h_rt // 3600}{colon}{h_rt // 60 % 60:02d}{colon}{h_rt % 60:02d}" if colon else h_rt
    limits = [f"h_rt={limit}"] * (h_rt > 0) + [f"h_vmem={h_vmem}G"] * (h_vmem > 0)
    parts = (
        f"-U {group}_users" if group in ACCESS_LIST_GROUPS else "",
        f"-q {queue_name(cluster, kind)}" if asks_queue else "",
        f"-l {','.join(limits)}" if limits else "",
        f"-pe {PES[pe]} {slots}" if pe else "",
    )
    return " ".join(part for part in parts if part) or "NONE"


def _rusage(records: Records, used: Rusage) -> list[pa.StringArray | str]:
    """ru_utime to ru_nivcsw; the fields that Linux never fills are 0."""
    return [
        decimals(micros(records.user_seconds)),
        decimals(micros(records.system_seconds)),
        decimals(records.max_rss_kib * MICRO),
        "0:0:0:0",
        integers(used.minor_faults),
        integers(used.major_faults),
        "0",
        decimals(used.blocks_in * MICRO),
        integers(used.blocks_out),
        "0:0:0",
        integers(used.yielded),
        integers(used.preempted),
    ]


def _totals(records: Records, category: pa.BinaryArray) -> list[pa.Array]:
    """task_number, cpu, mem, io, category, iow, pe_taskid and maxvmem."""
    return [
        integers(records.task_number),
        decimals(micros(records.user_seconds) + micros(records.system_seconds)),
        decimals(micros(records.gib_seconds)),
        decimals(micros(records.io_gib)),
        category,
        decimals(micros(records.io_wait_seconds)),
        PE_TASK_TEXTS.take(indices(records.pe_task)),
        decimals(records.maxvmem_bytes * MICRO),
    ]


def _without_usage(records: Records, used: Rusage) -> tuple[Records, Rusage]:
    """Univa's qmaster has no usage of a job that it stopped at its limit, though the job ran."""
    kept = (records.outcome != TIMED_OUT).astype(np.int64)
    left = {name: getattr(records, name) * kept for name in USAGE}
    return replace(records, **left), used.times(kept)


def _joined(columns: list[pa.Array | str]) -> pa.BinaryArray:
    """Fields to lines."""
    *first, last = columns
    if isinstance(last, str):
        return join([*first, last + "\n"], ":")
    return join([join(columns, ":"), "\n"])
