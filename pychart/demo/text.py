"""Records to text, 45 fields in the notation of SGE 8.1.9, a column at a time."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pychart.demo.arrays import Bools, Floats, Ints
from pychart.demo.attempts import OUTCOMES
from pychart.demo.placement import HOSTS, PLACES, queue_name
from pychart.demo.population import Population
from pychart.demo.records import Records
from pychart.demo.site import PES, PROJECTS
from pychart.demo.submissions import WHOLE_NODES, Submissions

MICRO = 1_000_000
# sge_seqnum's largest value; the next job is number 1
LARGEST_JOB_NUMBER = 9_999_999
BLOCK_BYTES = 512
ACCESS_LIST_GROUPS = frozenset({"chimie", "theochem", "genomique", "astro", "climat", "meca"})
LARGEST_RANK = int(max(WHOLE_NODES.max(), 8))
HEADER = b"# Version: 8.1.9\n# \n# DO NOT MODIFY THIS FILE MANUALLY!\n# \n"

PLACE_TEXTS = pa.array(PLACES)
OUTCOME_TEXTS = pa.array(OUTCOMES)
# number 0 is a master line; the hosts of rank 0 are never looked up otherwise
PE_TASK_TEXTS = pa.array(
    ["NONE" if rank == 0 else f"{rank}.{host}" for rank in range(LARGEST_RANK) for host in HOSTS]
)


class LineFormatter:
    """Formats the records of one chunk after the other."""

    def __init__(self, people: Population) -> None:
        """Prepare the texts that depend on the users alone."""
        self._groups = people.groups
        self._owners = pa.array(map(":".join, zip(people.groups, people.owners, strict=True)))
        self._job_names = pa.array(people.job_names)

    def format(
        self, records: Records, submissions: Submissions, rng: np.random.Generator
    ) -> pa.StringArray:
        """One text per record, each with its newline."""
        job = _indices(records.submission)
        ran = records.start > 0
        cpu_micros = _micros(records.user_seconds) + _micros(records.system_seconds)
        columns = [
            PLACE_TEXTS.take(_indices(records.place)),
            self._identities(submissions).take(job),
            *(_integers(column) for column in (records.submitted, records.start, records.end)),
            OUTCOME_TEXTS.take(_indices(records.outcome)),
            *_rusage(records, ran, rng),
            self._allocations(submissions).take(job),
            _integers(records.task_number),
            _decimals(cpu_micros),
            _decimals(_micros(records.gib_seconds)),
            _decimals(_micros(records.io_gib)),
            self._categories(submissions).take(job),
            _decimals(_micros(records.io_wait_seconds)),
            PE_TASK_TEXTS.take(_indices(records.pe_task)),
            _decimals(records.maxvmem_bytes * MICRO),
            "0:0\n",
        ]
        return pc.binary_join_element_wise(*columns, ":")

    def _identities(self, submissions: Submissions) -> pa.StringArray:
        """`group:owner:job_name:job_number:sge:priority` of each submission."""
        return pc.binary_join_element_wise(
            self._owners.take(_indices(submissions.user)),
            self._job_names.take(_indices(submissions.job_name)),
            _integers((submissions.number - 1) % LARGEST_JOB_NUMBER + 1),
            "sge",
            _integers(submissions.priority),
            ":",
        )

    def _allocations(self, submissions: Submissions) -> pa.StringArray:
        """`project:department:granted_pe:slots` of each submission."""
        return pc.binary_join_element_wise(
            pa.array(PROJECTS).take(_indices(submissions.project)),
            "defaultdepartment",
            pa.array(PES).take(_indices(submissions.pe)),
            _integers(submissions.slots),
            ":",
        )

    def _categories(self, submissions: Submissions) -> pa.StringArray:
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
        texts: dict[tuple[str, int, int, int, int, int, int, int], str] = {}
        return pa.array([texts.get(row) or texts.setdefault(row, _category(*row)) for row in rows])


def _category(
    group: str,
    asks_queue: int,
    cluster: int,
    kind: int,
    h_rt: int,
    h_vmem: int,
    pe: int,
    slots: int,
) -> str:
    """`-U list -q queue -l h_rt=…,h_vmem=… -pe name slots`, what was asked for, or NONE."""
    limits = [f"h_rt={h_rt}"] * (h_rt > 0) + [f"h_vmem={h_vmem}G"] * (h_vmem > 0)
    parts = (
        f"-U {group}_users" if group in ACCESS_LIST_GROUPS else "",
        f"-q {queue_name(cluster, kind)}" if asks_queue else "",
        f"-l {','.join(limits)}" if limits else "",
        f"-pe {PES[pe]} {slots}" if pe else "",
    )
    return " ".join(part for part in parts if part) or "NONE"


def _rusage(records: Records, ran: Bools, rng: np.random.Generator) -> list[pa.StringArray | str]:
    """ru_wallclock to ru_nivcsw; the fields that Linux never fills are 0."""
    count = len(records.submission)
    wall = records.end - records.start
    luck = rng.random(count)
    faults = ran * (480 + (records.max_rss_kib * (0.2 + luck)).astype(np.int64))
    blocks_in = (records.io_gib * luck * (2**30 / BLOCK_BYTES)).astype(np.int64) // 8 * 8
    blocks_out = ran * (8 + blocks_in // 2 // 8 * 8 + (luck * 400).astype(np.int64) * 8)
    yielded = ran * (5 + (wall * luck * 3).astype(np.int64))
    preempted = ran * (3 + (records.user_seconds * (1.1 - luck) * 9).astype(np.int64))
    return [
        _integers(wall),
        _decimals(_micros(records.user_seconds)),
        _decimals(_micros(records.system_seconds)),
        _decimals(records.max_rss_kib * MICRO),
        "0:0:0:0",
        _integers(faults),
        _integers((ran * luck * 3).astype(np.int64)),
        "0",
        _decimals(blocks_in * MICRO),
        _integers(blocks_out),
        "0:0:0",
        _integers(yielded),
        _integers(preempted),
    ]


def _micros(values: Floats) -> Ints:
    return np.rint(values * MICRO).astype(np.int64)


def _indices(numbers: Ints) -> pa.Int32Array:
    return pa.array(numbers.astype(np.int32))


def _integers(numbers: Ints) -> pa.StringArray:
    return pa.array(numbers).cast(pa.string())


def _decimals(micros: Ints) -> pa.StringArray:
    """Text with six decimals, from millionths: no way is faster than casting decimals."""
    buffer = pa.py_buffer(np.ascontiguousarray(micros))
    return pa.Array.from_buffers(pa.decimal64(18, 6), len(micros), [None, buffer]).cast(pa.string())
