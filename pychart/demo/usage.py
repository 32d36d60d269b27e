"""What an attempt used: the resource columns, whole job or per host."""

from dataclasses import dataclass

import numpy as np

from pychart.demo.arrays import Bools, Floats, Ints
from pychart.demo.attempts import Attempts
from pychart.demo.placement import SERIAL, SINGLE_NODE, TASKS
from pychart.demo.population import Population
from pychart.demo.submissions import Submissions

GIB = 2**30
PAGE_BYTES = 4096
LARGEST_MAXVMEM_BYTES = 990e9


@dataclass(frozen=True)
class Usage:
    """Resources of one line each: seconds of CPU, GiB·s, GiB and bytes; all 0 where nothing ran."""

    user_seconds: Floats
    system_seconds: Floats
    gib_seconds: Floats
    io_gib: Floats
    io_wait_seconds: Floats
    maxvmem_bytes: Ints
    max_rss_kib: Ints


def draw_usage(
    attempts: Attempts, submissions: Submissions, people: Population, rng: np.random.Generator
) -> Usage:
    """Usage of each attempt's master line: with per-task accounting only its own host's part."""
    job = attempts.submission
    ran = attempts.start > 0
    wall = (attempts.end - attempts.start).astype(np.float64)
    hosts = np.where(submissions.kind[job] == TASKS, submissions.hosts[job], 1)
    startup = 0.004 + 0.02 * rng.random(len(job))
    busy = _efficiency(attempts, submissions, people, rng) * submissions.slots[job] * wall
    cpu = ran * (busy + startup) / hosts
    system = cpu * (0.004 + 0.04 * rng.random(len(job)) ** 2)
    maxvmem = _maxvmem_bytes(attempts, submissions, hosts, rng)
    io = ran * (people.io_rate[submissions.user[job]] * wall * rng.random(len(job)) / hosts + 3e-5)
    return Usage(
        user_seconds=cpu - system,
        system_seconds=system,
        gib_seconds=cpu * maxvmem / GIB * (0.55 + 0.4 * rng.random(len(job))),
        io_gib=io,
        io_wait_seconds=np.where(rng.random(len(job)) < 0.25, io * 1.7, 0.0),
        maxvmem_bytes=maxvmem,
        max_rss_kib=_max_rss_kib(maxvmem, ran, rng),
    )


def _efficiency(
    attempts: Attempts, submissions: Submissions, people: Population, rng: np.random.Generator
) -> Floats:
    """CPU time over slots × wall time: a person's habit, less for many cores, above 1 for a few."""
    job = attempts.submission
    user, kind, slots = submissions.user[job], submissions.kind[job], submissions.slots[job]
    habit = people.efficiency[user] + 0.05 * rng.standard_normal(len(job), dtype=np.float32)
    scaling = np.where(kind == SINGLE_NODE, slots**-0.08, slots**-0.015)
    efficiency = np.clip(habit, 0.004, 1.0) * scaling
    # forgotten OMP_NUM_THREADS: one core works, or a serial job starts threads
    one_core = (kind == SINGLE_NODE) & (submissions.number[job] % 14 == 0)
    threads = (kind == SERIAL) & (people.largest_job[user] > 0.97)
    efficiency = np.where(threads, efficiency * (1 + 3 * rng.random(len(job))), efficiency)
    return np.where(one_core, efficiency / slots, efficiency)


def _maxvmem_bytes(
    attempts: Attempts, submissions: Submissions, hosts: Ints, rng: np.random.Generator
) -> Ints:
    """Peak virtual memory in whole pages, below h_vmem; 0 for jobs too short to be measured."""
    job = attempts.submission
    per_slot = submissions.gib_per_slot[job] * (0.8 + 0.4 * rng.random(len(job)))
    h_vmem = submissions.h_vmem[job]
    per_slot = np.where(h_vmem > 0, np.minimum(per_slot, 0.985 * h_vmem), per_slot)
    total = np.minimum(per_slot * submissions.slots[job] / hosts * GIB, LARGEST_MAXVMEM_BYTES)
    measured = attempts.end - attempts.start > 1
    return np.where(measured, (total / PAGE_BYTES).astype(np.int64) * PAGE_BYTES, 0)


def _max_rss_kib(maxvmem: Ints, ran: Bools, rng: np.random.Generator) -> Ints:
    """Largest resident size of one process in KiB."""
    shell = 4400 + 4 * rng.integers(0, 100, len(maxvmem))
    part = 0.35 + 0.5 * rng.random(len(maxvmem))
    resident = (maxvmem // PAGE_BYTES * part).astype(np.int64) * 4
    return np.where(ran, np.maximum(resident, shell), 0)
