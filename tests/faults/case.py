"""One run of a fault: a fresh database, files beside it, the command, the comparison at the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.faults import child
from tests.faults.child import Setup
from tests.faults.oracle import Expected, expect
from tests.server import RunningServer

CLUSTER = "c1"
RECORDS = (
    "SELECT job_number, toUnixTimestamp(submission_time), task_number, toUnixTimestamp(start_time),"
    " toUnixTimestamp(end_time), hex(owner), exit_status, hex(pe_taskid), cpu, hex(job_name),"
    f" offset FROM records WHERE cluster = '{CLUSTER}'"
)
REJECTS = f"SELECT offset, hex(line) FROM rejects WHERE cluster = '{CLUSTER}'"
LEDGER = (
    "SELECT file_id, generation, start_offset, end_offset, lines, records, rejects, ignored"
    f" FROM ledger WHERE cluster = '{CLUSTER}' ORDER BY file_id, generation, start_offset"
)
PATIENCE = 120.0  # seconds until something that must happen is taken for missing


@dataclass
class Verdict:
    """What a fault did over all its runs: nothing may be lost, doubled or complained about."""

    runs: int = 0
    lines: int = 0
    lost: int = 0
    doubled: int = 0
    complaints: list[str] = field(default_factory=list)
    note: str = ""

    @property
    def holds(self) -> bool:
        return bool(self.runs) and not (self.lost or self.doubled or self.complaints)


@dataclass
class Case:
    """A fault's place to happen, on one engine. `scale` 1 = all runs, less for the quick ones."""

    engine: str
    folder: Path
    scale: float = 1.0
    running: RunningServer | None = None
    verdict: Verdict = field(default_factory=Verdict)
    _number: int = 0
    _proxy_port: int = 0
    _password: str = ""

    @property
    def embedded(self) -> bool:
        return self.engine == "embedded"

    @property
    def server(self) -> RunningServer:
        assert self.running is not None, "this fault is for a server"
        return self.running

    @property
    def here(self) -> Path:
        """Folder of the present run; accounting files are in it."""
        return self.folder / f"run{self._number}"

    @property
    def file(self) -> Path:
        return self.here / "accounting"

    @property
    def name(self) -> str:
        return f"fault_{self.folder.name}_{self._number}"

    @property
    def database(self) -> Path:
        """Where the embedded engine keeps its data."""
        return self.here / "db"

    @property
    def url(self) -> str:
        """The database as the command is told it."""
        if self.embedded:
            return f"chdb://{self.database}"
        port = self._proxy_port or self.server.http_port
        secret = f":{self._password}" if self._password else ""
        return f"http://default{secret}@127.0.0.1:{port}/{self.name}"

    @property
    def output(self) -> Path:
        return self.here / "output"

    def fresh(self, content: bytes | None = None) -> Case:
        """Begin another run, with nothing loaded; `content` makes the accounting file."""
        self.forget()
        self._number += 1
        self.verdict.runs += 1
        self.here.mkdir(parents=True)
        self.here.chmod(0o777)
        if content is not None:
            self.file.write_bytes(content)
        return self

    def forget(self) -> None:
        """Remove the present run's database and files."""
        if self._number and not self.embedded:
            self.server.query(f"DROP DATABASE IF EXISTS {self.name} SYNC")
        shutil.rmtree(self.here, ignore_errors=True)

    def times(self, count: int) -> range:
        """`count` runs, fewer for the quick ones."""
        return range(max(1, round(count * self.scale)))

    @contextmanager
    def through(self, port: int) -> Iterator[None]:
        """Talk to the server by way of another port."""
        self._proxy_port = port
        try:
            yield
        finally:
            self._proxy_port = 0

    def start(self, *words: str | Path, **setup: Any) -> BaseProcess:
        """Start `pychart words…` in a process of its own."""
        environment = {"STATE_DIRECTORY": str(self.here / "state"), **setup.pop("environment", {})}
        said = [*self.options(), *map(str, words)]
        return child.start(said, Setup(environment=environment, **setup), self.output)

    def options(self) -> list[str]:
        return ["--config", str(self.config()), "--database", self.url]

    def config(self, **more: Any) -> Path:
        """Write the settings: one cluster, its family of files, short pauses."""
        path = self.here / "pychart.toml"
        if not path.exists() or more:
            files = json.dumps(more.pop("files", [f"{self.file}*"]))
            lines = [f"{key} = {json.dumps(value)}" for key, value in more.items()]
            path.write_text(
                "\n".join(
                    ["poll_seconds = 0.5", *lines, f"[clusters.{CLUSTER}]", f"files = {files}", ""]
                )
            )
        return path

    def run(self, *words: str | Path, **setup: Any) -> int:
        """Run `pychart words…` to its end; its exit status, negative where a signal ended it."""
        process = self.start(*words, **setup)
        process.join(300)
        if process.exitcode is None:
            process.kill()
            process.join()
            self.complain(f"`{words[0]}` hangs: {self.said()}")
        return process.exitcode or 0

    def load(self, *files: Path, **setup: Any) -> int:
        """`pychart load`, of the accounting file where none is named; kills end with -9."""
        return self.run("load", "--cluster", CLUSTER, *(files or (self.file,)), **setup)

    def must_load(self, *files: Path, **setup: Any) -> None:
        """Load, and complain where that does not end well."""
        if code := self.load(*files, **setup):
            self.complain(f"load ended with {code}: {self.said()}")

    @contextmanager
    def watch(self, **setup: Any) -> Iterator[Watch]:
        """Follow the family while the block runs; it must end well within a minute of SIGTERM."""
        watch = Watch(self, setup)
        watch.begin()
        try:
            yield watch
        except BaseException:
            watch.kill()
            raise
        watch.end()

    def query(self, *statements: str) -> list[list[Any]]:
        """Answers of the database; of the embedded one only while nothing else has it open."""
        if self.embedded:
            return child.query(self.url, list(statements))
        return [self._on_server(statement) for statement in statements]

    def _on_server(self, statement: str) -> list[Any]:
        if not statement.lstrip().upper().startswith("SELECT"):
            self.server.query(statement, database=self.name)
            return []
        said = self.server.query(
            f"{statement} FORMAT JSONCompact",
            database=self.name,
            settings={
                "output_format_json_quote_64bit_integers": 0,
            },
        )
        return [tuple(row) for row in json.loads(said)["data"]]

    def one(self, statement: str) -> Any:
        return self.query(statement)[0][0][0]

    def complain(self, text: str) -> None:
        """Remember what must not be; the fault does not hold."""
        if len(self.verdict.complaints) < 20:
            self.verdict.complaints.append(f"run {self._number}: {text}")

    def expect(self, condition: object, text: str) -> None:
        if not condition:
            self.complain(text)

    def said(self) -> str:
        """The last of what the command printed."""
        text = self.output.read_text(errors="replace") if self.output.exists() else ""
        return " | ".join(text.splitlines()[-3:])[-600:]

    def equal(
        self,
        *contents: bytes,
        ended: bool = False,
        overlaps: bool = False,
        ask: Callable[..., list[list[Any]]] | None = None,
    ) -> None:
        """EQ: these files' accepted lines are the rows, every line is counted, the ledger whole."""
        wanted = expect(contents or (self.file.read_bytes(),), ended=ended)
        records, rejects, ledger = (ask or self.query)(RECORDS, REJECTS, LEDGER)
        rows = Counter(map(as_row, records))
        refused = Counter((int(place), bytes.fromhex(line)) for place, line in rejects)
        self.verdict.lines += wanted.lines
        lost = (wanted.rows - rows).total() + (wanted.rejects - refused).total()
        doubled = (rows - wanted.rows).total() + (refused - wanted.rejects).total()
        if lost or doubled:
            sample = [*(wanted.rows - rows), *(wanted.rejects - refused)][:1]
            extra = [*(rows - wanted.rows), *(refused - wanted.rejects)][:1]
            self.complain(f"{lost} lost {sample!r:.200}, {doubled} doubled {extra!r:.200}")
        self.verdict.lost += lost
        self.verdict.doubled += doubled
        for complaint in ledger_faults(ledger, wanted, overlaps):
            self.complain(complaint)


