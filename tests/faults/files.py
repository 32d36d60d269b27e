"""Faults of the files: rotated, packed, truncated, rewritten, copied, unreadable, no events."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.faults import content, tracing
from tests.faults.case import Case, Watch
from tests.faults.matrix import fault

SMALL = 16 * 1024


def halves(count: int, first: int = 1) -> tuple[bytes, bytes]:
    """Two pieces of one file."""
    made = content.lines(count, first=first)
    return b"".join(made[: count // 2]), b"".join(made[count // 2 :])


def append(file: Path, more: bytes) -> None:
    with file.open("ab", buffering=0) as writer:
        writer.write(more)


@fault(19, "rename and create while it is followed")
def renamed(case: Case) -> None:
    """Rotated several times, lines arriving in the old file after its renaming as well."""
    pieces = [halves(400, 1 + 1_000 * number) for number in range(len(case.times(10)) + 1)]
    case.fresh(pieces[0][0])
    whole = [pieces[0][0]]
    with case.watch() as watch:
        watch.wait_loaded()
        for number, (first, late) in enumerate(pieces[1:], 1):
            rotated = case.here / f"accounting.{number}"
            case.file.rename(rotated)
            append(rotated, late)
            whole[-1] += late
            case.file.write_bytes(content.HEADER + first)
            whole.append(content.HEADER + first)
            if number % 3:
                time.sleep(0.4)
            else:
                watch.wait_loaded(*whole)
        watch.wait_loaded(*whole)
        whole += out_of_sight(case, watch, whole)
    case.equal(*whole)


def out_of_sight(case: Case, watch: Watch, whole: list[bytes]) -> list[bytes]:
    """Moved where no pattern finds it, with unread bytes and one more flush to come."""
    unread, late = halves(300, 70_000)
    elsewhere = case.folder / "elsewhere"
    watch.signal(signal.SIGSTOP)
    append(case.file, unread)
    case.file.rename(elsewhere)
    new = content.HEADER + content.record(99_999, content.BEGINNING)
    case.file.write_bytes(new)
    watch.signal(signal.SIGCONT)
    time.sleep(0.5)
    append(elsewhere, late)
    whole[-1] += unread + late
    watch.wait_loaded(*whole, new)
    return [new]


@fault(20, "rotated twice and gzipped while it is down")
def rotated_while_down(case: Case) -> None:
    first, second = halves(600)
    third, fourth = (
        b"".join(content.lines(300, first=5_000)),
        b"".join(content.lines(90, first=9_000)),
    )
    case.fresh(first)
    with case.watch() as watch:
        watch.wait_loaded()
    whole = first + second
    (case.here / "accounting.1.gz").write_bytes(gzip.compress(whole))
    (case.here / "accounting.0.gz").write_bytes(gzip.compress(third))
    case.file.write_bytes(fourth)
    with case.watch() as watch:
        watch.wait_loaded(whole, third, fourth)
    case.equal(whole, third, fourth)
    generations = case.one("SELECT max(generation) FROM ledger")
    case.expect(generations == 0, "the file was loaded again instead of going on")


@fault(21, "copytruncate with unread bytes")
def copytruncate(case: Case) -> None:
    """Copied and truncated before its last bytes were read: they come from the copy."""
    for number in case.times(4):
        first, second = halves(400)
        third = content.HEADER + b"".join(content.lines(150, first=7_000))
        case.fresh(first)
        with case.watch() as watch:
            watch.wait_loaded()
            watch.signal(signal.SIGSTOP)
            append(case.file, second)
            shutil.copyfile(case.file, case.here / "accounting.1")
            os.truncate(case.file, 0)
            if number % 2 == 0:
                append(case.file, third)
            watch.signal(signal.SIGCONT)
            time.sleep(1)
            if number % 2:
                append(case.file, third)
            watch.wait_loaded(first + second, third)
        case.equal(first + second, third)


@fault(22, "truncated and regrown past the offset while it is down", quick=1)
def regrown(case: Case) -> None:
    """With the same first line and without; a new generation only where the first line stayed."""
    before = b"".join(content.lines(300))
    head = before[: before.index(b"\n") + 1]
    after = head + b"".join(content.lines(600, first=5_000))
    other = b"".join(content.lines(600, first=9_000))
    case.fresh(before)
    with case.watch() as watch:
        watch.wait_loaded()
    case.file.write_bytes(after)
    with case.watch() as watch:
        watch.wait_loaded(before, after)
    case.equal(before, after)
    case.expect(case.one("SELECT max(generation) FROM ledger") == 1, "no new generation")
    case.fresh(before).must_load()
    case.file.write_bytes(other)
    case.must_load()
    case.equal(before, other)


@fault(23, "inode reused by another file")
def inode_reused(case: Case) -> None:
    """The old file goes away; the new one has its inode, and is longer."""
    before, after = b"".join(content.lines(200)), b"".join(content.lines(700, first=5_000))
    for down in (False, True):
        case.fresh(before)
        with case.watch() as watch:
            watch.wait_loaded()
            if down:
                watch.end()
            inode = case.file.stat().st_ino
            replace_with_same_inode(case.file, after, inode)
            if down:
                watch.begin()
            watch.wait_loaded(before, after)
        case.equal(before, after)


def replace_with_same_inode(file: Path, data: bytes, inode: int) -> None:
    """Unlink and create; where the file system gives another number, overwrite in place."""
    file.unlink()
    file.write_bytes(data)
    for _ in range(50):
        if file.stat().st_ino == inode:
            return
        file.unlink()
        file.write_bytes(data)


@fault(24, "copy, overlap, touch, merge, full re-read")
def copies(case: Case) -> None:
    """Whatever mixture of old files is found, started attempts stay as they were."""
    made = content.lines(900)
    old, new, overlap = b"".join(made[:600]), b"".join(made), b"".join(made[300:])
    merged = b"".join(sorted(made, reverse=True))
    case.fresh(old).must_load()
    case.file.write_bytes(new)
    (case.here / "accounting.copy").write_bytes(old)
    (case.here / "accounting.part").write_bytes(overlap)
    (case.here / "accounting.merged").write_bytes(merged)
    everything = [
        case.file,
        *(case.here / f"accounting.{end}" for end in ("copy", "part", "merged")),
    ]
    case.must_load(*everything, block_bytes=SMALL)
    case.equal(old, new, overlap, merged)
    for file in everything:
        file.touch()
    with case.watch() as watch:
        watch.wait_loaded(new, overlap, merged)
        time.sleep(1)
    case.query("TRUNCATE TABLE batches")
    case.must_load(*reversed(everything))
    case.equal(old, new, overlap, merged)
    with case.watch() as watch:
        time.sleep(2)
        before = watch.query("SELECT count() FROM ledger")
        append(case.file, content.record(77_777, content.BEGINNING))
        new += content.record(77_777, content.BEGINNING)
        watch.wait_loaded(new, overlap, merged)
        time.sleep(1.5)
        after = watch.query("SELECT count() FROM ledger")
        case.expect(int(after[0][0][0]) - int(before[0][0][0]) <= 2, f"{before} → {after} batches")
    case.equal(old, new, overlap, merged)


@fault(25, "gzip still being written; bad CRC")
def broken_gzip(case: Case) -> None:
    whole = b"".join(content.lines(15_000))  # longer than what is unpacked at a time
    live = b"".join(content.lines(100, first=5_000))
    packed = gzip.compress(whole)
    bad = packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:]
    case.fresh(live)
    file = case.here / "accounting.1.gz"
    with case.watch(block_bytes=256 * 1024) as watch:
        watch.wait_loaded(live)
        for broken in (packed[: len(packed) // 2], bad):
            file.write_bytes(broken)
            time.sleep(2)
            case.expect(watch.ends() == [len(live)], f"consumed of a broken file: {watch.ends()}")
            rows = watch.query("SELECT uniqExact(file_id) FROM records")[0][0][0]
            case.expect(int(rows) == 1, "rows of a broken file are there")
            case.expect(file.name in case.output.read_text(), "a broken file is not reported")
        file.write_bytes(packed)
        watch.wait_loaded(live, whole)
    case.equal(live, whole)
    file.write_bytes(packed[:-9])
    case.expect(case.load(file) in (0, 1), "load of a broken file")
    case.equal(live, whole)


@fault(30, "no events, overflow, dead observer")
def without_events(case: Case) -> None:
    """What no event tells of is found at the next poll."""
    ways = ["no events", "dead observer", "overflow"]
    slowest = 0.0
    for way in ways[: len(case.times(3))]:
        first, second = halves(200)
        case.fresh(first)
        with case.watch(changes=() if way == "overflow" else (way,)) as watch:
            watch.wait_loaded()
            if way == "overflow":
                watch.signal(signal.SIGSTOP)
                overflow(case.here)
                append(case.file, second)
                watch.signal(signal.SIGCONT)
            else:
                append(case.file, second)
            took = watch.wait_loaded(seconds=10)
            slowest = max(slowest, took)
            case.expect(took < 3, f"{way}: found after {took:.1f} s")
        case.equal()
    case.verdict.note = f"at most {slowest:.1f} s"


def overflow(folder: Path) -> None:
    """More events than the kernel's queue holds."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(limit // 3 + 200):
        other = folder / f"other{number % 2}"
        other.touch()
        other.unlink()


