"""Lines of the file as columns: master lines, and before them their per-task lines."""

from dataclasses import dataclass, fields, replace

import numpy as np

from pychart.demo.arrays import Floats, Ints
from pychart.demo.attempts import KILLED, SUCCESS, TIMED_OUT, Attempts
from pychart.demo.placement import FIRST_HOST, HOSTS, NODES, TASKS, place_number
from pychart.demo.submissions import Submissions
from pychart.demo.usage import Usage


@dataclass(frozen=True)
class Records:
    """One row per line. `pe_task` is 0 on a master line, else task × number of hosts + host."""

    submission: Ints
    task_number: Ints
    place: Ints
    submitted: Ints
    start: Ints
    end: Ints
    logged: Ints
    outcome: Ints
    pe_task: Ints
    user_seconds: Floats
    system_seconds: Floats
    gib_seconds: Floats
    io_gib: Floats
    io_wait_seconds: Floats
    maxvmem_bytes: Ints
    max_rss_kib: Ints

    def take(self, rows: Ints) -> "Records":
        """Rows by number."""
        return Records(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def followed_by(self, other: "Records") -> "Records":
        """Rows of both."""
        names = [field.name for field in fields(self)]
        return Records(
            **{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in names}
        )


def build_records(
    attempts: Attempts, submissions: Submissions, usage: Usage, rng: np.random.Generator
) -> Records:
    """Lines in the order in which the qmaster writes them."""
    masters = _master_records(attempts, submissions, usage)
    tasks = _task_records(masters, attempts.node, submissions, rng)
    # tasks first: among equal times the stable sort keeps them before their master
    both = tasks.followed_by(masters)
    return both.take(np.argsort(both.logged, kind="stable"))


def _master_records(attempts: Attempts, submissions: Submissions, usage: Usage) -> Records:
    job = attempts.submission
    return Records(
        submission=job,
        task_number=attempts.task_number,
        place=place_number(submissions.cluster[job], submissions.kind[job], attempts.node),
        submitted=attempts.submitted,
        start=attempts.start,
        end=attempts.end,
        logged=attempts.logged,
        outcome=attempts.outcome,
        pe_task=np.zeros(len(job), dtype=np.int64),
        **{field.name: getattr(usage, field.name) for field in fields(usage)},
    )


def _task_records(
    masters: Records, node: Ints, submissions: Submissions, rng: np.random.Generator
) -> Records:
    """Make a line per host beyond the first: later start, earlier end, similar usage."""
    job = masters.submission
    remote = np.where(
        (submissions.kind[job] == TASKS) & (masters.start > 0), submissions.hosts[job] - 1, 0
    )
    parent = np.repeat(np.arange(len(job)), remote)
    rank = 1 + np.arange(len(parent)) - np.repeat(np.cumsum(remote) - remote, remote)
    lines = masters.take(parent)
    cluster = submissions.cluster[lines.submission]
    other = (node[parent] + rank) % NODES[cluster]
    submitted = np.minimum(lines.start + rng.integers(0, 3, len(parent)), lines.end)
    start = np.minimum(submitted + rng.integers(0, 2, len(parent)), lines.end)
    end = np.maximum(lines.end - rng.integers(0, 4, len(parent)), start)
    killed = (lines.outcome == KILLED) | (lines.outcome == TIMED_OUT)
    return replace(
        _vary(lines, rng),
        place=place_number(cluster, submissions.kind[lines.submission], other),
        submitted=submitted,
        start=start,
        end=end,
        logged=end,
        outcome=np.where(killed, KILLED, SUCCESS),
        pe_task=rank * len(HOSTS) + FIRST_HOST[cluster] + other,
    )


def _vary(lines: Records, rng: np.random.Generator) -> Records:
    """Usage near the master's."""
    factor = 0.96 + 0.05 * rng.random(len(lines.submission))
    return replace(
        lines,
        user_seconds=lines.user_seconds * factor,
        system_seconds=lines.system_seconds * factor**3,
        gib_seconds=lines.gib_seconds * factor**2,
        io_gib=lines.io_gib * (factor - 0.9),
        maxvmem_bytes=(lines.maxvmem_bytes * factor).astype(np.int64) // 4096 * 4096,
    )
