"""`python -m tests.faults`: runs the matrix, prints the table, and writes it where it is told."""

from __future__ import annotations

import argparse
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults import mutations
from tests.faults.case import Verdict
from tests.faults.matrix import BOTH, Fault, all_faults, run
from tests.faults.report import heading, merged, row, write
from tests.server import RunningServer, start


def main() -> int:
    """Run what the arguments say; 1 where a fault does not hold, or a mutation does no harm."""
    options = arguments()
    with scratch(options.folder) as folder:
        if options.mutations:
            return prove(options, folder)
        return run_matrix(options, folder)


def run_matrix(options: argparse.Namespace, folder: Path) -> int:
    began, well = time.monotonic(), True
    found: list[tuple[Fault, str, str]] = []
    print(heading(), flush=True)
    for which, engine, verdict, seconds in results(options, folder):
        found.append((which, engine, row(which, engine, verdict, seconds)))
        well = well and verdict.holds
        print(found[-1][2], flush=True)
        for complaint in verdict.complaints:
            print(f"    {complaint}", file=sys.stderr, flush=True)
    minutes = (time.monotonic() - began) / 60
    print(f"{'All hold' if well else 'NOT ALL HOLD'}; {minutes:.1f} minutes.")
    if options.write:
        write("faults", merged(line for _, _, line in found))
    return 0 if well else 1


def prove(options: argparse.Namespace, folder: Path) -> int:
    """Take each check away in a copy of the program, and see that its fault does harm."""
    lines = [mutations.heading()]
    print(lines[0], flush=True)
    chosen = [m for m in mutations.MUTATIONS if not options.only or m.fault in options.only]
    for each in chosen:
        mutations.mutated(each)  # all of them are there before the first one runs
    harmless = 0
    for each in chosen:
        found = mutations.harm(each, folder)
        harmless += not found or found.startswith("UNCLEAR")
        lines.append(mutations.row(each, found))
        print(lines[-1], flush=True)
    if options.write:
        write("mutations", "\n".join(lines))
    return 1 if harmless else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of the faults to run")
    parser.add_argument("--engine", choices=["embedded", "server"], help="only on this one")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the runs; 1 = all")
    parser.add_argument("--quick", action="store_true", help="only what the test suite runs")
    parser.add_argument(
        "--write", action="store_true", help="put the table into docs/reliability.md"
    )
    parser.add_argument("--mutations", action="store_true", help="prove the checks instead")
    parser.add_argument("--folder", type=Path, help="scratch; kept, with what failed in it")
    return parser.parse_args()


@contextmanager
def scratch(folder: Path | None) -> Iterator[Path]:
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="pychart-faults-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o755)
        yield Path(made)


def results(
    options: argparse.Namespace, folder: Path
) -> Iterator[tuple[Fault, str, Verdict, float]]:
    """Run both engines side by side: most of the time is spent waiting."""
    chosen = [each for each in all_faults() if not options.only or each.number in options.only]
    found: queue.SimpleQueue[tuple[Fault, str, Verdict, float] | None] = queue.SimpleQueue()

    def all_of(engine: str, server: RunningServer | None) -> None:
        for which in chosen:
            if engine in which.engines and (which.quick or not options.quick):
                scale = which.quick if options.quick else options.scale
                found.put((which, engine, *run(which, engine, folder, server, scale)))
        found.put(None)

    engines = [options.engine] if options.engine else list(BOTH)
    with server_for(chosen, options, folder) as server:
        threads = [threading.Thread(target=all_of, args=(each, server)) for each in engines]
        for thread in threads:
            thread.start()
        for _ in threads:
            while (result := found.get()) is not None:
                yield result
        for thread in threads:
            thread.join()


@contextmanager
def server_for(
    chosen: list[Fault], options: argparse.Namespace, folder: Path
) -> Iterator[RunningServer | None]:
    """One server for all faults, which kill and restart it; None where no fault needs it."""
    if options.engine == "embedded" or not any("server" in each.engines for each in chosen):
        yield None
        return
    with start(folder / "server") as server:
        yield server


if __name__ == "__main__":
    sys.exit(main())