def as_row(found: Sequence[Any]) -> tuple[Any, ...]:
    """A row of `RECORDS` as the oracle has it."""
    job, submitted, task, start, end, owner, status, pe_task, cpu, name, offset = found
    row = (
        int(job),
        int(submitted),
        int(task),
        int(start),
        int(end),
        bytes.fromhex(owner),
        int(status),
        bytes.fromhex(pe_task),
        cpu if cpu is None else float(cpu),
        bytes.fromhex(name),
    )
    return row if row[3] else (int(offset), *row)


def ledger_faults(
    ledger: Iterable[Sequence[Any]], wanted: Expected, overlaps: bool = False
) -> Iterator[str]:
    """Say where a generation of a file has a gap, an overlap or a line uncounted.

    An old copy of a file has a generation of its own, so a file may have others beside its own.
    """
    generations: dict[tuple[str, int], list[list[int]]] = {}
    for file_id, generation, *numbers in ledger:
        generations.setdefault((file_id, generation), []).append(list(map(int, numbers)))
    found: Counter[tuple[int, int]] = Counter()
    for batches in generations.values():
        at = lines = 0
        for start, end, count, records, rejects, ignored in batches:
            if start > at:
                yield f"the ledger has a gap from byte {at} to {start}"
            if start < at and not overlaps:
                yield f"the ledger has bytes {start} to {at} twice"
            if count != records + rejects + ignored:
                yield f"{count} lines are not {records} + {rejects} + {ignored}"
            at, lines = max(at, end), lines + count
        found[at, 0 if overlaps else lines] += 1
    missing = Counter((end, 0 if overlaps else lines) for end, lines in wanted.files) - found
    if missing:
        yield f"the ledger has (end, lines) {dict(found)}, and not {dict(missing)} of the files"
    if len({file_id for file_id, _ in generations}) != len(wanted.files):
        yield f"{len(wanted.files)} files, and other file_ids in the ledger: {list(generations)}"