@fault(31, "read gives ESTALE or EIO; changed st_dev")
def stale(case: Case) -> None:
    """A failing read is no reason to begin again."""
    for error in ["ESTALE", "EIO"][: len(case.times(2))]:
        first, second = halves(2_000)
        case.fresh(first)
        with case.watch(block_bytes=SMALL) as watch:
            watch.wait_loaded()
            rule = f"inject=read,pread64,readv:error={error}:when=1..6"
            with tracing.attached_to(watch.pid, rule, traced=case.file):
                append(case.file, second)
                time.sleep(2.5)
            watch.wait_loaded()
        case.equal()
        case.expect(
            case.one("SELECT max(generation) FROM ledger") == 0, f"{error}: a false restart"
        )
    moved_to_another_device(case)


def moved_to_another_device(case: Case) -> None:
    """The same file on another file system, as after a fail-over."""
    first, second = halves(400)
    case.fresh(first)
    with case.watch() as watch:
        watch.wait_loaded()
        elsewhere = case.folder / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "none", str(elsewhere)], check=True)
        try:
            shutil.copyfile(case.file, elsewhere / "accounting")
            subprocess.run(["mount", "--bind", elsewhere / "accounting", case.file], check=True)
            append(case.file, second)
            watch.wait_loaded()
            case.equal(first + second, ask=watch.query)
            restarts = watch.query("SELECT max(generation) FROM ledger")[0][0][0]
            case.expect(int(restarts) == 0, "another device: a false restart")
        finally:
            watch.kill()
            subprocess.run(["umount", str(case.file)], check=False)
            subprocess.run(["umount", str(elsewhere)], check=False)


