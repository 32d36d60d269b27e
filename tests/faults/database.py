"""Faults of the database and the machine: full, restored, truncated, oddly set, a wrong clock."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults import content, tracing
from tests.faults.case import Case
from tests.faults.matrix import SERVER, fault
from tests.server import start

SMALL = 16 * 1024
MIB = 1024**2
STORED = ("accounting", "rejected_lines", "batches")


@fault(16, "an admin sets a deduplication window")
def deduplication_window(case: Case) -> None:
    """What was sent before and is gone again must not be taken for a repetition."""
    case.fresh(content.HEADER).must_load()
    for table in STORED:
        case.query(f"ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = 1000")
    case.file.write_bytes(b"".join(content.lines(600)))
    case.must_load(block_bytes=SMALL)
    case.equal()
    for table in STORED:
        case.query(f"ALTER TABLE {table} DELETE WHERE 1 SETTINGS mutations_sync = 2")
    case.must_load(block_bytes=SMALL)
    case.equal()


@fault(17, "the database's disk full, then freed")
def disk_full(case: Case) -> None:
    written = content.lines(6_000)
    first, whole = b"".join(written[:500]), b"".join(written)
    for _ in case.times(2):
        case.fresh(first)
        with small_disk(case, 200 * MIB) as (disk, inner):
            with inner.watch(block_bytes=64 * 1024, changes=("fast clock",)) as watch:
                watch.wait_loaded()
                ballast = disk / "ballast"
                fill(ballast)
                case.file.write_bytes(whole)
                time.sleep(3)
                full = watch.ends() != [len(whole)]
                case.expect(full, "all was loaded on to a full disk")
                ballast.unlink()
                watch.wait_loaded(seconds=90)
            inner.equal(whole)


@contextmanager
def small_disk(case: Case, size: int) -> Iterator[tuple[Path, Case]]:
    """The case with its database on a small file system of its own."""
    disk = case.here / "db" if case.embedded else case.here / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)], check=True)
    try:
        if case.embedded:
            yield disk, case
            return
        with start(disk / "data") as server:
            before, case.running = case.running, server
            try:
                yield disk, case
            finally:
                case.running = before
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def fill(ballast: Path) -> None:
    """Take all the room there is, to the last block."""
    with ballast.open("wb", buffering=0) as file:
        for piece in (MIB, 4096, 1):
            try:
                while file.write(bytes(piece)) == piece:
                    pass
            except OSError:
                continue


@fault(32, "clock a day wrong; end_time in the future")
def wrong_clock(case: Case) -> None:
    now = int(time.time())
    lines = [content.record(n, now + day * 86_400) for n, day in enumerate([-2, 0, 1, 2, 400], 1)]
    written = [*content.lines(300), *lines]
    first, second = b"".join(written[:150]), b"".join(written[150:])
    for offset in (-86_400.0, 86_400.0):
        case.fresh(first)
        rotated = content.HEADER + b"".join(content.lines(50, first=9_000))
        with case.watch(clock_offset=offset) as watch:
            watch.wait_loaded()
            with case.file.open("ab", buffering=0) as writer:
                writer.write(second[:-100])
                time.sleep(1)
                case.file.rename(case.here / "accounting.0")
                case.file.write_bytes(rotated)
                time.sleep(1.5)
                writer.write(second[-100:])
            watch.wait_loaded(first + second, rotated)
        case.equal(first + second, rotated)


@fault(34, "an older backup restored")
def restored(case: Case) -> None:
    """The ledger comes back with the rows, so the gap is read again."""
    written = content.lines(900)
    old, new = b"".join(written[:300]), b"".join(written)
    case.fresh(old).must_load()
    backup = case.folder / "backup"
    if case.embedded:
        tracing.copy(case.database, backup)
    else:
        for table in STORED:
            case.query(
                f"CREATE TABLE kept_{table} AS {table}",
                f"INSERT INTO kept_{table} SELECT * FROM {table}",
            )
    case.file.write_bytes(new)
    case.must_load()
    case.equal()
    if case.embedded:
        tracing.copy(backup, case.database)
    else:
        for table in STORED:
            case.query(f"TRUNCATE TABLE {table}", f"INSERT INTO {table} SELECT * FROM kept_{table}")
    case.expect(case.one("SELECT max(end_offset) FROM ledger") == len(old), "not restored")
    case.must_load()
    case.equal()


@fault(34, "rows and ledger truncated; rows alone")
def truncated(case: Case) -> None:
    case.fresh(b"".join(content.lines(900))).must_load(block_bytes=SMALL)
    case.query(*(f"TRUNCATE TABLE {table}" for table in STORED))
    case.must_load()
    case.equal()
    verify = ("verify", "--cluster", "c1", case.file)
    case.expect(case.run(*verify) == 0, f"verify finds fault with what is whole: {case.said()}")
    gone = case.one("SELECT any(job_number) FROM records WHERE start_time != 0")
    case.query(
        f"ALTER TABLE accounting DELETE WHERE job_number = {gone} SETTINGS mutations_sync = 2"
    )
    case.expect(case.run(*verify) == 1, "verify does not see that one row is gone")
    case.query("TRUNCATE TABLE accounting")
    case.expect(case.run(*verify) == 1, "verify does not see that the rows are gone")
    case.query("TRUNCATE TABLE batches", "TRUNCATE TABLE rejected_lines")
    case.must_load()
    case.equal()


@fault(34, "a piece of rows and ledger gone from the middle", quick=1)
def gap(case: Case) -> None:
    """What the ledger says of later bytes does not hide that some before them are missing."""
    case.fresh(b"".join(content.lines(900))).must_load(block_bytes=SMALL)
    batches = case.query("SELECT start_offset, end_offset FROM ledger ORDER BY 1")[0]
    start, end = batches[len(batches) // 2]
    for table, place in (("accounting", "offset"), ("batches", "start_offset")):
        case.query(
            f"ALTER TABLE {table} DELETE WHERE {place} >= {start} AND {place} < {end}"
            " SETTINGS mutations_sync = 2"
        )
    case.must_load()
    case.equal(overlaps=True)


@fault(35, "5 GB backlog under a limit of 512 MiB", SERVER)
def backlog(case: Case) -> None:
    """In a memory cgroup, as under systemd's MemoryMax; long lines, so that there are fewer."""
    count = max(4, round(2_500_000 * case.scale))
    case.fresh()
    text = "-l " + "x" * 1_800
    with case.file.open("wb") as file:
        for number in range(1, count + 1, 1000):
            file.write(
                b"".join(
                    content.record(n, content.BEGINNING + n, category=text)
                    for n in range(number, min(number + 1000, count + 1))
                )
            )
    size = case.file.stat().st_size
    with memory_limit(512 * MIB) as group, case.watch() as watch:
        (group / "cgroup.procs").write_text(str(watch.pid))
        watch.wait(lambda: watch.ends() == [size], "loaded", 900)
        killed = killed_for_memory(group)
        case.expect(not killed, f"killed {killed} times for want of memory")
    found = case.one("SELECT (count(), uniqExact(job_number), sum(job_number)) FROM records")
    wanted = (count, count, count * (count + 1) // 2)
    case.expect(tuple(found) == wanted, f"{found}, not {wanted}")
    case.verdict.lines += count
    case.verdict.lost += max(0, count - int(found[1]))
    case.verdict.doubled += max(0, int(found[0]) - int(found[1]))
    case.verdict.note = f"{size / 1e9:.1f} GB"


@contextmanager
def memory_limit(limit: int) -> Iterator[Path]:
    """A control group with this much memory, page cache included (version 1, else 2)."""
    first = Path("/sys/fs/cgroup/memory")
    group = (first if first.exists() else first.parent) / "pychart-faults"
    group.mkdir(exist_ok=True)
    (group / ("memory.limit_in_bytes" if first.exists() else "memory.max")).write_text(str(limit))
    try:
        yield group
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            (group.parent / "cgroup.procs").write_text(pid)
        group.rmdir()


def killed_for_memory(group: Path) -> int:
    """How many processes of a group the kernel has killed."""
    first = group / "memory.oom_control"
    text = (first if first.exists() else group / "memory.events").read_text()
    return int(text.split("oom_kill ")[1].split()[0])
