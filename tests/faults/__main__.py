"""`python -m tests.faults`: runs the matrix, prints the table, and writes it where it is told."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.case import Verdict
from tests.faults.matrix import Fault, all_faults, run
from tests.faults.report import heading, row, write
from tests.server import RunningServer, start


def main() -> int:
    """Run what the arguments say; 1 where a fault does not hold."""
    options = arguments()
    chosen = [each for each in all_faults() if not options.only or each.number in options.only]
    began, rows, well = time.monotonic(), [heading()], True
    print("\n".join(heading().splitlines()), flush=True)
    with scratch(options.folder) as folder:
        for which, engine, verdict, seconds in results(chosen, options, folder):
            rows.append(row(which, engine, verdict, seconds))
            well = well and verdict.holds
            print(rows[-1], flush=True)
            for complaint in verdict.complaints:
                print(f"    {complaint}", file=sys.stderr, flush=True)
    total = f"{'All hold' if well else 'NOT ALL HOLD'}; {(time.monotonic() - began) / 60:.1f} min."
    print(total)
    if options.write:
        write("faults", "\n".join([*rows, "", total]))
    return 0 if well else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of the faults to run")
    parser.add_argument("--engine", choices=["embedded", "server"], help="only on this one")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the runs; 1 = all")
    parser.add_argument("--quick", action="store_true", help="only what the test suite runs")
    parser.add_argument(
        "--write", action="store_true", help="put the table into docs/reliability.md"
    )
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
    chosen: list[Fault], options: argparse.Namespace, folder: Path
) -> Iterator[tuple[Fault, str, Verdict, float]]:
    with server_for(chosen, options, folder) as server:
        for which in chosen:
            for engine in which.engines:
                if options.engine in (None, engine) and (which.quick or not options.quick):
                    scale = which.quick if options.quick else options.scale
                    yield which, engine, *run(which, engine, folder, server, scale)


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
