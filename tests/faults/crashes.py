"""Faults that end a process: killed at any instant, at each step, at each call of the engine."""

from __future__ import annotations

import random
import signal
import time

from tests.faults import content, tracing
from tests.faults.case import Case
from tests.faults.matrix import BOTH, EMBEDDED, fault

RENAMES = ("rename", "renameat", "renameat2")
KILLED = (-signal.SIGKILL, 255)  # 255 = multiprocessing did not see how it ended
SMALL = 16 * 1024  # bytes of a batch, so that a small file has many


@fault(1, "kill -9 of the loader at random instants", quick=0.01)
def kill_loader(case: Case) -> None:
    """Two hundred kills; each load goes on where the one before it was killed."""
    chance, left, files = random.Random(1), len(case.times(200)), 0
    case.fresh(b"".join(content.lines(1_000)))
    began = time.monotonic()
    case.must_load(block_bytes=SMALL)
    longest = 1.1 * (time.monotonic() - began)
    while left:
        case.fresh(b"".join(content.lines(1_000, first=2_000 * left)))
        ended, files = None, files + 1
        while ended is None and left:
            process = case.start("load", "--cluster", "c1", case.file, block_bytes=SMALL)
            process.join(chance.uniform(0.05, longest))
            ended = process.exitcode
            if ended is None:
                process.kill()
                process.join()
                left -= 1
        case.expect(not ended, f"load ended with {ended}: {case.said()}")
        case.must_load(block_bytes=SMALL)
        case.equal()
    case.verdict.runs, case.verdict.note = len(case.times(200)), f"{files} files"


@fault(1, "kill -9 of the daemon at random instants, its file growing")
def kill_daemon(case: Case) -> None:
    chance = random.Random(2)
    case.fresh(b"".join(content.lines(500)))
    kills = case.times(50)
    for number in kills:
        process = case.start("watch", block_bytes=SMALL)
        until = time.monotonic() + chance.uniform(0.2, 1.5)
        with case.file.open("ab", buffering=0) as writer:
            more = b"".join(content.lines(40, first=10_000 + 100 * number))
            while time.monotonic() < until:
                cut = chance.randrange(1, 3_000)
                writer.write(more[:cut])
                more = more[cut:]
                time.sleep(0.02)
            writer.write(more)
        process.kill()
        process.join()
        case.expect(process.exitcode in KILLED, f"ended by itself: {case.said()}")
    with case.watch() as watch:
        watch.wait_loaded()
    case.equal()
    case.verdict.runs = len(kills)


@fault(2, "SIGKILL at every rename of the engine", EMBEDDED)
def kill_at_rename(case: Case) -> None:
    at_each_call(case, RENAMES)


@fault(2, "SIGKILL at every write and fsync of the engine", EMBEDDED)
def kill_at_write(case: Case) -> None:
    at_each_call(case, ("write", "pwrite64", "writev", "fsync", "fdatasync"))


def at_each_call(case: Case, calls: tuple[str, ...]) -> None:
    """Kill at the n-th of these calls that a thread makes, for each n that one gets to."""
    written = content.lines(900)
    first, all_lines = b"".join(written[:300]), b"".join(written)
    case.fresh(first).must_load(block_bytes=SMALL)
    template = case.folder / "template"
    tracing.copy(case.database, template)
    case.file.write_bytes(all_lines)
    points = tracing.points(case, calls, block_bytes=SMALL)
    case.equal()
    case.expect(len(points) > 5, f"only {len(points)} calls")
    killed, chosen = 0, points[:: max(1, round(len(points) / len(case.times(60))))]
    for call, number in chosen:
        case.fresh(all_lines)
        tracing.copy(template, case.database)
        rule = f"inject={call}:signal=SIGKILL:when={number}"
        killed += tracing.load(case, rule, block_bytes=SMALL) == -signal.SIGKILL
        case.must_load(block_bytes=SMALL)
        case.equal()
    # which thread makes a call differs from run to run, so the last ones are not always reached
    case.expect(killed > len(chosen) / 2, f"only {killed} kills of {len(chosen)}")
    case.verdict.note = f"{killed} kills"


@fault(3, "crash between each two steps of the order of writes")
def between_steps(case: Case) -> None:
    """Every call to the database, before and after it, until a load has no more of them."""
    made = content.lines(260)
    for number in range(1, 200):
        survived = 0
        for after in (False, True)[: len(case.times(2))]:
            case.fresh(b"".join(made[:20])).must_load()
            case.file.write_bytes(b"".join(made))
            ended = case.load(block_bytes=SMALL, kill_at=number, kill_after=after)
            survived += ended == 0
            case.expect(ended in (0, -signal.SIGKILL), f"step {number}: ended with {ended}")
            case.must_load(block_bytes=SMALL)
            case.equal()
        if survived:
            case.verdict.note = f"{number - 1} steps"
            case.expect(number > 5, f"only {number - 1} steps")
            return
    case.complain("more than 200 steps for a file of 60 KB")


@fault(4, "SIGTERM in the middle of a batch", BOTH)
def terminated(case: Case) -> None:
    chance = random.Random(4)
    whole = b"".join(content.lines(20_000))
    longest = 0.0
    for _ in case.times(10):
        case.fresh(whole)
        with case.watch(block_bytes=256 * 1024) as watch:
            watch.wait(lambda: bool(watch.query("SELECT 1")), "up")  # noqa: B023 used at once
            time.sleep(chance.uniform(0, 1.0))
            longest = max(longest, watch.end())
            watch.begin()
            watch.wait_loaded()
        case.equal()
    case.verdict.note = f"at most {longest:.1f} s"


@fault(18, "EIO or ENOSPC on each rename of a part")
def failing_rename(case: Case) -> None:
    whole = b"".join(content.lines(600))
    case.fresh(whole[: whole.index(b"\n", len(whole) // 3) + 1]).must_load(block_bytes=SMALL)
    if case.embedded:
        template = case.folder / "template"
        tracing.copy(case.database, template)
        case.file.write_bytes(whole)
        points = tracing.points(case, RENAMES, block_bytes=SMALL)
        for error in ("EIO", "ENOSPC"):
            for call, number in points[:: max(1, round(1 / case.scale))]:
                case.fresh(whole)
                tracing.copy(template, case.database)
                rule = f"inject={call}:error={error}:when={number}"
                tracing.load(case, rule, block_bytes=SMALL)
                case.must_load(block_bytes=SMALL)
                case.equal()
        return
    for error in ("EIO", "ENOSPC"):
        for number in [1, 2, 3, 5, 8, 13][:: max(1, round(1 / case.scale))]:
            case.fresh(whole[: whole.index(b"\n", len(whole) // 3) + 1]).must_load()
            with case.watch(block_bytes=SMALL) as watch:
                watch.wait_loaded()
                rule = f"inject=rename,renameat,renameat2:error={error}:when={number}..{number + 2}"
                with tracing.attached(case.server, rule):
                    case.file.write_bytes(whole)
                    time.sleep(1.5)
                watch.wait_loaded()
            case.equal()