@dataclass
class Watch:
    """A running `pychart watch`."""

    case: Case
    setup: dict[str, Any]
    process: BaseProcess | None = None

    def begin(self) -> None:
        ask = str(self._socket) if self.case.embedded else ""
        self.process = self.case.start("watch", ask=ask, **self.setup)

    @property
    def _socket(self) -> Path:
        # a path of a socket has at most 107 bytes
        return Path(f"/tmp/pychart-faults-{os.getpid()}.sock")

    @property
    def pid(self) -> int:
        assert self.process is not None and self.process.pid
        return int(self.process.pid)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.is_alive()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it between two instructions."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None

    def end(self, seconds: float = PATIENCE) -> float:
        """SIGTERM; how long it took to end."""
        began = time.monotonic()
        if self.process is None:  # killed on purpose
            return 0.0
        if not self.alive:
            self.case.complain(f"the daemon ended by itself: {self.case.said()}")
            return 0.0
        process, self.process = self.process, None
        if self.case.embedded:  # else it is that of a case which runs beside this one
            self._socket.unlink(missing_ok=True)
        os.kill(process.pid or 0, signal.SIGTERM)
        process.join(seconds)
        if process.exitcode is None:
            self.case.complain(f"still there {seconds:g} s after SIGTERM")
            process.kill()
        elif process.exitcode:
            self.case.complain(f"ended with {process.exitcode}: {self.case.said()}")
        return time.monotonic() - began

    def query(self, *statements: str) -> list[list[Any]]:
        """Ask from within the daemon where it has the embedded engine, else the server."""
        if not self.case.embedded:
            return self.case.query(*statements)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(self._socket))
            with connection.makefile("rw") as stream:
                stream.write(json.dumps(statements) + "\n")
                stream.flush()
                answer = json.loads(stream.readline() or '{"error": "no answer"}')
        if isinstance(answer, dict):
            raise RuntimeError(answer["error"])
        return [[tuple(row) for row in rows] for rows in answer]

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> float:
        """Wait until something is so, and complain where it does not come; how long it took."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if not self.alive:
                self.case.complain(f"the daemon ended before {what}: {self.case.said()}")
                return time.monotonic() - began
            try:
                if condition():
                    return time.monotonic() - began
            except (OSError, RuntimeError, IndexError):  # not up yet
                pass
            except Exception as error:  # the server says that there is no such table yet
                if "Code: 60" not in str(error) and "Code: 81" not in str(error):
                    raise
            time.sleep(0.05)
        self.case.complain(f"not {what} after {seconds:g} s: {self.case.said()}")
        self.signal(signal.SIGUSR1)  # where each of its threads is
        return seconds

    def wait_loaded(
        self, *contents: bytes, seconds: float = PATIENCE, ended: bool = False
    ) -> float:
        """Wait until the ledger says that all of these files is loaded."""
        files = expect(contents or (self.case.file.read_bytes(),), ended=ended).files
        wanted = Counter(end for end, _ in files)
        return self.wait(lambda: wanted <= Counter(self.ends()), f"loaded: {wanted}", seconds)

    def ends(self) -> list[int]:
        """Where each generation of each file ends in the ledger."""
        (found,) = self.query(
            f"SELECT max(end_offset) FROM ledger WHERE cluster = '{CLUSTER}'"
            " GROUP BY file_id, generation"
        )
        return sorted(int(end) for (end,) in found)

    def wait_said(self, words: str, seconds: float = PATIENCE) -> float:
        """Wait until the daemon's log says this."""
        return self.wait(
            lambda: words in self.case.output.read_text(errors="replace"),
            f"said {words!r}",
            seconds,
        )
