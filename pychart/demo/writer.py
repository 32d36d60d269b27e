"""Writes the demo file chunk by chunk; each has its own generator, so timing changes nothing."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from pychart.demo.arrays import Ints
from pychart.demo.attempts import draw_attempts
from pychart.demo.columns import LARGEST_JOB_NUMBER
from pychart.demo.layouts import DEFAULT, NAMED, Layouts
from pychart.demo.placement import build_places
from pychart.demo.plan import plan_chunk
from pychart.demo.population import build_population
from pychart.demo.records import build_records
from pychart.demo.rhythm import build_rhythm
from pychart.demo.site import DEMO_END
from pychart.demo.submissions import World, choose_wall_scale, draw_submissions
from pychart.demo.text import LineFormatter
from pychart.demo.usage import draw_usage

# small enough for the columns to stay in the processor's cache
CHUNK_JOBS = 50_000
YEAR_SECONDS = 365.25 * 86_400
SHORTEST_PERIOD_SECONDS = 3600
# readers doubt times before 1990
LONGEST_YEARS = 35


@dataclass(frozen=True)
class DemoSummary:
    """What was written: `jobs` are attempts (master lines), `lines` has their task lines too."""

    jobs: int
    lines: int
    bytes: int
    first_end_time: datetime | None
    last_end_time: datetime | None


@dataclass(frozen=True)
class Batch:
    """A chunk's lines by `logged`; no later one comes before `horizon` (both s since 1970)."""

    lines: pa.BinaryArray
    logged: Ints
    ends: tuple[int, ...]
    jobs: int
    horizon: int


def write_demo(
    path: Path,
    jobs: int,
    years: float,
    seed: int,
    end: datetime | None = None,
    progress: Callable[[int], None] | None = None,
    layout: int | str = DEFAULT,
) -> DemoSummary:
    """Write an accounting file of `jobs` attempts in the `years` before `end`, atomically.

    Equal arguments give equal bytes, and the same jobs in any layout: a number of fields, `json`,
    `mixed` (the scheduler was upgraded again and again) or `shuffled` (each line another). `end`
    has a time zone, and is DEMO_END unless given; `progress` gets the number of jobs so far.
    Raises ValueError for jobs < 1, seed < 0, years that are too few or too many, an `end` without
    time zone or an unknown layout, and OSError from the disk.
    """
    _check(jobs, years, seed, layout)
    begin, finish = _period(end or DEMO_END, years)
    layouts = Layouts(str(layout), begin, finish)
    batches = _batches(jobs, begin, finish, seed, layouts)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            summary = _write(file, layouts.header, batches, progress)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return summary


def _period(end: datetime, years: float) -> tuple[int, int]:
    """First and last second of the period before `end`; whole years keep the calendar date."""
    if end.tzinfo is None:
        raise ValueError(f"end: {end.isoformat()} has no time zone")
    whole = int(years)
    day = min(end.day, 28) if end.month == 2 else end.day
    same_day = end.replace(year=end.year - whole, day=day)
    return int(same_day.timestamp() - (years - whole) * YEAR_SECONDS), int(end.timestamp()) - 1


def _check(jobs: int, years: float, seed: int, layout: int | str) -> None:
    if jobs < 1:
        raise ValueError(f"jobs: {jobs} is less than 1")
    if seed < 0:
        raise ValueError(f"seed: {seed} is negative")
    if not SHORTEST_PERIOD_SECONDS <= years * YEAR_SECONDS <= LONGEST_YEARS * YEAR_SECONDS:
        raise ValueError(f"years: {years} is not between an hour and {LONGEST_YEARS} years")
    if str(layout) not in NAMED:
        raise ValueError(f"layout: {layout} is none of {', '.join(NAMED)}")


def _batches(jobs: int, begin: int, end: int, seed: int, layouts: Layouts) -> Iterator[Batch]:
    """Draw and format one chunk after the other; `begin` and `end` in s since 1970."""
    rng = _generator(seed, 0)
    people = build_population(begin, end, rng)
    scale = choose_wall_scale(jobs, (end - begin) / YEAR_SECONDS)
    world = World(people, build_places(begin, end), build_rhythm(begin, end, rng), scale)
    formatter = LineFormatter(people, layouts)
    number = int(rng.integers(100_000, LARGEST_JOB_NUMBER))
    done = 0
    for chunk, planned in enumerate(_chunk_sizes(jobs), start=1):
        rng = _generator(seed, chunk)
        plan = plan_chunk(planned, jobs, rng)
        share = (done / jobs, (done + planned) / jobs)
        submissions = draw_submissions(world, plan.is_array, share, number, rng)
        attempts = draw_attempts(plan, submissions, people, end, rng)
        usage = draw_usage(attempts, submissions, people, rng)
        records = build_records(attempts, submissions, usage, rng)
        number = int(submissions.number[-1])
        done += planned
        horizon = int(world.rhythm.times_at(np.array([share[1]]))[0]) if done < jobs else end + 1
        lines = formatter.format(records, submissions, rng)
        yield Batch(lines, records.logged, _end_range(records.end), planned, horizon)


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, stream])))


def _chunk_sizes(jobs: int) -> list[int]:
    """Nearly equal sizes of at most CHUNK_JOBS."""
    chunks = -(-jobs // CHUNK_JOBS)
    return [(number + 1) * jobs // chunks - number * jobs // chunks for number in range(chunks)]


def _end_range(ends: Ints) -> tuple[int, ...]:
    """First and last end in s since 1970; empty where nothing ran."""
    ended = ends[ends > 0]
    return (int(ended.min()), int(ended.max())) if len(ended) else ()


def _write(
    file: BinaryIO,
    header: bytes,
    batches: Iterator[Batch],
    progress: Callable[[int], None] | None,
) -> DemoSummary:
    """Write the header and all lines by end time; those beyond a chunk's horizon wait."""
    size = file.write(header)
    jobs = lines = 0
    ends: set[int] = set()
    waiting, waiting_logged = pa.array([], pa.binary()), np.zeros(0, dtype=np.int64)
    for batch in batches:
        merged, logged = _merge(waiting, waiting_logged, batch)
        ready = int(np.searchsorted(logged, batch.horizon))
        size += file.write(_text(merged[:ready]))
        waiting, waiting_logged = merged[ready:], logged[ready:]
        jobs, lines = jobs + batch.jobs, lines + len(batch.lines)
        ends.update(batch.ends)
        if progress:
            progress(jobs)
    first, last = min(ends, default=None), max(ends, default=None)
    return DemoSummary(jobs, lines, size, _moment(first), _moment(last))


def _merge(
    waiting: pa.BinaryArray, waiting_logged: Ints, batch: Batch
) -> tuple[pa.BinaryArray, Ints]:
    """Lines left over and a batch's, by the time they were logged."""
    logged = np.concatenate([waiting_logged, batch.logged])
    order = np.argsort(logged, kind="stable")
    return pa.concat_arrays([waiting, batch.lines]).take(pa.array(order)), logged[order]


def _text(lines: pa.BinaryArray) -> memoryview:
    """Return the lines' bytes as they lie in memory, one after the other."""
    _, offsets, data = lines.buffers()
    if data is None:
        return memoryview(b"")
    edges = np.frombuffer(offsets, dtype=np.int32)[lines.offset : lines.offset + len(lines) + 1]
    return memoryview(data)[int(edges[0]) : int(edges[-1])]


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
