"""The processes that are killed: the real command, told what is to happen to it on the way.

Forked from a process that has imported it already, so that two hundred starts take a minute. The
engine itself is not loaded before the fork: it would not survive that.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import json
import multiprocessing
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PRELOAD = [
    "pychart.cli",
    "pychart.show",
    "pychart.status",
    "pychart.verify",
    "ingest.daemon",
    "clickhouse_connect.driver.httpclient",
    "tests.faults.child",
]
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(PRELOAD)


@dataclass(frozen=True)
class Setup:
    """How a process is changed before the command runs in it."""

    block_bytes: int = 0  # of one insert; 0 = as the product has it
    kill_at: int = 0  # die at this call to the database, counted from 1 …
    kill_after: bool = False  # … after it instead of before
    swallow: int = 0  # acknowledge so many inserts without doing them
    environment: dict[str, str] = field(default_factory=dict)
    powerless: bool = False  # root without what lets root read everything
    ask: str = ""  # path of a socket where queries are answered
    merge: bool = False  # merge all rows after each insert
    changes: tuple[str, ...] = ()  # names in `CHANGES`
    clock_offset: float = 0.0  # seconds that time.time() is wrong by


def start(words: list[str], setup: Setup, output: Path) -> BaseProcess:
    """Start `pychart words…`; what it prints is appended to `output`."""
    process = _context.Process(target=_run, args=(words, setup, str(output)), daemon=True)
    process.start()
    return process


def query(url: str, statements: list[str]) -> list[list[Any]]:
    """Ask a database in a process of its own: the embedded engine is for one at a time."""
    here, there = _context.Pipe()
    process = _context.Process(target=_query, args=(url, statements, there), daemon=True)
    process.start()
    there.close()
    try:
        answer: Any = here.recv() if here.poll(120) else RuntimeError("no answer in two minutes")
    except EOFError:
        answer = RuntimeError("the engine ended without an answer")
    finally:
        here.close()
        process.kill()
        process.join()
    if isinstance(answer, Exception):
        raise answer
    rows: list[list[Any]] = answer
    return rows


def _query(url: str, statements: list[str], answer: Any) -> None:
    from clickhouse.connection import Warehouse
    from clickhouse.settings import Settings

    try:
        with Warehouse(Settings(database=url)) as warehouse:
            answer.send([_rows(warehouse, each) for each in statements])
    except Exception as error:  # shown by the process that asked
        answer.send(RuntimeError(str(error)))


def _rows(warehouse: Any, statement: str) -> list[Any]:
    if statement.lstrip().upper().startswith(("SELECT", "WITH")):
        return [tuple(row) for row in warehouse.rows(statement)]
    warehouse.command(statement)
    return []


def _run(words: list[str], setup: Setup, output: str) -> None:
    target = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(target, 1)
    os.dup2(target, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(setup.environment)
    prepare(setup)
    command(words)


def command(words: list[str]) -> None:
    """Be `pychart words…`."""
    from pychart import cli

    sys.argv = ["pychart", *words]
    cli.main()


def prepare(setup: Setup) -> None:
    """Change this process as `setup` says."""
    from clickhouse import connection
    from ingest import daemon, loader

    faulthandler.register(signal.SIGUSR1)
    if setup.block_bytes:
        for owner in (loader, daemon):
            replace(owner, "EMBEDDED_BLOCK_BYTES", setup.block_bytes)
            replace(owner, "SERVER_BLOCK_BYTES", setup.block_bytes)
        replace(daemon, "LEAST_BLOCK_BYTES", setup.block_bytes)
    if setup.kill_at:
        _kill_at(connection.Warehouse, setup)
    if setup.swallow:
        _swallow(connection.Warehouse, setup.swallow)
    if setup.merge:
        _merge_after_inserts(connection.Warehouse)
    if setup.clock_offset:
        real = time.time
        replace(time, "time", lambda: real() + setup.clock_offset)
    for name in setup.changes:
        CHANGES[name]()
    if setup.ask:
        _answer(connection.Warehouse, setup.ask)
    if setup.powerless:
        _drop_capabilities()


def _drop_capabilities() -> None:
    header = struct.pack("Ii", 0x20080522, 0)  # version 3, this process
    if ctypes.CDLL(None, use_errno=True).capset(header, bytes(24)):
        raise OSError(ctypes.get_errno(), "capset")


def replace(owner: Any, name: str, value: Any) -> None:
    """Change something of the product that must exist: a renamed one is noticed."""
    if not hasattr(owner, name):
        raise AttributeError(f"{owner.__name__}.{name} is gone: the fault cannot be made")
    setattr(owner, name, value)


def _kill_at(warehouse: Any, setup: Setup) -> None:
    """Die between two steps of the order of writes: each step is a call to the database."""
    calls = iter(range(1, sys.maxsize))
    lock = threading.Lock()

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*words: Any, **options: Any) -> Any:
            with lock:
                number = next(calls)
            if number == setup.kill_at and not setup.kill_after:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = real(*words, **options)
            if number == setup.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return step

    for name in ("insert", "insert_rows", "rows", "command"):
        replace(warehouse, name, wrap(getattr(warehouse, name)))


def _swallow(warehouse: Any, count: int) -> None:
    real = warehouse.insert
    left = iter(range(count))

    def insert(*words: Any, **options: Any) -> None:
        if next(left, None) is None:
            real(*words, **options)

    replace(warehouse, "insert", insert)


def _merge_after_inserts(warehouse: Any) -> None:
    """As eager background merges would: equal rows are one before anybody looks for them."""
    real = warehouse.insert

    def insert(self: Any, table: str, *words: Any, **options: Any) -> None:
        real(self, table, *words, **options)
        if table == "landing":
            self.command("SYSTEM START MERGES accounting")  # a long load has them wait
            self.command("OPTIMIZE TABLE accounting FINAL")

    replace(warehouse, "insert", insert)


def _answer(warehouse: Any, path: str) -> None:
    """Answer queries from within the process that has the embedded engine open."""
    opened: list[Any] = []
    real = warehouse.__init__

    def __init__(self: Any, *words: Any, **options: Any) -> None:
        real(self, *words, **options)
        opened.append(self)

    warehouse.__init__ = __init__
    server = socket.socket(socket.AF_UNIX)
    Path(path).unlink(missing_ok=True)
    server.bind(path)
    server.listen()

    def serve() -> None:
        while True:
            connection, _ = server.accept()
            with connection, connection.makefile("rw") as stream:
                statements = json.loads(stream.readline())
                try:
                    answer: Any = [_rows(opened[-1], each) for each in statements]
                except Exception as error:  # the one who asks decides what it means
                    answer = {"error": str(error)}
                stream.write(json.dumps(answer, default=_as_text) + "\n")

    threading.Thread(target=serve, daemon=True).start()


def _as_text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _dead_observer() -> None:
    """Events that never come: the thread that would bring them has ended."""
    observers = importlib.import_module("watchdog.observers.api")
    replace(observers.BaseObserver, "run", lambda self: None)


def _no_events() -> None:
    """As with too many watches: the kernel refuses."""
    api = importlib.import_module("watchdog.observers.api")

    def schedule(self: Any, *words: Any, **options: Any) -> None:
        raise OSError(28, "inotify watch limit reached")

    replace(api.BaseObserver, "schedule", schedule)


def _fast_clock() -> None:
    """Sixty seconds in one: what waits, waits a sixtieth, and the clocks run as fast."""
    monotonic, wall, sleep, began = time.monotonic, time.time, time.sleep, time.monotonic()
    wait, trap, since = threading.Condition.wait, signal.sigtimedwait, time.time()

    def shortened(self: Any, timeout: float | None = None) -> bool:
        return wait(self, timeout if timeout is None else timeout / FAST)

    replace(threading.Condition, "wait", shortened)
    replace(signal, "sigtimedwait", lambda numbers, seconds: trap(numbers, seconds / FAST))
    replace(time, "sleep", lambda seconds: sleep(seconds / FAST))
    replace(time, "monotonic", lambda: began + (monotonic() - began) * FAST)
    replace(time, "time", lambda: since + (wall() - since) * FAST)


FAST = 60
CHANGES = {"dead observer": _dead_observer, "no events": _no_events, "fast clock": _fast_clock}


if __name__ == "__main__":  # under strace, and where the clock must be changed first
    prepare(Setup(**json.loads(sys.argv[1])))
    command(sys.argv[2:])
