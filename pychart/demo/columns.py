"""Columns that every layout writes in its own notation, and how a column becomes text."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pychart.demo.arrays import Bools, Floats, Ints
from pychart.demo.placement import HOSTS
from pychart.demo.records import Records
from pychart.demo.submissions import WHOLE_NODES, Submissions

MICRO = 1_000_000
# sge_seqnum's largest value; the next job is number 1
LARGEST_JOB_NUMBER = 9_999_999
BLOCK_BYTES = 512
LARGEST_RANK = int(max(WHOLE_NODES.max(), 8))
# number 0 is a master line; the hosts of rank 0 are never looked up otherwise
PE_TASKS = [
    "NONE" if rank == 0 else f"{rank}.{host}" for rank in range(LARGEST_RANK) for host in HOSTS
]
# odd, so that the parts of a second are spread evenly over the job numbers
SPREADS = np.array([617_413, 274_177, 965_503])


@dataclass(frozen=True)
class Rusage:
    """What getrusage(2) counts and is not in the records: wall in s, 512-byte blocks, counts."""

    wall: Ints
    minor_faults: Ints
    major_faults: Ints
    blocks_in: Ints
    blocks_out: Ints
    yielded: Ints
    preempted: Ints

    def take(self, rows: Ints) -> "Rusage":
        """Rows by number."""
        return Rusage(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def times(self, factor: Ints) -> "Rusage":
        """Every row as many times as `factor` says, 0 or 1."""
        return Rusage(**{field.name: getattr(self, field.name) * factor for field in fields(self)})


def draw_rusage(records: Records, rng: np.random.Generator) -> Rusage:
    """Draw the counts of each line; all 0 where nothing ran."""
    ran = records.start > 0
    wall = records.end - records.start
    luck = rng.random(len(records.submission))
    blocks_in = (records.io_gib * luck * (2**30 / BLOCK_BYTES)).astype(np.int64) // 8 * 8
    return Rusage(
        wall=wall,
        minor_faults=ran * (480 + (records.max_rss_kib * (0.2 + luck)).astype(np.int64)),
        major_faults=(ran * luck * 3).astype(np.int64),
        blocks_in=blocks_in,
        blocks_out=ran * (8 + blocks_in // 2 // 8 * 8 + (luck * 400).astype(np.int64) * 8),
        yielded=ran * (5 + (wall * luck * 3).astype(np.int64)),
        preempted=ran * (3 + (records.user_seconds * (1.1 - luck) * 9).astype(np.int64)),
    )


@dataclass(frozen=True)
class Moments:
    """The times of each line in µs since 1970; 0 for the start and end of what never started."""

    submitted: Ints
    start: Ints
    end: Ints


def exact_moments(records: Records, submissions: Submissions) -> Moments:
    """Give the times the parts of a second that the job's number makes: equal in every layout."""
    number = submissions.number[records.submission]
    parts = np.sort(number[:, None] * SPREADS % MICRO, axis=1)
    ran = records.start > 0
    # a task begins after its master has
    first = np.where(records.pe_task > 0, parts[:, 1], parts[:, 0])
    return Moments(
        submitted=records.submitted * MICRO + first,
        start=ran * (records.start * MICRO + parts[:, 1]),
        end=ran * (records.end * MICRO + parts[:, 2]),
    )


def job_numbers(submissions: Submissions) -> Ints:
    """Give the numbers as the counter that wraps has them."""
    return (submissions.number - 1) % LARGEST_JOB_NUMBER + 1


def micros(values: Floats) -> Ints:
    """Millionths, rounded."""
    return np.rint(values * MICRO).astype(np.int64)


def indices(numbers: Ints | Bools) -> pa.Int32Array:
    """Row numbers as Arrow takes them."""
    return pa.array(numbers.astype(np.int32))


def integers(numbers: Ints) -> pa.StringArray:
    """Text of whole numbers."""
    return pa.array(numbers).cast(pa.string())


def decimals(units: Ints, digits: int = 6) -> pa.StringArray:
    """Text with so many decimals, from units of the last."""
    # no way is faster than casting decimals
    buffer = pa.py_buffer(np.ascontiguousarray(units))
    kind = pa.decimal64(18, digits)
    return pa.Array.from_buffers(kind, len(units), [None, buffer]).cast(pa.string())


def texts(values: list[str]) -> pa.BinaryArray:
    """Texts of which the character U+DCFF is the byte FF, UGE's colon within a field."""
    return pa.array([value.encode("utf-8", "surrogateescape") for value in values], pa.binary())


def join(columns: Sequence[pa.Array | str], separator: str = "") -> pa.BinaryArray:
    """Columns, and texts that are equal on all rows, side by side."""
    # as bytes: not all of them are UTF-8
    pieces = [
        column.encode() if isinstance(column, str) else column.cast(pa.binary())
        for column in columns
    ]
    return pc.binary_join_element_wise(*pieces, separator.encode())