@fault(36, "file unreadable, later fixed")
def unreadable(case: Case) -> None:
    """The other files of the family are followed meanwhile."""
    first, second = halves(400)
    other = b"".join(content.lines(100, first=5_000))
    case.fresh(first)
    with case.watch(powerless=True) as watch:
        watch.wait_loaded()
        case.file.chmod(0)
        append(case.file, second)
        watch.wait_said("ermission denied", 15)
        (case.here / "accounting.new").write_bytes(other)
        watch.wait_loaded(first, other)
        case.expect(not healthy(case), "status calls an unreadable file well")
        case.file.chmod(0o644)
        watch.wait_loaded(first + second, other, seconds=150)
    case.equal(first + second, other)


def healthy(case: Case) -> bool:
    """What `pychart status` says by its exit status, while the daemon runs."""
    return case.run("status") == 0


@fault(37, "two files that share a header")
def shared_header(case: Case) -> None:
    one = content.HEADER + b"".join(content.lines(200))
    two = content.HEADER + b"".join(content.lines(300, first=5_000))
    case.fresh(one)
    with case.watch() as watch:
        watch.wait_loaded()
        case.file.rename(case.here / "accounting.0")
        case.file.write_bytes(content.HEADER)
        time.sleep(0.7)
        append(case.file, two.removeprefix(content.HEADER))
        watch.wait_loaded(one, two)
    case.equal(one, two)
    case.expect(case.one("SELECT uniqExact(file_id) FROM ledger") == 2, "not two file_ids")
