"""strace: a system call that fails, or a kill in the middle of one, at its n-th time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.faults.case import CLUSTER, Case
from tests.faults.child import Setup
from tests.server import RunningServer

ROOT = Path(__file__).parent.parent.parent


class NoStrace(Exception):
    """strace is not installed, or may not trace here."""


def strace() -> str:
    return shutil.which("strace") or _none("strace is not installed")


def _none(reason: str) -> str:
    raise NoStrace(reason)


def copy(database: Path, to: Path) -> None:
    """Copy an embedded database that nothing has open."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(database, to, symlinks=True)


def load(case: Case, *rules: str, traced: Path | None = None, **setup: Any) -> int:
    """`pychart load` under strace with these rules; how it ended, negative where killed."""
    setting = Setup(environment={}, **setup)
    rule_words = [word for rule in rules for word in ("-e", rule)]
    only = ["-P", str(traced)] if traced else []
    command = [
        strace(),
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-o",
        str(case.here / "trace"),
        *only,
        *rule_words,
    ]
    product = [sys.executable, "-m", "tests.faults.child", json.dumps(asdict(setting))]
    with case.output.open("ab") as output:
        done = subprocess.run(
            [*command, *product, *case.options(), "load", "--cluster", CLUSTER, str(case.file)],
            cwd=ROOT,
            stdout=output,
            stderr=output,
            timeout=300,
            check=False,
        )
    return done.returncode


def points(case: Case, calls: tuple[str, ...], **setup: Any) -> list[tuple[str, int]]:
    """Load, and list these system calls with the numbers that they get to in some thread."""
    if code := load(case, f"trace={','.join(calls)}", **setup):
        case.complain(f"load under strace ended with {code}: {case.said()}")
    counts: Counter[tuple[str, str]] = Counter()
    for line in (case.here / "trace").read_text(errors="replace").splitlines():
        thread, said = line.split(maxsplit=1)
        counts[said.split("(")[0], thread] += 1  # the rest of an interrupted call begins otherwise
    most = {
        call: max((n for (c, _), n in counts.items() if c == call), default=0) for call in calls
    }
    return [(call, number) for call in calls for number in range(1, most[call] + 1)]


@contextmanager
def attached(server: RunningServer, *rules: str) -> Iterator[None]:
    """Trace a running server with these rules while the block runs."""
    assert server.process is not None
    with attached_to(server.process.pid, *rules):
        yield


@contextmanager
def attached_to(pid: int, *rules: str, traced: Path | None = None) -> Iterator[None]:
    """Trace a running process, all its threads, with these rules while the block runs."""
    only = ["-P", str(traced)] if traced else []
    words = [word for rule in rules for word in ("-e", rule)]
    tracer = subprocess.Popen(
        [strace(), "-f", "-qq", "-o", "/dev/null", *only, *words, "-p", str(pid)],
        stderr=subprocess.PIPE,
    )
    try:
        _wait_until_traced(pid, tracer)
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)


def _wait_until_traced(pid: int, tracer: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        tasks = [
            Path(f"/proc/{pid}/task/{task}/status") for task in os.listdir(f"/proc/{pid}/task")
        ]
        if all(_tracer(task) == tracer.pid for task in tasks):
            return
        if tracer.poll() is not None:
            raise NoStrace((tracer.stderr.read() if tracer.stderr else b"").decode().strip())
        time.sleep(0.02)
    raise NoStrace(f"strace did not attach to {pid} within 20 s")


def _tracer(status: Path) -> int:
    try:
        text = status.read_text()
    except OSError:  # that thread has ended
        return -1
    return int(text.split("TracerPid:")[1].split()[0])
