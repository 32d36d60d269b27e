"""`python -m tests.faults.soak`: hours of growing, rotating and killing, and what became of it.

A writer appends at a steady rate, cutting lines anywhere; the file is rotated by renaming, old ones
are packed; the server is killed at random and comes back. At the end every file is compared.
"""

from __future__ import annotations

import argparse
import gzip
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import content
from tests.faults.case import LEDGER, RECORDS, REJECTS, Case, Watch, as_row, ledger_faults
from tests.faults.oracle import expect
from tests.faults.report import write
from tests.server import RunningServer, start

DOWN_SECONDS = (1.0, 15.0)
PACKED_AFTER = 2  # rotations
TICK = 0.1
BACKLOG_LINES = 100_000


@dataclass
class Written:
    """The files in the order they were begun, each with the job numbers that are in it."""

    ranges: dict[Path, tuple[int, int]] = field(default_factory=dict)
    lines: int = 0


@dataclass
class Soak:
    """One soak and what it measured."""

    case: Case
    minutes: float
    rate: int
    rotate_seconds: float
    kill_seconds: float
    ending: threading.Event = field(default_factory=threading.Event)
    written: Written = field(default_factory=Written)
    kills: int = 0
    memory: list[int] = field(default_factory=list)  # MiB, every ten seconds

    def run(self) -> str:
        """Run it; a report in a few lines."""
        # as after years: what catching up takes of memory is not taken for growth later
        first = b"".join(content.lines(BACKLOG_LINES))
        self.case.fresh(first)
        self.written.ranges[self.case.file] = (1, BACKLOG_LINES)
        writer = threading.Thread(target=self._write)
        with self.case.watch() as watch:
            watch.wait_loaded(first)
            sampler = threading.Thread(target=self._sample, args=(watch,))
            writer.start()
            sampler.start()
            self._kill(self.case.server)
            self.ending.set()
            writer.join()
            sampler.join()
            caught_up = watch.wait_loaded(*map(read, self._files()), seconds=300)
        self._compare()
        return self._report(caught_up)

    def _files(self) -> list[Path]:
        return [packed if (packed := with_gz(file)).exists() else file for file in self._plain()]

    def _plain(self) -> list[Path]:
        return list(self.written.ranges)

    def _write(self) -> None:
        """Append a second's lines in ten pieces, cut anywhere; rotate between two seconds."""
        chance, first, number = random.Random(7), BACKLOG_LINES + 1, 0
        rotated = time.monotonic()
        began = rotated - first / self.rate
        while not self.ending.is_set():
            second = b"".join(content.lines(self.rate, first=first))
            with self.case.file.open("ab", buffering=0) as file:
                for piece in cut(second, round(1 / TICK), chance):
                    file.write(piece)
                    time.sleep(max(0.0, began + first / self.rate - time.monotonic()) * TICK)
            low, _ = self.written.ranges.pop(self.case.file, (first, 0))
            first += self.rate
            self.written.lines += self.rate
            self.written.ranges[self.case.file] = (low, first - 1)
            if time.monotonic() - rotated > self.rotate_seconds and not self.ending.is_set():
                rotated, number = time.monotonic(), number + 1
                self._rotate(number)
            time.sleep(max(0.0, began + first / self.rate - time.monotonic()))

    def _rotate(self, number: int) -> None:
        old = self.case.here / f"accounting.{number:03}"
        self.case.file.rename(old)
        self.written.ranges[old] = self.written.ranges.pop(self.case.file)
        self.case.file.touch()
        packed = self.case.here / f"accounting.{number - PACKED_AFTER:03}"
        if packed.exists():
            with_gz(packed).write_bytes(gzip.compress(packed.read_bytes(), 1))
            packed.unlink()

    def _kill(self, server: RunningServer) -> None:
        """Kill the server again and again, here since it dies with the thread that started it."""
        chance, end = random.Random(8), time.monotonic() + 60 * self.minutes
        while (left := end - time.monotonic()) > 0:
            pause = chance.uniform(0.5, 1.5) * self.kill_seconds
            time.sleep(min(pause, left))
            if pause < left:
                server.kill9()
                self.kills += 1
                time.sleep(chance.uniform(*DOWN_SECONDS))
                server.restart()

    def _sample(self, watch: Watch) -> None:
        while not self.ending.wait(10) and watch.alive:
            status = Path(f"/proc/{watch.pid}/status").read_text()
            self.memory.append(int(status.split("VmRSS:")[1].split()[0]) // 1024)

    def _compare(self) -> None:
        """EQ, a file at a time: its jobs have their numbers for themselves."""
        wanted = expect(map(read, self._files()))
        rejects, ledger = self.case.query(REJECTS, LEDGER)
        refused = Counter((int(place), bytes.fromhex(line)) for place, line in rejects)
        verdict = self.case.verdict
        verdict.lines = wanted.lines
        verdict.lost = (wanted.rejects - refused).total()
        verdict.doubled = (refused - wanted.rejects).total()
        for complaint in ledger_faults(ledger, wanted):
            self.case.complain(complaint)
        for file, (low, high) in zip(self._files(), self.written.ranges.values(), strict=True):
            of_file = expect([read(file)]).rows
            span = f" AND job_number BETWEEN {low} AND {high}"
            rows = Counter(map(as_row, self.case.query(RECORDS + span)[0]))
            verdict.lost += (of_file - rows).total()
            verdict.doubled += (rows - of_file).total()
        count = self.case.one("SELECT count() FROM records")
        self.case.expect(count == wanted.rows.total(), f"{count} rows of {wanted.rows.total()}")

    def _report(self, caught_up: float) -> str:
        verdict, settled = self.case.verdict, self.memory[3:] or [0]
        sixth = max(1, len(settled) // 6)
        sixths = [
            statistics.median(settled[at : at + sixth]) for at in range(0, len(settled), sixth)
        ]
        grown = sixths[5 if len(sixths) > 5 else -1] - sixths[0]
        self.case.expect(grown < 16, f"memory grew by {grown:.0f} MiB")
        return "\n".join(
            [
                f"{self.minutes:g} minutes, {verdict.lines:,} lines at {self.rate} a second,"
                f" {len(self.written.ranges) - 1} rotations, {self.kills} kills of the server.",
                "",
                f"- lost {verdict.lost}, doubled {verdict.doubled}; all was there {caught_up:.1f} s"
                " after the last line",
                f"- memory of the daemon, medians of each sixth of the time:"
                f" {', '.join(f'{each:.0f}' for each in sixths[:6])} MiB, at most {max(settled)}",
                *(f"- {complaint}" for complaint in verdict.complaints),
                "",
                "Verdict: " + ("holds." if verdict.holds else "FAILS."),
            ]
        )


def with_gz(file: Path) -> Path:
    return file.with_name(file.name + ".gz")


def read(file: Path) -> bytes:
    """What a file holds, unpacked."""
    data = file.read_bytes()
    return gzip.decompress(data) if file.suffix == ".gz" else data


def cut(data: bytes, count: int, chance: random.Random) -> list[bytes]:
    """`count` pieces, cut at any byte."""
    places = sorted(chance.randrange(len(data)) for _ in range(count - 1))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=int, default=500, help="lines a second")
    parser.add_argument("--rotate", type=float, default=300, help="seconds between rotations")
    parser.add_argument("--kill", type=float, default=120, help="seconds between kills, on average")
    parser.add_argument("--write", action="store_true", help="put it into docs/reliability.md")
    parser.add_argument("--folder", type=Path, help="scratch; kept")
    options = parser.parse_args()
    made = options.folder or Path(tempfile.mkdtemp(prefix="pychart-soak-"))
    made.mkdir(parents=True, exist_ok=True)
    with start(made / "server") as server:
        case = Case("server", made, running=server)
        soak = Soak(case, options.minutes, options.rate, options.rotate, options.kill)
        report = soak.run()
    print(report, flush=True)
    if options.write:
        write("soak", report)
    return 0 if case.verdict.holds else 1


if __name__ == "__main__":
    sys.exit(main())
