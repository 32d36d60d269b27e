"""Faults between the loader and a server: cut, lost, swallowed, refused, down."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

from tests.faults import content
from tests.faults.case import Case, Watch
from tests.faults.matrix import BOTH, SERVER, fault
from tests.faults.proxy import Action, Proxy, Request, answer, exception

SMALL = 16 * 1024


def landing(request: Request) -> bool:
    return request.is_insert("landing")


def ledger(request: Request) -> bool:
    return request.is_insert("batches")


@fault(5, "server kill -9 in the middle of an insert over 40 partitions", SERVER)
def server_killed(case: Case) -> None:
    chance = random.Random(5)
    for _ in case.times(15):
        years = (content.BEGINNING - (number % 40) * content.YEAR for number in range(8_000))
        case.fresh(b"".join(content.record(number, at) for number, at in enumerate(years, 1)))
        with case.watch(block_bytes=512 * 1024) as watch:
            watch.wait(lambda: case.server.answers(), "up")
            time.sleep(chance.uniform(0.2, 1.6))
            case.server.kill9()
            time.sleep(0.3)
            case.server.restart()
            watch.wait_loaded()
        case.equal()


@fault(6, "server down for an hour (fast clock)", SERVER)
def server_down(case: Case) -> None:
    """An hour of refused connections, sixty times as fast: no pause above 60 s, memory flat."""
    first, second = b"".join(content.lines(300)), b"".join(content.lines(900, first=5_000))
    factor = 60
    case.fresh(first)
    with (
        Proxy(case.server.http_port) as proxy,
        case.through(proxy.port),
        case.watch(changes=("fast clock",)) as watch,
    ):
        watch.wait_loaded()
        proxy.rule = lambda request: Action(refuse=True)
        with case.file.open("ab") as writer:
            writer.write(second)
        time.sleep(1)
        sizes, began = [], time.monotonic()
        proxy.requests.clear()
        while time.monotonic() - began < 3_600 / factor:
            time.sleep(1)
            sizes.append(resident(watch))
        tries = [began, *proxy.requests, time.monotonic()]
        proxy.rule = lambda request: None
        watch.wait_loaded()
        case.expect(watch.alive, "ended")
    pauses = [(b - a) * factor for a, b in zip(tries, tries[1:], strict=False)]
    grown = max(sizes[5:]) - min(sizes[:5])
    case.expect(max(pauses) <= 75, f"a pause of {max(pauses):.0f} s")  # a minute and its own time
    case.expect(len(tries) > 40, f"only {len(tries)} tries in an hour")
    case.expect(len(tries) < 2_000, f"{len(tries)} tries in an hour")
    case.expect(grown < 10, f"memory grew by {grown} MiB")
    case.verdict.note = f"{len(tries)} tries, +{max(grown, 0)} MiB"
    case.equal()


def resident(watch: Watch) -> int:
    """MiB that the daemon has in memory."""
    status = Path(f"/proc/{watch.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def spoil(case: Case, count: int, action: Action, *, table: str = "landing") -> int:
    """Load through a proxy that does this to the first inserts; requests spoiled."""
    with Proxy(case.server.http_port) as proxy, case.through(proxy.port):
        proxy.first(count, lambda request: request.is_insert(table), action)
        with case.watch(block_bytes=SMALL) as watch:
            watch.wait_loaded()
        case.expect(proxy.spoiled >= count, f"only {proxy.spoiled} requests spoiled of {count}")
        return proxy.spoiled


@fault(7, "connection cut before the body is complete", SERVER)
def cut(case: Case) -> None:
    for after in (0, 1, 700, 5_000, 16_000)[:: max(1, round(1 / case.scale))]:
        for table in ("landing", "batches"):
            case.fresh(b"".join(content.lines(400)))
            spoil(
                case,
                2,
                Action(cut_after=min(after, 30) if table == "batches" else after),
                table=table,
            )
            case.equal()


@fault(8, "insert applied, reply lost", SERVER, quick=1)
def reply_lost(case: Case) -> None:
    for table in ("landing", "batches"):
        case.fresh(b"".join(content.lines(400)))
        spoil(case, 2, Action(lose_reply=True), table=table)
        case.equal()


@fault(9, "reply swallowed", SERVER)
def reply_swallowed(case: Case) -> None:
    for table in ("landing", "batches"):
        case.fresh(b"".join(content.lines(400)))
        case.config(query_seconds=1)
        with Proxy(case.server.http_port) as proxy, case.through(proxy.port):
            proxy.first(1, lambda request: request.is_insert(table), Action(swallow_reply=True))  # noqa: B023
            with case.watch(block_bytes=SMALL) as watch:
                watch.wait_loaded(seconds=180)
            case.expect(proxy.spoiled == 1, "nothing was swallowed")
        case.equal()


@fault(10, "HTTP 200 with an exception in its header", SERVER)
def hidden_exception(case: Case) -> None:
    """Nothing is stored although the status is 200: an error, and no row in the ledger."""
    case.fresh(b"".join(content.lines(400)))
    lie = exception(241, "Memory limit exceeded", status="200 OK")
    with Proxy(case.server.http_port) as proxy, case.through(proxy.port):
        proxy.rule = lambda request: lie if landing(request) else None
        ended = case.load(block_bytes=SMALL)
        case.expect(ended == 1, f"load ended with {ended}")
        case.expect(case.one("SELECT count() FROM ledger") == 0, "a ledger row for nothing")
    spoil(case, 3, lie)
    case.equal()


@fault(11, "acknowledged, rows missing", BOTH, quick=1)
def rows_missing(case: Case) -> None:
    """Noticed and sent again; where it goes on, no row in the ledger."""
    whole = b"".join(content.lines(400))
    for count in (1, 1_000):
        case.fresh(whole)
        if case.embedded:
            ended = case.load(block_bytes=SMALL, swallow=count)
        else:
            with Proxy(case.server.http_port) as proxy, case.through(proxy.port):
                proxy.first(count, landing, answer("200 OK"))
                ended = case.load(block_bytes=SMALL)
        case.expect(ended == (count > 1), f"load ended with {ended}")
        if count > 1:
            case.expect(case.one("SELECT count() FROM ledger") == 0, "a ledger row for nothing")
            case.must_load()
        case.equal()


@fault(12, "503, 429, codes 241, 242, 252 for parts", SERVER)
def overloaded(case: Case) -> None:
    refusals = [
        answer("503 Service Unavailable"),
        exception(
            252, "Too many parts (3000). Merges are processing significantly slower than inserts"
        ),
        answer("429 Too Many Requests"),
        exception(241, "Memory limit (total) exceeded"),
        exception(242, "Table is in readonly mode"),
        exception(159, "Timeout exceeded"),
    ]
    for number, refusal in enumerate(refusals[: len(case.times(6))]):
        case.fresh(b"".join(content.lines(400)))
        spoil(case, 3, refusal, table="batches" if number == 1 else "landing")
        case.equal()


@fault(13, "wrong password, repaired", SERVER)
def wrong_password(case: Case) -> None:
    """The real server refuses; the offset stays; it is tried again each minute (fast clock)."""
    first, second = b"".join(content.lines(200)), b"".join(content.lines(200, first=5_000))
    case.fresh(first)
    with (
        Proxy(case.server.http_port) as proxy,
        case.through(proxy.port),
        case.watch(changes=("fast clock",)) as watch,
    ):
        watch.wait_loaded()
        proxy.rule = lambda request: Action(wrong_password=True)
        halted(case, watch, second, first)
        proxy.requests.clear()
        time.sleep(3)  # three minutes of the daemon's
        case.expect(len(proxy.requests) <= 40, f"{len(proxy.requests)} tries in three minutes")
        proxy.rule = lambda request: None
        watch.wait_loaded()
    case.equal()


def halted(case: Case, watch: Watch, more: bytes, loaded: bytes) -> None:
    """Append, and see that it is told as a problem and nothing is skipped."""
    with case.file.open("ab") as writer:
        writer.write(more)
    watch.wait_said("ERROR", 20)
    case.expect(watch.ends() == [len(loaded)], f"offset {watch.ends()}, not {len(loaded)}")
    case.expect(case.run("status") != 0, "status calls it well")
    case.expect(watch.alive, "ended")


@fault(13, "table gone, repaired", SERVER)
def table_gone(case: Case) -> None:
    first, second = b"".join(content.lines(200)), b"".join(content.lines(200, first=5_000))
    case.fresh(first)
    with case.watch(changes=("fast clock",)) as watch:
        watch.wait_loaded()
        case.query("RENAME TABLE accounting TO hidden")
        halted(case, watch, second, first)
        case.query("RENAME TABLE hidden TO accounting")
        watch.wait_loaded()
    case.equal()


@fault(33, "a second daemon: refused here, harmless from another host")
def second_daemon(case: Case) -> None:
    whole = content.lines(3_000)
    case.fresh(b"".join(whole[:500]))
    with case.watch() as watch:
        watch.wait_loaded()
        other = case.start("watch")
        other.join(20)
        refused = other.exitcode not in (None, 0)
        case.expect(refused, f"a second one runs beside it: {other.exitcode}")
        other.kill()
    case.equal()
    if case.embedded:
        return
    for number in case.times(3):
        case.fresh(b"".join(whole[:200]))
        stopped = threading.Event()
        with case.watch(block_bytes=SMALL) as watch:
            away = {
                "STATE_DIRECTORY": str(case.here / "elsewhere"),
                "XDG_RUNTIME_DIR": str(case.here),
            }
            other = case.start("watch", block_bytes=11_000, environment=away)
            with case.file.open("ab", buffering=0) as writer:
                for at in range(200, 3_000, 100 + 10 * number):
                    writer.write(b"".join(whole[at : at + 100 + 10 * number]))
                    stopped.wait(0.05)
            watch.wait_loaded()
            case.expect(other.is_alive(), f"from another host it is refused: {case.said()}")
            other.terminate()
            other.join(30)
        case.equal(overlaps=True)
